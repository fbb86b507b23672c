"""Where a training step spends its time, and how long an epoch takes, by stocks, features and width."""

import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from omegaconf import OmegaConf
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from benchmarks.measure import peak_gib, write
from benchmarks.network import SETTINGS, chunk, model_params, network
from gogooku_kedro.freed_memory import freed_memory_kept
from gogooku_kedro.params import TrainingParams
from gogooku_kedro.training.module import CrossSectionModule

DAYS, WINDOW, SESSIONS, REPEATS = 16, 20, 750, 3
CASES = (
    {"stocks": 200, "features": 64, "hidden": 32},
    {"stocks": 1000, "features": 64, "hidden": 32},
    {"stocks": 1000, "features": 182, "hidden": 32},
    {"stocks": 1000, "features": 64, "hidden": 64},
    {"stocks": 4000, "features": 64, "hidden": 32},
)
LARGE = {"stocks": 4000, "features": 182, "hidden": 64, "days": 8, "window": 60}


def measure(stocks: int, features: int, hidden: int, days: int = DAYS, window: int = WINDOW) -> dict[str, Any]:
    """Median seconds of a step with its loss, and the share of its parts, each measured by itself."""
    params = model_params(hidden, window)
    module = CrossSectionModule(network(params, features), params, training_params(), total_steps=1)
    model, data = module.model, chunk(stocks, days, window, features)

    def step() -> None:
        output = module(data)
        torch.stack(list(module.loss_terms(output, data).values())).sum().backward()

    seconds = _median(step)
    state = model.encode(data.x, data.present, data.levels, data.context)
    tokens = torch.randn(days + window - 1, stocks, hidden)
    hidden_state = state.hidden.detach()
    output = module(data)
    parts: dict[str, Callable[[], Sequence[Tensor]]] = {
        "vsn": lambda: [model.vsn(data.x.flatten(0, 1))[0]],
        "attention": lambda: [model.temporal(tokens.clone().requires_grad_(), data.present)[0]],
        "levels": lambda: [model.levels(hidden_state.clone().requires_grad_(), data.levels)[0]],
        "gat": lambda: [
            model.gat(hidden_state.clone().requires_grad_(), data.present[-days:], data.edge_index, data.edge_attr)[0]
        ],
        "loss": lambda: list(module.loss_terms(_leaves(output), data).values()),
    }
    shares = {
        f"{name}_share": round(_median(lambda run=run: _backward(run())) / seconds, 2) for name, run in parts.items()
    }
    tokens_per_step = stocks * (days + window - 1)
    return {
        **{"stocks": stocks, "features": features, "hidden": hidden, "days": days, "window": window},
        "step_seconds": round(seconds, 3),
        "epoch_seconds": round(seconds * SESSIONS / days, 1),
        "tokens_per_second": round(tokens_per_step / seconds),
        **shares,
        "peak_gib_so_far": peak_gib(),
    }


def costliest(stocks: int, features: int, hidden: int, number: int = 8) -> list[dict[str, Any]]:
    """Operators that take most of a step, by PyTorch's profiler."""
    params = model_params(hidden, WINDOW)
    module = CrossSectionModule(network(params, features), params, training_params(), total_steps=1)
    data = chunk(stocks, DAYS, WINDOW, features)
    with profile(activities=[ProfilerActivity.CPU]) as record:
        output = module(data)
        torch.stack(list(module.loss_terms(output, data).values())).sum().backward()
    events = sorted(record.key_averages(), key=lambda e: e.self_cpu_time_total, reverse=True)
    total = sum(e.self_cpu_time_total for e in events)
    return [
        {"operator": e.key, "share": round(e.self_cpu_time_total / total, 2), "calls": e.count} for e in events[:number]
    ]


def training_params() -> TrainingParams:
    """The loss of `conf/base`."""
    OmegaConf.register_new_resolver("runtime_params", lambda name, default=None: default, replace=True)
    written = OmegaConf.load(SETTINGS.with_name("parameters_training.yml"))
    settings = OmegaConf.to_container(written["training"], resolve=True)
    return TrainingParams.model_validate(settings)


def _leaves(output: Any) -> Any:
    free = {name: getattr(output, name).detach().requires_grad_() for name in ("score", "quantiles")}
    return output._replace(**free, graph=None, forecast=None)


def _backward(outputs: Sequence[Tensor]) -> None:
    torch.stack([o.float().square().mean() for o in outputs]).sum().backward()


def _median(function: Callable[[], object]) -> float:
    function()
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def main() -> None:
    """Measure every case, the largest last because of its memory."""
    write("training_operators", costliest(1000, 64, 32))
    with freed_memory_kept():
        rows = [measure(**case) for case in (*CASES, LARGE)]
    write("training_step", rows)


if __name__ == "__main__":
    main()
