"""The training on a CUDA device in one command of under four minutes: steps, epochs, memory, and the card's ceilings.

`python -m benchmarks.gpu` prints one table; `--file PRICES` trains on a price file in place of a random market of its
size; `--smoke` tries every row at a tiny size, on the CPU too. A row begins only while the time lasts, the rows left
out are named. Nothing is fetched and nothing outside `requirements.lock` is needed.
"""

import argparse
import logging
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import torch
import xarray as xr
from torch.profiler import ProfilerActivity, profile, schedule

from benchmarks.measure import write
from gogooku_kedro.config_files import ConfigLoader
from gogooku_kedro.params import ModelParams, TrainingParams
from gogooku_kedro.settings import CONFIG_LOADER_ARGS
from gogooku_kedro.training import MarketTensors, build_market, fit_ensemble, market_tensors, resolve_device
from gogooku_kedro.training.acceleration import accelerate, matrix_products
from gogooku_kedro.training.captured import CudaRecorder, Function
from gogooku_kedro.training.module import CrossSectionModule
from gogooku_kedro.training.train_seed import Days, build_model

ROOT = Path(__file__).resolve().parents[1]
ATTRIBUTES = ("correlation", "abs_correlation", "same_sector", "is_self")
CHANNELS, CONTEXT, CADENCE, PURGE = 5, 12, 20, 22
EPOCHS = 3
EPOCHS_SECONDS = 25.0
"""What a row of epochs is expected to take: 6 to 12 s on an H100, 25 s with ten models."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Size:
    """A market and a model.

    Attributes:
        stocks: Number of stocks.
        features: Features of a stock.
        preset: Size of the model, over the settings of `ohlcv`.
        sessions: Sessions of the market.
        changes: Settings that differ, as of `--params`.
    """

    stocks: int
    features: int
    preset: str
    sessions: int
    changes: dict[str, Any] = field(default_factory=dict)

    def settings(self, **training: Any) -> tuple[ModelParams, TrainingParams]:
        """Settings of the model and of its training."""
        runtime = {"preset": self.preset, **self.changes}
        runtime["training"] = {"device": "auto", **runtime.get("training", {}), **training}
        loader = ConfigLoader(str(ROOT / "conf"), env="ohlcv", runtime_params=runtime, **CONFIG_LOADER_ARGS)
        parameters = loader["parameters"]
        return ModelParams.model_validate(parameters["model"]), TrainingParams.model_validate(parameters["training"])

    def __str__(self) -> str:
        """Name the size."""
        model, training = self.settings()
        sizes = f"d {model.hidden_size}, D {training.chunk_days}, L {model.window}"
        return f"{self.stocks:,} x {self.features}, {sizes}"


SMALL, LARGE = Size(1026, 125, "none", 960), Size(4000, 182, "production", 110)
SAMPLE, TOKYO = Size(200, 273, "production", 1500), Size(1000, 182, "production", 1340)
TINY_MODEL = {"hidden_size": 8, "window": 8, "fan": {"top_k": 2}, "san": {"slices": 2}, "vsn": {"feature_size": 2}}
TINY = Size(24, 6, "none", 90, {"model": TINY_MODEL, "training": {"max_batches": 2}})


class Table:
    """Rows measured while the time lasts, the one wanted most first.

    Args:
        seconds: Time for all rows.
    """

    def __init__(self, seconds: float) -> None:
        self.end = time.monotonic() + seconds
        self.rows: list[Row] = []
        self.left_out: list[str] = []

    def measure(self, what: str, seconds: float, function: Callable[[], Row]) -> Row | None:
        """Add a row, unless it is expected to take longer than there is time."""
        if time.monotonic() + seconds > self.end:
            self.left_out.append(what)
            return None
        start = time.monotonic()
        row = {"what": what} | function()
        self.rows.append(row | {"measured_in": round(time.monotonic() - start, 1)})
        print("  " + "  ".join(f"{key} {value}" for key, value in self.rows[-1].items()), flush=True)
        return row


def random_market(stocks: int, sessions: int, features: int) -> MarketTensors:
    """A market of random numbers with a graph of twelve neighbours every twenty sessions."""
    rng = np.random.default_rng(0)
    dates, codes = pd.bdate_range("2012-01-04", periods=sessions), np.array([f"{i:05d}" for i in range(stocks)])
    x = rng.standard_normal((sessions, stocks, features + CONTEXT), dtype=np.float32)
    x[..., features:] = x[:, :1, features:]
    names = [f"f{i}" for i in range(features + CONTEXT)]
    grid = {"date": dates, "code": codes}
    levels = rng.standard_normal((sessions, stocks, CHANNELS), dtype=np.float32).cumsum(axis=0)
    tables = xr.Dataset(
        {
            "x": (("date", "code", "feature"), x),
            "levels": (("date", "code", "channel"), levels),
            "in_universe": (("date", "code"), np.ones((sessions, stocks), bool)),
        },
        coords=grid | {"feature": names, "channel": [f"c{i}" for i in range(CHANNELS)]},
    )
    returns = 0.01 * x[..., :1] + 0.1 * rng.standard_normal((sessions, stocks, 4), dtype=np.float32)
    labels = xr.Dataset({"target": (("date", "code", "horizon"), returns)}, grid | {"horizon": [1, 5, 10, 20]})
    edges = pd.concat([_neighbours(asof, codes, rng) for asof in dates[::CADENCE]])
    return market_tensors(tables, labels, edges, ATTRIBUTES, tuple(names[features:]))


def _neighbours(asof: pd.Timestamp, codes: np.ndarray, rng: np.random.Generator, degree: int = 12) -> pd.DataFrame:
    shifts = [0, *(1 + rng.permutation(len(codes) - 1)[: degree - 1])]
    source = np.concatenate([np.roll(codes, shift) for shift in shifts])
    own = np.repeat(np.array([1.0] + [0.0] * (degree - 1), np.float32), len(codes))
    correlation = np.where(own > 0, 1.0, rng.uniform(0.2, 0.9, len(source))).astype(np.float32)
    columns = {"correlation": correlation, "abs_correlation": correlation, "same_sector": own, "is_self": own}
    return pd.DataFrame({"asof": asof, "source": source, "target": np.tile(codes, degree), **columns})


def file_market(path: Path, size: Size, folder: Path) -> tuple[MarketTensors, Days, Days]:
    """The market of a price file and the training and validation part, by the data stage of the project."""
    params = f"ohlcv_path={path.resolve()},data_root={folder}"
    command = [sys.executable, "-m", "kedro", "run", "--env", "ohlcv", "--pipelines", "data", "--params", params]
    subprocess.run(command, cwd=ROOT, check=True)
    from kedro.framework.startup import bootstrap_project  # noqa: PLC0415
    from kedro.io import DataCatalog  # noqa: PLC0415 - only here

    bootstrap_project(ROOT)
    runtime = {"ohlcv_path": str(path.resolve()), "data_root": str(folder)}
    loader = ConfigLoader(str(ROOT / "conf"), env="ohlcv", runtime_params=runtime, **CONFIG_LOADER_ARGS)
    catalog = DataCatalog.from_config(loader["catalog"])
    names = ("features", "labels", "graph_edges", "feature_manifest")
    market = build_market(*(catalog.load(name) for name in names), size.settings()[0], catalog.load("split"))
    return market.tensors, market.parts["train"], market.parts["valid"]


def step_row(market: MarketTensors, size: Size, precision: str, how: str, device: str) -> Row:
    """A step, from a chunk on the device to the optimiser: milliseconds, kernels, busy share, peak memory.

    Kernels and the time in which they run are those of the step as the host starts it, which a recorded one repeats.

    Args:
        market: The market.
        size: Its size and the settings.
        precision: `bf16` or `fp32`.
        how: Of "compiled" and "recorded" those that are in it.
        device: `cuda` or `cpu`, where nothing is recorded.
    """
    _reset_peak(device)
    with matrix_products("bf16-mixed" if precision == "bf16" else "32-true"):
        start = time.perf_counter()
        step = _step(market, size, precision, "compiled" in how, device)
        step()
        started = step  # by the host: of a replayed graph the profiler sees half of the kernels
        if "recorded" in how and device == "cuda":
            step = CudaRecorder(torch.device(device)).record("step", step, step)
        step()
        first = time.perf_counter() - start
        seconds, peak = _seconds_of(step, device, 10 if device == "cuda" else 1), _peak(device)
        busy, kernels = _busy(started, device)
    shares = {"gpu_ms": round(1e3 * busy, 1), "busy": round(busy / seconds, 2), "kernels": kernels}
    return {
        "ms": round(1e3 * seconds, 1),
        **(shares if device == "cuda" else {}),
        "first_step_s": round(first, 1),
        **peak,
    }


def _step(market: MarketTensors, size: Size, precision: str, compiled: bool, device: str) -> Function:
    model_params, training = size.settings()
    window, days = model_params.window, training.chunk_days
    torch.manual_seed(0)
    model = build_model(market, (window - 1, 2 * window + days), model_params)
    accelerate(model, training.model_copy(update={"compile": compiled}), market.present.size(1), steps=1, captured=True)
    module = CrossSectionModule(model, model_params, training, total_steps=1000).to(device)
    cuda = device == "cuda"
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-4, fused=cuda, capturable=cuda)
    chunk = market.to(torch.device(device)).chunk(window - 1, days, window)
    bf16 = torch.autocast(device, torch.bfloat16, enabled=precision == "bf16", cache_enabled=False)

    def step() -> tuple[torch.Tensor, ...]:
        optimizer.zero_grad()
        with bf16:
            loss, _ = module.loss_and_figures(chunk)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(module.parameters(), training.gradient_clip)
        optimizer.step()
        return (loss.detach(),)

    return step


def _seconds_of(step: Callable[[], object], device: str, repeats: int) -> float:
    for _ in range(2):
        step()
    _wait(device)
    start = time.perf_counter()
    for _ in range(repeats):
        step()
    _wait(device)
    return (time.perf_counter() - start) / repeats


def _busy(step: Callable[[], object], device: str) -> tuple[float, int]:
    """Seconds in which kernels run in a step, and their number; nothing without CUDA."""
    if device != "cuda":
        return 0.0, 0
    # The profiler misses kernels in the first steps that it sees.
    with profile(activities=[ProfilerActivity.CUDA], schedule=schedule(wait=1, warmup=2, active=1)) as record:
        for _ in range(4):
            step()
            _wait(device)
            record.step()
    events = [event for event in record.key_averages() if event.self_device_time_total > 0 and "#" not in event.key]
    return sum(event.self_device_time_total for event in events) / 1e6, sum(event.count for event in events)


class EpochClock(logging.Handler):
    """When the last line of every epoch was logged."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: dict[int, float] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Note the time of an epoch's line."""
        if (facts := getattr(record, "epoch_progress", None)) is not None:
            self.ends[facts["epoch"]] = time.perf_counter()


