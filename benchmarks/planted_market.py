"""Does the network learn the graph? Five variants on five markets whose best possible rank IC is known.

    OMP_NUM_THREADS=1 python -m benchmarks.planted_market

`on` has edges from true neighbours and distractors; `off` has no GAT; `identity` has self loops only, `permuted` the
same graph under other names, `mean` other stocks at random; `noise` is `on` where nothing is planted.
"""

import logging
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from omegaconf import OmegaConf

from benchmarks.measure import write
from benchmarks.planted import (
    Array,
    Graph,
    PlantedMarket,
    PlantedSettings,
    area_under_curve,
    closed_form,
    graph_edges,
    oracle,
    simulate,
    tensors,
)
from gogooku_kedro.metrics.rank_ic import rank_ic
from gogooku_kedro.metrics.significance import newey_west_lag, newey_west_t
from gogooku_kedro.model import ATFTGATFAN
from gogooku_kedro.params import ModelParams, TrainingParams
from gogooku_kedro.training import MarketTensors, fit_ensemble, predict_days

CONF = Path(__file__).parents[1] / "conf" / "base"
SEEDS = range(5)
MARKET = PlantedSettings(stocks=400, sessions=1200, peers=8, own=0.002, gain=0.5)
GRAPHS: dict[str, Graph] = {
    "on": "true",
    "off": "identity",
    "identity": "identity",
    "permuted": "permuted",
    "mean": "mean",
}
MODEL: dict[str, Any] = {
    "hidden_size": 16,
    "window": 4,
    "dropout": 0.1,
    "fan": {"top_k": 2, "predictor_size": 8},
    "san": {"slices": 2, "predictor_size": 8},
    "gat": {"edge_dropout": 0.0},
}
TRAINING: dict[str, Any] = {
    "device": "cpu",
    "max_epochs": 6,
    "monitor_smoothing": 0.0,
    "chunk_days": 8,
    "learning_rate": 0.02,
    "weight_decay": 0.01,
}


class Parts(NamedTuple):
    """First day and last day plus one of each part; a session lies between two parts."""

    train: tuple[int, int]
    valid: tuple[int, int]
    test: tuple[int, int]

    def test_days(self) -> list[int]:
        """Days of the test part."""
        return list(range(*self.test))


PARTS = Parts(train=(10, 800), valid=(801, 950), test=(951, 1200))


class VariantResult(NamedTuple):
    """Daily test rank IC `(days,)`, and how well attention tells true neighbours (NaN without any)."""

    rank_ic: Array
    attention_auc: float


def network(variant: str, seeds: Sequence[int], folder: str, **training: Any) -> tuple[ModelParams, TrainingParams]:
    """Settings of `conf/base` with the sizes of this market; `training` wins over both."""
    model = OmegaConf.merge(OmegaConf.load(CONF / "parameters.yml").model, MODEL)
    model.gat.enabled = variant != "off"
    learning = OmegaConf.merge(
        OmegaConf.load(CONF / "parameters_training.yml").training,
        TRAINING | {"seeds": list(seeds), "checkpoint_dir": folder} | training,
    )
    return (
        ModelParams.model_validate(OmegaConf.to_container(model)),
        TrainingParams.model_validate(OmegaConf.to_container(learning)),
    )


def train_variant(
    market: PlantedMarket, variant: str, parts: Parts, seeds: Sequence[int], **training: Any
) -> list[VariantResult]:
    """Train a model per seed on one graph, with `training` changed, and score the test part with each."""
    data = tensors(market, graph_edges(market, GRAPHS[variant]))
    days = parts.test_days()
    with tempfile.TemporaryDirectory() as folder:
        settings = network(variant, seeds, folder, **training)
        trained = fit_ensemble(data, parts.train, parts.valid, "planted", *settings).ensemble
    results = []
    for seed_model in trained.seed_models:
        model = seed_model.build("planted", settings[0])
        score = np.stack([s[:, 0].double().numpy() for _, s, _ in predict_days(model, data, days, "cpu")])
        auc = attention_auc(model, data, market, days[::10]) if variant in ("on", "permuted") else np.nan
        results.append(VariantResult(rank_ic(score, market.ret[days]), auc))
    return results


def attention_auc(model: ATFTGATFAN, data: MarketTensors, market: PlantedMarket, days: Sequence[int]) -> float:
    """Chance that a true neighbour gets more attention than a distractor, mean over days."""
    is_peer, areas = market.is_peer(), []
    with torch.inference_mode():
        for day in days:
            chunk = data.chunk(day, 1, model.window)
            heard = model(chunk.x, chunk.present, chunk.levels, chunk.context, chunk.edge_index, chunk.edge_attr).graph
            source, target = heard.edge_index[:, ~heard.is_self].numpy()
            attention = heard.alpha[~heard.is_self].mean(dim=1).double().numpy()
            areas.append(area_under_curve(attention, is_peer[target, source]))
    return float(np.mean(areas))


