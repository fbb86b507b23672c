"""Is a recipe ahead of the baselines, on markets it was not tuned on? The protocol of docs/results.md.

    OMP_NUM_THREADS=1 python -m benchmarks.forecast tune FOLDER [--file NAME=PRICES ...] [--recipe CHANGES.yml]
    OMP_NUM_THREADS=1 python -m benchmarks.forecast open FOLDER [--file NAME=PRICES ...] [--recipe CHANGES.yml]

A recipe is the shipped settings with the changes of a YAML file laid over them. `tune` looks at five sample markets
and, of every price file, at walk-forward folds that end before its last year; `open` looks at five other sample
markets and at that last year, and is called once. The controls are frozen below: they are not part of a recipe and
get the same means as the network, ten seeds each. Whatever is finished in FOLDER is taken from there. Every call is
one trial and is counted in FOLDER/trials.jsonl; the deflated Sharpe ratio of a chosen recipe needs the number.
"""

import argparse
import hashlib
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import yaml
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from scipy import stats

from benchmarks.kedro_run import CONF, ENVIRONMENT, Changes, kedro_run
from benchmarks.measure import write
from gogooku_kedro.baselines import lightgbm, lstm
from gogooku_kedro.baselines.blend import mean_of_ranks
from gogooku_kedro.baselines.neutral import neutral_versions
from gogooku_kedro.baselines.rows import FitContext, FitSettings
from gogooku_kedro.columns import HORIZONS, horizon_name
from gogooku_kedro.metrics.daily import daily_metrics
from gogooku_kedro.metrics.paired_seeds import days_to_decide
from gogooku_kedro.metrics.significance import cosine_error, icir, mean_interval
from gogooku_kedro.walk_forward.refit import History

Phase = Literal["tune", "open"]

SAMPLE_SEEDS: dict[Phase, tuple[int, ...]] = {"tune": (11, 12, 13, 14, 15), "open": (21, 22, 23, 24, 25)}
"""Seeds of the sample markets; that of `make run` and of the tests, 1, is in neither."""

CONTROL_SEEDS = range(10)
BLENDS = {
    "lightgbm_ridge": ("lightgbm_10_seeds", "ridge"),
    "model_lightgbm_ridge": ("model", "lightgbm_10_seeds", "ridge"),
}
"""Ranks averaged with equal weights; the blend with the network is shown beside the same one without it."""

CONTROLS = ("lightgbm", "lightgbm_10_seeds", "lightgbm_peers", "ridge", "lstm_10_seeds", "lightgbm_ridge")
FIGURES = {"rank_ic": "raw", "rank_ic_one_day_late": "lag-1"}
TEST_SESSIONS = 245
FOLDS: dict[Phase, int] = {"tune": 3, "open": 1}


@dataclass(frozen=True)
class Trial:
    """A recipe in a phase.

    Attributes:
        phase: `tune` or `open`.
        folder: Of everything it computes.
        changes: Laid over the files of the environment.
        files: Name to price file.
    """

    phase: Phase
    folder: Path
    changes: Changes
    files: dict[str, Path]

    @property
    def recipe(self) -> str:
        """Short hash of the changes; equal recipes share their folders."""
        return hashlib.sha256(json.dumps(self.changes, sort_keys=True).encode()).hexdigest()[:8]

    def market(self, name: str) -> Path:
        """Return the folder of the run on a market."""
        return self.folder / self.recipe / f"{self.phase}_{name}"


def sample_days(trial: Trial, seed: int) -> pd.DataFrame:
    """Run the recipe of `conf/base` on a sample market and measure its test part."""
    folder = trial.market(f"sample_{seed}")
    changes = {"parameters.yml": trial.changes.get("base", {})}
    return _measured(
        folder, "base", changes, "data,training,baselines", f"market_seed={seed},ablation.arm_in_run=false"
    )


def file_days(trial: Trial, name: str, prices: Path) -> pd.DataFrame:
    """Run the recipe of `conf/ohlcv` through walk-forward folds of a price file and measure their test parts.

    The last year is not in the file that `tune` reads: nothing of it can be looked at.
    """
    folder = trial.market(name)
    folder.mkdir(parents=True, exist_ok=True)
    known = folder / "prices.parquet"
    if not known.exists():
        _before_last_year(pd.read_parquet(prices), trial.phase).to_parquet(known)
    folds = {"folds": FOLDS[trial.phase], "test_sessions": TEST_SESSIONS}
    changes = {"parameters.yml": {"walk_forward": folds} | trial.changes.get("ohlcv", {})}
    return _measured(folder, "ohlcv", changes, "data,walk_forward", f"ohlcv_path={known},labels.entry=close")