@contextmanager
def epoch_clock() -> Iterator[EpochClock]:
    """Listen to the lines of the training, without printing them."""
    clock, library = EpochClock(), logging.getLogger("gogooku_kedro")
    level, propagate = library.level, library.propagate
    library.addHandler(clock)
    library.setLevel(logging.INFO)
    library.propagate = False
    try:
        yield clock
    finally:
        library.removeHandler(clock)
        library.setLevel(level)
        library.propagate = propagate


def epoch_row(market: MarketTensors, parts: tuple[Days, Days], size: Size, **training: Any) -> Row:
    """Seconds of an epoch with its validation and checkpoint, by the training node's own function."""
    with TemporaryDirectory() as folder, epoch_clock() as clock:
        settings = {"seeds": [], "max_epochs": EPOCHS, "patience": EPOCHS, "checkpoint_dir": folder}
        model_params, params = size.settings(**{**settings, **training})
        device = resolve_device(params.device)
        _reset_peak(device)
        start = time.perf_counter()
        fit_ensemble(market, *parts, "benchmark", model_params, params)
    ends = list(clock.ends.values())
    epoch = median(b - a for a, b in pairwise(ends))
    return {"epoch_s": round(epoch, 2), "first_epoch_s": round(ends[0] - start, 1), **_peak(device)}


