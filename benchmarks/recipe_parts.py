"""What is every part of the recipe worth? The recipe, and the same less one part, on the same markets.

    OMP_NUM_THREADS=1 python -m benchmarks.recipe_parts FOLDER [--sample SEED ...] [--seed SEED ...]
        [--file NAME=PRICES=TRAIN_END=VALID_END ...]

A sample market has the recipe of `conf/base`, a price file that of `conf/ohlcv` with the linear path, entry at the
close; data, graph and labels of a market are made once. Everything is measured on the test part, so give files that end
before the year which nothing may be chosen on. Data and scores that are finished in FOLDER are taken from there. The
linear path is left out of the trained models themselves: networks are trained without it.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from benchmarks.forecast import catalog_of, difference
from benchmarks.kedro_run import kedro_run, laid_over
from benchmarks.measure import write
from gogooku_kedro.columns import HORIZONS, SCORES, horizon_name
from gogooku_kedro.metrics.align import wide_parts
from gogooku_kedro.metrics.rank_ic import rank_ic
from gogooku_kedro.params import ModelParams, TrainingParams
from gogooku_kedro.training import Market, build_market, fit_ensemble, predict_market
from gogooku_kedro.training.ensemble import SeedModel

PARTS: dict[str, dict[str, Any]] = {
    "full": {},
    "feature dropout": {"model": {"feature_dropout": 0.0}},
    "variable selection": {"model": {"vsn": {"enabled": False}}},
    "graph network": {"model": {"gat": {"enabled": False}}},
    "averaged weights": {"training": {"ema_decay": 0.0}},
    "FAN and SAN": {"model": {"fan": {"enabled": False}, "san": {"enabled": False}}},
}
"""What is changed to leave a part out; `linear path` is a score of every one of them."""

WITH_PATH = {"linear_path": {"enabled": True}}
"""The linear path is a part of the study where the shipped recipe goes without it, as `conf/ohlcv` does."""

SCORES_OF = ("mixed", "network")
"""Scores of a trained model: with its linear path, and of the network alone."""


@dataclass(frozen=True)
class Place:
    """A market of the study.

    Attributes:
        name: For the table and its folder.
        environment: `base` or `ohlcv`.
        params: Of the command line.
    """

    name: str
    environment: str
    params: str


def places(samples: list[int], files: list[str]) -> Iterator[Place]:
    """Yield the markets that the command line names."""
    for seed in samples:
        yield Place(f"sample_{seed}", "base", f"market_seed={seed}")
    for entry in files:
        name, prices, train_end, valid_end = entry.split("=")
        dates = f"split.train_end={train_end},split.valid_end={valid_end}"
        yield Place(name, "ohlcv", f"ohlcv_path={Path(prices).resolve()},labels.entry=close,{dates}")


def measured(folder: Path, place: Place, seeds: list[int]) -> pd.DataFrame:
    """Train every variant that is not finished and measure it on the test part.

    Returns:
        part, scores, seed, horizon, date, rank_ic.
    """
    own = folder / place.name
    finished = own / "data" / "finished"
    if not finished.exists():
        kedro_run(own, place.environment, {}, "data", place.params)
        finished.touch()
    catalog = catalog_of(own)
    training = catalog.load("params:training")
    model = ModelParams.model_validate(laid_over(catalog.load("params:model").model_dump(), WITH_PATH))
    read = (catalog.load(name) for name in ("features", "labels", "graph_edges", "feature_manifest"))
    market = build_market(*read, model, catalog.load("split"))
    labels, days = catalog.load("labels"), []
    for part, changes in PARTS.items():
        wanted = ModelParams.model_validate(laid_over(model.model_dump(), changes.get("model", {})))
        if part != "full" and (wanted, changes.get("training")) == (model, None):
            continue  # the recipe has no such part
        for seed in seeds:
            kept = own / "scores" / f"{part.replace(' ', '_')}_{seed}.parquet"
            if not kept.exists():
                again = {"seed": seed, "seeds": (), **changes.get("training", {})}
                changed = TrainingParams.model_validate(laid_over(training.model_dump(), again))
                kept.parent.mkdir(exist_ok=True)
                scored(market, wanted, changed).to_parquet(kept)
            days.append(rank_ics(pd.read_parquet(kept), labels).assign(part=part, seed=seed))
    return pd.concat(days, ignore_index=True)


def scored(market: Market, model: ModelParams, training: TrainingParams) -> pd.DataFrame:
    """Train a model and return `SCORES_OF` it on the test part: model, date, code, split, score_<h>d."""
    parts = (market.parts["train"], market.parts["valid"])
    trained = fit_ensemble(market.tensors, *parts, market.manifest["hash"], model, training).ensemble
    alone = replace(trained, seed_models=tuple(map(_without_path, trained.seed_models)))
    frames = []
    for name, models in zip(SCORES_OF, (trained, alone), strict=True):
        found, _ = predict_market(models, market, models.params, {"test": market.days("test")}, "cpu")
        frames.append(found[["date", "code", "split", *SCORES]].assign(model=name))
    return pd.concat(frames, ignore_index=True)


def _without_path(model: SeedModel) -> SeedModel:
    weights = {name: value for name, value in model.weights.items() if not name.startswith("linear_path.")}
    without = model.params.model_copy(
        update={"linear_path": model.params.linear_path.model_copy(update={"enabled": False})}
    )
    return replace(model, weights=weights, params=without)


def rank_ics(scores: pd.DataFrame, labels: Any) -> pd.DataFrame:
    """Return scores, horizon, date, rank_ic of the scores of one training."""
    return pd.concat(
        pd.DataFrame(
            {
                "scores": part.model,
                "horizon": horizon,
                "date": part.dates,
                "rank_ic": rank_ic(part.scores[horizon], part.returns[horizon]),
            }
        )
        for part in wide_parts(scores, labels)
        for horizon in HORIZONS
    )


def table(days: dict[str, pd.DataFrame]) -> Iterator[dict[str, Any]]:
    """Yield rank IC of every variant and what the recipe has more, session by session, means over the seeds.

    Sample markets follow one another as if they were one long test part: so does the interval read them.
    """
    samples = [name for name in days if name.startswith("sample")]
    groups = ({"sample": samples} if samples else {}) | {name: [name] for name in days if name not in samples}
    for group, names in groups.items():
        measured_parts = set.intersection(*(set(days[name]["part"]) for name in names))
        compared = [("linear path", "mixed", ("full", "network"))]
        compared += [(p, kind, (p, kind)) for p in PARTS if p in measured_parts - {"full"} for kind in SCORES_OF]
        for part, kind, less in compared:
            for horizon in HORIZONS:
                pairs = [_pairs(days[name], ("full", kind), less, horizon) for name in names]
                row = {"markets": group, "less": part, "scores": kind, "horizon": horizon_name(horizon)}
                yield row | difference([pd.concat(pairs, ignore_index=True).dropna()], horizon)


def _pairs(days: pd.DataFrame, recipe: tuple[str, str], less: tuple[str, str], horizon: int) -> pd.DataFrame:
    return pd.DataFrame({"model": _daily(days, *recipe, horizon), "control": _daily(days, *less, horizon)})


def _daily(days: pd.DataFrame, part: str, kind: str, horizon: int) -> pd.Series:
    own = days[(days["part"] == part) & (days["scores"] == kind) & (days["horizon"] == horizon)]
    mean: pd.Series = own.groupby("date")["rank_ic"].mean()
    return mean


def main() -> None:
    """Measure every market, then print and keep the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--sample", type=int, nargs="*", default=[11, 12], help="seeds of sample markets")
    parser.add_argument("--file", action="append", default=[], metavar="NAME=PRICES=TRAIN_END=VALID_END")
    parser.add_argument("--seed", type=int, nargs="*", default=[0], help="of the training")
    given = parser.parse_args()
    torch.set_num_threads(1)
    folder = given.folder.resolve()
    days = {place.name: measured(folder, place, given.seed) for place in places(given.sample, given.file)}
    write("recipe_parts", [{"seeds": given.seed}, *table(days)])


if __name__ == "__main__":
    main()