def _before_last_year(prices: pd.DataFrame, phase: Phase) -> pd.DataFrame:
    dates = pd.DatetimeIndex(np.sort(pd.to_datetime(prices["date"]).unique()))
    if phase == "open":
        return prices
    return prices[pd.to_datetime(prices["date"]) < dates[-TEST_SESSIONS]]


def _measured(folder: Path, environment: str, changes: Changes, pipelines: str, params: str) -> pd.DataFrame:
    kept = folder / "days.parquet"
    if not kept.exists():
        folder.mkdir(parents=True, exist_ok=True)
        kedro_run(folder, environment, changes, pipelines, params)
        measured = measure(folder, walk_forward="walk_forward" in pipelines)
        measured.to_parquet(kept)
    return pd.read_parquet(kept)


def measure(folder: Path, *, walk_forward: bool) -> pd.DataFrame:
    """Fit the controls beside a finished run and measure all its models on the test sessions.

    Returns:
        model, horizon, date, rank_ic, rank_ic_one_day_late.
    """
    catalog = catalog_of(folder)
    panel, edges, labels = (catalog.load(name) for name in ("panel", "graph_edges", "labels"))
    params = {name: catalog.load(f"params:{name}") for name in ("features", "model", "training", "evaluation")}
    own = FitSettings.of(params["model"], params["training"], params["evaluation"])
    if walk_forward:
        history = History(catalog.load("raw_features"), panel, labels, edges, catalog.load("candidate_manifest"))
        parts = [
            (fold.features, fold.labels, fold.graph_edges, fold.split, fold.manifest)
            for number, split in enumerate(catalog.load("walk_forward_splits"), start=1)
            for fold in [history.fold(number, split, params["features"])]
        ]
        scores = catalog.load("walk_forward_predictions").drop(columns="fold")
    else:
        manifest, split = catalog.load("feature_manifest"), catalog.load("split")
        parts = [(catalog.load("features"), labels, edges, split, manifest)]
        scores = pd.concat(catalog.load("model_predictions"), ignore_index=True)
    controls = []
    for features, targets, graph, split, manifest in parts:
        known = panel.sel(date=features["date"])
        controls.append(fit_controls(FitContext(features, targets, known, graph, split, manifest, own)))
    scores = scores[scores["split"] == "test"]
    added = with_blends(pd.concat([scores[scores["model"].isin(("model", "ridge"))], *controls], join="inner"))
    added = added[~added["model"].isin(("model", "ridge"))]
    factors = params["evaluation"].factors
    neutral = neutral_versions(
        added, edges, panel, factors=factors.number, window=factors.window, cadence=factors.cadence
    )
    stacked = pd.concat([scores, added, neutral], join="inner", ignore_index=True)
    daily = daily_metrics(stacked, labels, params["evaluation"].cost_bps)
    return daily[["model", "horizon", "date", *FIGURES]]


def fit_controls(context: FitContext) -> pd.DataFrame:
    """Return model, date, code, split, score_<h>d of the test part: LightGBM and LSTM, ten seeds each."""
    seeds = {"lightgbm_10_seeds": lightgbm.fit, "lstm_10_seeds": lstm.fit}
    frames = []
    for name, fit in seeds.items():
        runs = [fit(replace(context, settings=replace(context.settings, seed=seed))) for seed in CONTROL_SEEDS]
        tested = [run[run["split"] == "test"] for run in runs]
        frames.append(mean_of_ranks(tested).assign(model=name))
    return pd.concat(frames, ignore_index=True)


def with_blends(scores: pd.DataFrame) -> pd.DataFrame:
    """Add the blends to the stacked scores of the models they are made of."""
    of = dict(tuple(scores.groupby("model")))
    blends = [mean_of_ranks([of[name] for name in names]).assign(model=blend) for blend, names in BLENDS.items()]
    return pd.concat([scores, *blends], join="inner", ignore_index=True)