def ceilings(device: str, smoke: bool) -> Row:
    """What the card can do: copies in its memory, copies from pinned memory, a product in bf16."""
    numbers, width = (2**16, 64) if smoke else (2**28, 8192)
    source, target = torch.ones(numbers, device=device), torch.empty(numbers, device=device)
    pinned = torch.ones(numbers, pin_memory=device == "cuda")
    a = torch.ones(width, width, device=device, dtype=torch.bfloat16)
    repeats = 1 if smoke else 10
    size = 4 * numbers / 1e9
    copy = _seconds_of(lambda: target.copy_(source), device, repeats)
    upload = _seconds_of(lambda: target.copy_(pinned, non_blocking=True), device, repeats)
    product = _seconds_of(lambda: a @ a, device, repeats)
    return {
        "copy_gb_per_s": round(2 * size / copy),
        "from_host_gb_per_s": round(size / upload, 1),
        "bf16_tflop_per_s": round(2 * width**3 / product / 1e12, 1),
    }


def _wait(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def _reset_peak(device: str) -> None:
    if device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def _peak(device: str) -> Row:
    return {"peak_gib": round(torch.cuda.max_memory_allocated() / 2**30, 2)} if device == "cuda" else {}


def measure_steps(table: Table, size: Size, device: str, smoke: bool, kinds: dict[str, float]) -> None:
    """Steps of one size.

    Args:
        table: Where the rows go.
        size: Sizes of market and model.
        device: `cuda` or `cpu`.
        smoke: Whether the size is tiny.
        kinds: How a step is computed, precision first, and the seconds that its row is expected to take.
    """
    market = random_market(size.stocks, 2 * size.settings()[0].window + 60, size.features)
    for kind, expected in kinds.items():
        precision, how = kind.split(" ", 1)
        table.measure(
            f"step {size}, {kind}",
            0.0 if smoke else expected,
            lambda p=precision, h=how: step_row(market, size, p, h, device),  # type: ignore[misc]
        )


def measure_epochs(table: Table, size: Size, smoke: bool, arms: dict[str, Row], file: Path | None = None) -> None:
    """Epochs of one size.

    Args:
        table: Where the rows go.
        size: Sizes of market and model.
        smoke: Whether the size is tiny.
        arms: What a row is called, and the settings of its training.
        file: A price file in place of a random market.
    """
    with TemporaryDirectory() as folder:
        if file is not None:
            market, *parts = file_market(file, size, Path(folder))
        else:
            market, first = random_market(size.stocks, size.sessions, size.features), size.settings()[0].window - 1
            border = first + int(0.7 * (size.sessions - first - PURGE))
            parts = [(first, border), (border + PURGE, size.sessions)]
    name = file.name if file is not None else f"random market of {size.sessions:,} sessions"
    for arm, training in arms.items():
        table.measure(
            f"epoch {name} {size}, {arm}",
            0.0 if smoke else EPOCHS_SECONDS,
            lambda t=training: epoch_row(market, (parts[0], parts[1]), size, **t),  # type: ignore[misc]
        )


def main(arguments: list[str] | None = None) -> Table:
    """Measure all rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--file", type=Path, help="a price file; without it a random market of 1,026 stocks")
    parser.add_argument("--seconds", type=float, default=220.0, help="time for all rows")
    parser.add_argument("--smoke", action="store_true", help="a tiny size, to see that every row runs")
    options = parser.parse_args(arguments)
    cuda = torch.cuda.is_available()
    if not cuda and not options.smoke:
        raise SystemExit("no CUDA device here: nothing to measure; --smoke tries every row at a tiny size on the CPU")
    if not cuda:
        print("no CUDA device here: a tiny size on the CPU, whose times say nothing of a card")
    device, table = "cuda" if cuda else "cpu", Table(options.seconds)
    small, large = (TINY, replace(TINY, features=8)) if options.smoke else (SMALL, LARGE)
    table.measure("ceilings", 0.0, lambda: ceilings(device, options.smoke))
    seeds = list(range(2 if options.smoke else 10))
    arms: dict[str, Row] = {
        "one model": {},
        "one model, market in host memory": {"market_memory": "host"},
        f"{len(seeds)} models": {"seeds": seeds, "seeds_together": True},
    }
    measure_epochs(table, small, options.smoke, arms, options.file)
    for size in (replace(TINY, sessions=80),) if options.smoke else (SAMPLE, TOKYO):
        measure_epochs(table, size, options.smoke, {"one model": {}})
    short = {f"{precision} {how}": 5.0 for how in ("recorded", "eager") for precision in ("bf16", "fp32")}
    measure_steps(table, large, device, options.smoke, short)
    measure_steps(table, small, device, options.smoke, short)
    compiled = {"bf16 compiled and recorded": 60.0} if cuda or not options.smoke else {}
    measure_steps(table, large, device, options.smoke, compiled)
    write("gpu_smoke" if options.smoke else "gpu", table.rows)
    if table.left_out:
        print(f"left out for want of time (--seconds {options.seconds:.0f}): {'; '.join(table.left_out)}")
    return table


if __name__ == "__main__":
    main()
