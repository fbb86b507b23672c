"""A user's own scores, measured as every model is and set beside the baselines: `gk.evaluate`, `kedro evaluate`."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from gogooku_kedro.arrays.cross_section import universe_mask
from gogooku_kedro.artifacts import atomic_file
from gogooku_kedro.backtest.targets import LONG_SHORT
from gogooku_kedro.baselines import table
from gogooku_kedro.baselines.neutral import neutral_frames
from gogooku_kedro.baselines.rows import FitContext, FitSettings
from gogooku_kedro.columns import horizon_name, score_column
from gogooku_kedro.labels.split import Part, Split, split_mask
from gogooku_kedro.metrics.align import horizons_of
from gogooku_kedro.metrics.given_scores import given_scores, last_labelled, read_scores, scored_horizons
from gogooku_kedro.params import EvaluationParams, FeaturesParams, IngestionParams, LabelsParams

if TYPE_CHECKING:
    from gogooku_kedro.report.results import Comparison
    from gogooku_kedro.study import Study

logger = logging.getLogger(__name__)

OWN = "own"
"""Name of the scores in every table, unless another is given."""
PARTS: tuple[Part, ...] = ("valid", "test")
STORED = ("panel", "events", "features", "labels", "graph_edges", "split", "model_predictions")
"""What of a finished run scores are measured on."""


@dataclass(frozen=True)
class Ground:
    """What scores are measured on, and the models they are set beside.

    Attributes:
        panel: Market panel (date, code).
        events: Events on its grid; of them the margin balances say what can be sold short.
        labels: `ret` (date, code, horizon), fractions.
        in_universe: (date, code) bool.
        split: Parts that are measured, by name: [from, to].
        models: Predictions of the baselines, frame by frame.
        graph_edges: For the version without the neighbours' mean; None where there is no graph.
        labelling: Section `labels`.
        evaluation: Section `evaluation`.
        timezone: Zone of stamps with a UTC offset.
    """

    panel: xr.Dataset
    events: xr.Dataset
    labels: xr.Dataset
    in_universe: xr.DataArray
    split: Split
    models: Iterable[pd.DataFrame]
    graph_edges: pd.DataFrame | None
    labelling: LabelsParams
    evaluation: EvaluationParams
    timezone: str

    @classmethod
    def of_panel(cls, panel: xr.Dataset, settings: Mapping[str, Any]) -> Ground:
        """Return a panel by itself: all of it is one test part, and the baselines are those that learn nothing."""
        from gogooku_kedro.pipelines.features import nodes  # noqa: PLC0415

        labelling = LabelsParams.model_validate(settings["labels"])
        evaluation = EvaluationParams.model_validate(settings["evaluation"])
        labels = nodes.make_labels(panel, labelling)
        features = FeaturesParams.model_validate(settings["features"])
        in_universe = universe_mask(panel, min_history=min(features.min_history, panel.sizes["date"])).load()
        dates = pd.DatetimeIndex(panel.indexes["date"])
        before = f"{dates[0] - pd.Timedelta(days=1):%Y-%m-%d}"
        split: Any = {"valid": [before, before], "test": [f"{dates[0]:%Y-%m-%d}", f"{dates[-1]:%Y-%m-%d}"]}
        context = FitContext(
            features=xr.Dataset({"in_universe": in_universe}),
            labels=labels,
            panel=panel,
            graph_edges=pd.DataFrame(),
            split=split,
            manifest={},
            settings=FitSettings(evaluation.seed, 1, "cpu"),
        )
        rules = [model for model in table.MODELS if model.role in ("rule", "chance")]
        models = [table.fit_function(model)(context).assign(model=model.name) for model in rules]
        zone = IngestionParams.model_validate(settings["ingestion"]).timezone
        empty = xr.Dataset(coords=panel.coords)
        return cls(panel, empty, labels, in_universe, split, models, None, labelling, evaluation, zone)

    @classmethod
    def of_run(cls, load: Callable[[str], Any], settings: Mapping[str, Any]) -> Ground:
        """Return what a finished run left, dataset by dataset; the baselines are all of its models."""
        panel, events, features, labels, edges, split, models = (load(name) for name in STORED)
        return cls(
            panel,
            events,
            labels,
            features["in_universe"].load(),
            split,
            models,
            edges,
            LabelsParams.model_validate(settings["labels"]),
            EvaluationParams.model_validate(settings["evaluation"]),
            IngestionParams.model_validate(settings["ingestion"]).timezone,
        )


@dataclass(frozen=True)
class Evaluation:
    """What was measured of own scores and of the baselines on the same stocks and sessions.

    Attributes:
        name: Of the own scores.
        horizons: Names of the horizons that have scores.
        rows: Rows read, left out and measured.
        scores: The measured rows: date, code, split, score_<h>d.
        daily: Table of `daily_metrics`.
        deciles: Table of `daily_metrics_and_deciles`.
        portfolio_returns: Table of `backtest_portfolios`.
        metrics: Part -> model -> horizon -> figures, as in metrics.json.
        portfolios: As in portfolio_metrics.json.
        comparisons: Part -> baseline -> horizon -> the difference in rank IC, session by session.
        ground: What it was measured on.
    """

    name: str
    horizons: list[str]
    rows: dict[str, int]
    scores: pd.DataFrame = field(repr=False)
    daily: pd.DataFrame = field(repr=False)
    deciles: pd.DataFrame = field(repr=False)
    portfolio_returns: pd.DataFrame = field(repr=False)
    metrics: dict[str, dict[str, dict[str, dict[str, Any]]]] = field(repr=False)
    portfolios: dict[str, Any] = field(repr=False)
    comparisons: dict[str, dict[str, dict[str, Comparison]]] = field(repr=False)
    ground: Ground = field(repr=False)

    @property
    def part(self) -> str:
        """The last part with scores: test, or valid where there are none of it."""
        return "test" if "test" in self.metrics else "valid"

    def table(self, part: str | None = None) -> pd.DataFrame:
        """Return a row per model and horizon: rank IC with its 95% interval, Sharpe ratios, and own less baseline.

        `net_sharpe` is that of the simulated portfolio, which neutral versions do not have; `decile_sharpe` that of the
        decile portfolio; both after `evaluation.cost_bps`.
        """
        part, cost = part or self.part, f"{self.ground.evaluation.cost_bps:g}"
        rows = []
        for model, of_horizon in self.metrics[part].items():
            for horizon, figures in of_horizon.items():
                cell = self.comparisons[part].get(model, {}).get(horizon)
                low, high = figures["rank_ic_ci"]
                less: dict[str, float | str | None] = {"own_less_model": None, "answer": ""}
                if cell is not None:
                    less = {"own_less_model": cell.difference, "answer": cell.answer}
                rows.append(
                    {"model": model, "horizon": horizon, "rank_ic": figures["rank_ic"], "low": low, "high": high}
                    | {name: figures[name] for name in ("rank_icir", "turnover")}
                    | {"net_sharpe": _simulated(self.portfolios[part], model, horizon, cost)}
                    | {"decile_sharpe": figures["sharpe_net"], "days": figures["days"]}
                    | less
                )
        return pd.DataFrame(rows)

    def as_dict(self) -> dict[str, Any]:
        """Return everything but the daily tables, ready for JSON."""
        compared = {
            part: {name: {h: asdict(cell) for h, cell in cells.items()} for name, cells in models.items()}
            for part, models in self.comparisons.items()
        }
        return {
            "name": self.name,
            "horizons": self.horizons,
            "rows": self.rows,
            "metrics": self.metrics,
            "portfolios": self.portfolios,
            "own_less_baseline": compared,
        }

    def save(self, folder: str | Path) -> list[Path]:
        """Write metrics.json, daily_metrics.parquet and portfolio_returns.parquet into a folder; return the paths."""
        where = Path(folder)
        where.mkdir(parents=True, exist_ok=True)
        tables = {"daily_metrics": self.daily, "portfolio_returns": self.portfolio_returns}
        paths = [where / "metrics.json", *(where / f"{name}.parquet" for name in tables)]
        with atomic_file(paths[0]) as unfinished:
            Path(unfinished).write_text(json.dumps(self.as_dict(), indent=2, allow_nan=False), encoding="utf-8")
        for path, frame in zip(paths[1:], tables.values(), strict=True):
            with atomic_file(path) as unfinished:
                frame.to_parquet(unfinished, index=False)
        return paths

    def __str__(self) -> str:
        shown = self.table().round(4).to_string(index=False)
        rows = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in self.rows.items())
        return f"{self.name}, {self.part} part; rows: {rows}\n{shown}"


def evaluate(
    scores: pd.DataFrame | pd.Series[float] | str | Path,
    market: Study | xr.Dataset,
    *,
    name: str = OWN,
    settings: Mapping[str, Any] | None = None,
) -> Evaluation:
    """Measure own scores as every model is measured, beside the baselines on the same stocks and sessions.

    Args:
        scores: A row per date and code, in columns or in the index: date, code, and `score` (serves every horizon) or
            `score_<h>d` for single horizons; or a Parquet or CSV file of it. High = expected to do better.
        market: A study, beside all of whose models the scores are set on its validation and test part; or a panel,
            of which all is one test part and whose baselines are those that learn nothing.
        name: What the scores are called in tables and figures.
        settings: Of `load_settings`, for a panel; those of `base` without.

    Raises:
        ValueError: The scores do not fit the market, see `given_scores`; the message names the column and the fix.
    """
    from gogooku_kedro.study import Study, load_settings  # noqa: PLC0415

    given = read_scores(Path(scores)) if isinstance(scores, str | Path) else scores
    if isinstance(market, Study):
        return measure(given, Ground.of_run(market.__getitem__, market.settings), name)
    return measure(given, Ground.of_panel(market, settings or load_settings()), name)


def measure(scores: pd.DataFrame | pd.Series[float], ground: Ground, name: str = OWN) -> Evaluation:
    """Measure own scores and the baselines on the same stocks and sessions.

    Args:
        scores: As for `given_scores`.
        ground: What they are measured on.
        name: What they are called in tables and figures.

    Raises:
        ValueError: As `given_scores`; the name is that of a model; or no row lies in a measured part and the
            universe.
    """
    from gogooku_kedro.metrics.daily import summarise_metrics  # noqa: PLC0415
    from gogooku_kedro.pipelines.evaluation import nodes  # noqa: PLC0415

    if table.find(table.split_name(name)[0]) is not None:
        raise ValueError(f"name: {name!r} is a model of the table; give the scores another name")
    if not name.isidentifier():
        raise ValueError(f"name: {name!r} has other characters than letters, digits and _; leave them out")
    read = given_scores(scores, ground.labels, timezone=ground.timezone)
    horizons = [horizon_name(horizon) for horizon in scored_horizons(read, ground.labels)]
    own, rows = _measured_rows(read, ground)
    beside = list(_beside(own.assign(model=name), ground))
    rules, features = ground.evaluation, xr.Dataset({"in_universe": ground.in_universe})
    daily, deciles = nodes.measure_days(beside, features, ground.labels, rules)
    whole = [frame for frame in beside if table.split_name(str(frame["model"].iloc[0]))[1] is None]
    returns, portfolios = nodes.measure_portfolios(
        whole, ground.panel, ground.events, ground.labels, ground.labelling, rules
    )
    daily, deciles, returns = (frame[frame["horizon"].isin(horizons)] for frame in (daily, deciles, returns))
    metrics = summarise_metrics(
        daily, rules.sessions_per_year, deciles=deciles, replications=rules.bootstrap_samples, seed=rules.seed
    )
    return Evaluation(
        name, horizons, rows, own, daily, deciles, returns, metrics, portfolios, _comparisons(daily, name), ground
    )


def _simulated(portfolios: Mapping[str, Any], model: str, horizon: str, cost: str) -> float | None:
    """Net Sharpe ratio of the simulated long-short portfolio of a model; None where none is held."""
    found = portfolios.get(model, {}).get(LONG_SHORT, {}).get(horizon)
    return None if found is None else found["costs"][cost]["sharpe_active"]


def _measured_rows(read: pd.DataFrame, ground: Ground) -> tuple[pd.DataFrame, dict[str, int]]:
    """Rows of the parts and the universe, with their part, and how many were left out for which reason."""
    dates = read["date"].to_numpy()
    part = np.full(len(read), "", dtype=object)
    for name in PARTS:
        part[split_mask(ground.split, dates, name)] = name
    inside = ground.in_universe.transpose("date", "code")
    places = inside.indexes["date"].get_indexer(read["date"]), inside.indexes["code"].get_indexer(read["code"])
    member = inside.to_numpy()[places]
    last = last_labelled(read, ground.labels)
    labelled = (read["date"] <= last).to_numpy()
    kept = labelled & member & (part != "")
    left_out = {
        "later_than_the_last_label": ~labelled,
        "outside_validation_and_test": labelled & (part == ""),
        "outside_the_universe": labelled & (part != "") & ~member,
    }
    counts = {reason: int(out.sum()) for reason, out in left_out.items()}
    if not labelled.any():
        raise ValueError(
            f"all {len(read):,} scores are of sessions that have no label yet, later than {last:%Y-%m-%d}; give scores "
            f"of earlier sessions too"
        )
    if not kept.any():
        spans = " and ".join(f"{name} {' to '.join(ground.split[name])}" for name in PARTS)
        raise ValueError(
            f"none of the {len(read):,} scores lies in a part that is measured ({spans}) and in its universe; give "
            f"scores of those sessions"
        )
    for reason, count in counts.items():
        if count:
            logger.info("%d of %d scores are left out: %s", count, len(read), reason.replace("_", " "))
    names = ["date", "code", "split", *(name for name in read if str(name).startswith("score_"))]
    rows = {"read": len(read), **counts, "measured": int(kept.sum())}
    return read.assign(split=part)[kept][names].reset_index(drop=True), rows


def _beside(own: pd.DataFrame, ground: Ground) -> Iterator[pd.DataFrame]:
    """The own scores, their neutral versions where there is a graph, and the models on the same rows."""
    keys = ["date", "code"]
    columns = [score_column(horizon) for horizon in horizons_of(ground.labels)]
    yield own
    if ground.graph_edges is not None:
        factors = ground.evaluation.factors
        scored = own.dropna(axis=1, how="all")
        settings = {"factors": factors.number, "window": factors.window, "cadence": factors.cadence}
        for version in neutral_frames([scored], ground.graph_edges, ground.panel, **settings):
            yield version.reindex(columns=["model", *keys, "split", *columns])
    for frame in ground.models:
        models = frame[frame["model"].map(lambda model: table.split_name(model)[1] is None)]
        same = models.merge(own[keys], on=keys)
        if len(same):
            yield same[["model", *keys, "split", *columns]]


def _comparisons(daily: pd.DataFrame, name: str) -> dict[str, dict[str, dict[str, Comparison]]]:
    from gogooku_kedro.report.key_results import compare_models  # noqa: PLC0415

    others = [model for model in daily["model"].unique() if table.find(str(model)) is not None]
    return {
        str(part): {str(other): compare_models(days, name, str(other)) for other in others}
        for part, days in daily.groupby("split", sort=False)
    }