def compare(
    days: dict[str, pd.DataFrame], models: tuple[str, ...] = ("model", "model_lightgbm_ridge")
) -> Iterator[dict[str, Any]]:
    """Yield one row per group of markets, model, control, horizon and figure.

    Of a price file the sessions decide: mean daily difference, interval as everywhere (`mean_interval`), and
    the sessions on which a true difference of that size would be found in four cases of five. Of sample markets
    the markets decide: mean of their differences, Student's interval over the markets.
    """
    samples = [name for name in days if name.startswith("sample")]
    groups = {name: [name] for name in days if name not in samples} | ({"sample": samples} if samples else {})
    for group, names in groups.items():
        for figure, words in FIGURES.items():
            for suffix, kind in (("", words), ("_pca_neutral", f"{words}, neutral")):
                for model in models:
                    for control in (*CONTROLS, *(m for m in models if m != model)):
                        for horizon in HORIZONS:
                            series = [
                                _paired(days[n], model + suffix, control + suffix, horizon, figure) for n in names
                            ]
                            own = {"markets": group, "scores": kind, "model": model, "control": control}
                            yield own | {"horizon": horizon_name(horizon)} | difference(series, horizon)


def difference(pairs: list[pd.DataFrame], horizon: int) -> dict[str, Any]:
    """Compare two daily series of one market, or of several, session by session.

    Args:
        pairs: Of every market, columns `model` and `control` on common sessions.
        horizon: Sessions of the label.
    """
    means = np.array([pair.mean().to_numpy() for pair in pairs])
    daily = [(pair["model"] - pair["control"]).to_numpy() for pair in pairs]
    row = {"model_mean": means[:, 0].mean(), "control_mean": means[:, 1].mean()}
    row |= {"model_icir": float(np.mean([icir(p["model"]) for p in pairs])), "days": sum(map(len, daily))}
    row["difference"] = row["model_mean"] - row["control_mean"]
    if len(pairs) == 1:
        low, high = mean_interval(daily[0], horizon)
        deviation = cosine_error(daily[0], horizon)[0] * math.sqrt(len(daily[0]))
        row |= {"low": low, "high": high, "days_to_decide": days_to_decide(deviation, row["difference"])}
    else:
        each = np.array([series.mean() for series in daily])
        half = stats.t.ppf(0.975, len(each) - 1) * each.std(ddof=1) / math.sqrt(len(each))
        row |= {"low": each.mean() - half, "high": each.mean() + half, "days_to_decide": None}
    return {name: round(value, 5) if isinstance(value, float) else value for name, value in row.items()}


def _paired(days: pd.DataFrame, model: str, control: str, horizon: int, figure: str) -> pd.DataFrame:
    own = days[days["horizon"] == horizon_name(horizon)].set_index("date")
    both = {"model": own.loc[own["model"] == model, figure], "control": own.loc[own["model"] == control, figure]}
    return pd.DataFrame(both).dropna()


def catalog_of(folder: Path) -> Any:
    bootstrap_project(CONF.parent)
    root = {"data_root": str(folder / "data")}
    session = KedroSession.create(
        CONF.parent,
        env=ENVIRONMENT,
        conf_source=str(folder / "conf"),
        runtime_params=root,
    )
    return session.load_context().catalog


def main() -> None:
    """Run the markets of a phase that are not finished, compare, print and keep the table, count the trial."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("phase", choices=("tune", "open"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--file", action="append", default=[], metavar="NAME=PRICES", help="daily prices in Parquet")
    parser.add_argument("--recipe", type=Path, help="YAML with `base` and `ohlcv`: changes to their parameters.yml")
    given = parser.parse_args()
    files = {name: Path(path).resolve() for name, _, path in (entry.partition("=") for entry in given.file)}
    changes = yaml.safe_load(given.recipe.read_text()) if given.recipe else {}
    trial = Trial(given.phase, given.folder.resolve(), changes, files)
    started = time.monotonic()
    days = {f"sample_{seed}": sample_days(trial, seed) for seed in SAMPLE_SEEDS[trial.phase]}
    days |= {name: file_days(trial, name, path) for name, path in files.items()}
    rows = list(compare(days))
    counted = {"recipe": trial.recipe, "phase": trial.phase, "changes": changes, "markets": sorted(days)}
    with (trial.folder / "trials.jsonl").open("a") as log:
        log.write(json.dumps(counted | {"seconds": round(time.monotonic() - started)}) + "\n")
    trials = len({line for line in (trial.folder / "trials.jsonl").read_text().splitlines()})
    write(f"forecast_{trial.phase}_{trial.recipe}", [{"trials_so_far": trials}, *rows])


if __name__ == "__main__":
    main()