def seed_run(settings: PlantedSettings, parts: Parts) -> tuple[dict[str, Array], dict[str, float]]:
    """Daily test rank IC of the best scores and of every variant on one market, and the attention's AUC."""
    market = simulate(settings)
    daily = oracle(market, graph_edges(market), parts.test_days())
    areas = {}
    for variant in GRAPHS:
        ((daily[variant], areas[variant]),) = train_variant(market, variant, parts, [settings.seed])
        print(
            f"seed {settings.seed} {variant}: {daily[variant].mean():.4f}, AUC {areas[variant]:.3f}",
            flush=True,
        )
    noise = simulate(replace(settings, signal_strength=0.0))
    ((daily["noise"], areas["noise"]),) = train_variant(noise, "on", parts, [settings.seed])
    return daily, areas


def variant_rows(daily: Mapping[str, Array], areas: Mapping[str, Array]) -> list[dict[str, Any]]:
    """One row per score: mean rank IC, its standard error, share of the gap, paired differences.

    Args:
        daily: By name, rank IC `(seeds, days)`.
        areas: By variant, AUC of the attention `(seeds,)`.
    """
    own, graph = daily["own"].mean(), daily["graph"].mean()
    rows: list[dict[str, Any]] = []
    for name, series in daily.items():
        row = {
            "score": name,
            "rank_ic": round(float(series.mean()), 4),
            "standard_error": round(standard_error(series), 4),
            "by_seed": [round(float(v), 4) for v in series.mean(axis=1)],
            "attention_auc": [round(float(v), 3) for v in areas.get(name, ()) if np.isfinite(v)],
        }
        if name != "noise":  # another market, with nothing to compare
            row |= {
                "share_of_gap": round(float((series.mean() - own) / (graph - own)), 3),
                "less_own": round(float((series - daily["own"]).mean()), 4),
                "t_less_own": paired_t(series, daily["own"]),
                "t_less_off": paired_t(series, daily["off"]),
            }
        rows.append(row)
    return rows


def acceptance(daily: Mapping[str, Array], areas: Mapping[str, Array]) -> list[dict[str, Any]]:
    """What must hold for the network to have learned the graph, and whether it does."""
    own, graph = daily["own"].mean(), daily["graph"].mean()
    values = [
        (
            "on, share of the gap between own and graph >= 0.8",
            (daily["on"].mean() - own) / (graph - own),
            0.8,
        ),
        ("on - off, paired t > 5", paired_t(daily["on"], daily["off"]), 5),
        ("attention AUC of the worst seed > 0.8", areas["on"].min(), 0.8),
    ]
    rows = [{"criterion": text, "value": round(float(v), 3), "met": bool(v >= at)} for text, v, at in values]
    for variant in ("identity", "permuted", "mean"):
        distance = (daily[variant].mean() - own) / standard_error(daily[variant])
        text = f"{variant} - own, in standard errors, within 1"
        rows.append({"criterion": text, "value": round(float(distance), 3), "met": bool(abs(distance) <= 1)})
    t = newey_west_t(daily["noise"].mean(axis=0), newey_west_lag(1))
    rows.append({"criterion": "noise, |t| < 2", "value": round(t, 3), "met": abs(t) < 2})
    return rows


def standard_error(series: Array) -> float:
    """Newey-West standard error of the mean of `(seeds, days)`, which are independent markets."""
    by_day = series.mean(axis=0)
    return float(abs(by_day.mean() / newey_west_t(by_day, newey_west_lag(1))))


def paired_t(first: Array, second: Array) -> float:
    """Newey-West t of the mean daily difference of two `(seeds, days)`, 0 if they are the same."""
    t = newey_west_t((first - second).mean(axis=0), newey_west_lag(1))
    return round(float(np.nan_to_num(t)), 1)


def main() -> None:
    """Train all variants on all seeds, print and keep the table."""
    logging.disable(logging.INFO)
    started = time.monotonic()
    runs = [seed_run(replace(MARKET, seed=seed), PARTS) for seed in SEEDS]
    daily = {name: np.stack([series[name] for series, _ in runs]) for name in runs[0][0]}
    areas = {name: np.array([area[name] for _, area in runs]) for name in runs[0][1]}
    size = {"stocks": MARKET.stocks, "sessions": MARKET.sessions, "seeds": len(SEEDS)}
    bounds = {f"closed_form_{name}": round(value, 4) for name, value in closed_form(MARKET).items()}
    head = size | bounds | {"seconds": round(time.monotonic() - started)}
    write("planted_market", [head, *variant_rows(daily, areas), *acceptance(daily, areas)])


if __name__ == "__main__":
    main()
