"""What a morning knows of the rankings published before it: rank IC, decay, drift and coverage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from gogooku_kedro.columns import HORIZONS, horizon_name
from gogooku_kedro.labels.returns import entry_lag
from gogooku_kedro.labels.split import part_range
from gogooku_kedro.metrics.daily import number
from gogooku_kedro.metrics.significance import HORIZONS_FOR_INTERVAL, MIN_DAYS, mean_interval
from gogooku_kedro.monitoring.decay import AlarmRule, alarm_rule, shortfall
from gogooku_kedro.monitoring.drift import feature_drift
from gogooku_kedro.monitoring.matured import matured_days, reference_days, rolling_mean
from gogooku_kedro.params import EvaluationParams, LabelsParams
from gogooku_kedro.typing import BoolArray, FloatArray


@dataclass(frozen=True)
class Monitoring:
    """What is known on a morning.

    Attributes:
        morning: The last session that is known.
        days: From `matured_days`.
        horizons: Per horizon ("1d"): `rank_ic`, `rank_ic_ci`, `days` of the rankings, and the same with the ending
            `_backtest` of the sessions before them; None = not known.
        rolling: From `rolling_mean`, of the horizon of the alarm.
        summed: Shortfall by date, of the horizon of the alarm; empty without a rule.
        rule: The alarm line; None where the backtest allows none.
        crossed: First session whose label carried the sum over the line; None while it did not.
        drift: From `feature_drift`.
        horizon: Of the alarm, in sessions.
    """

    morning: pd.Timestamp
    days: pd.DataFrame
    horizons: dict[str, dict[str, Any]]
    rolling: pd.DataFrame
    summed: pd.Series[float]
    rule: AlarmRule | None
    crossed: pd.Timestamp | None
    drift: pd.DataFrame
    horizon: int

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON types; a number that does not exist is None."""
        alarm = {
            "horizon": horizon_name(self.horizon),
            "rule": None if self.rule is None else asdict(self.rule),
            "shortfall": None if self.summed.empty else number(float(self.summed.iloc[-1])),
            "crossed": None if self.crossed is None else f"{self.crossed:%Y-%m-%d}",
        }
        days = self.days.assign(date=self.days["date"].dt.strftime("%Y-%m-%d"))
        return {
            "morning": f"{self.morning:%Y-%m-%d}",
            "horizons": self.horizons,
            "alarm": alarm,
            "drift": _records(self.drift),
            "days": _records(days),
        }


def monitor(
    rankings: pd.DataFrame,
    panel: xr.Dataset,
    in_universe: xr.DataArray,
    raw_features: xr.Dataset,
    backtest: pd.DataFrame,
    facts: Mapping[str, Any],
    settings: tuple[LabelsParams, EvaluationParams],
    morning: pd.Timestamp,
    recent: xr.Dataset | None = None,
) -> Monitoring:
    """Hold published rankings against what came of them, with what is known after the close of a morning.

    Args:
        rankings: From `scores_of`.
        panel: Market panel.
        in_universe: (date, code) bool.
        raw_features: Features before they are normalised; they may end before the morning.
        backtest: `daily_metrics` of the network.
        facts: `split` and `feature_manifest`.
        settings: Sections `labels` and `evaluation`.
        morning: A session of the panel.
        recent: Features before they are normalised of the sessions up to the morning, for the drift; None where
            `raw_features` has them.

    Raises:
        ValueError: No ranking of the morning or before, or the morning is no session of the panel.
    """
    labelling, evaluation = settings
    dates = panel.indexes["date"]
    if morning not in dates:
        raise ValueError(f"{morning:%Y-%m-%d} is no session of the market, which ends on {dates[-1]:%Y-%m-%d}")
    days = matured_days(rankings, panel, in_universe, labelling, morning)
    if days.empty:
        raise ValueError(f"no ranking of {morning:%Y-%m-%d} or before was published; kedro daily publishes one")
    chosen, first = evaluation.monitoring, days["date"].min()
    lag = entry_lag(labelling.entry)
    references = {h: reference_days(backtest, h, first, h + lag, _fewest(h)) for h in HORIZONS}
    rule = alarm_rule(
        references[chosen.horizon],
        horizon=chosen.horizon,
        sessions=evaluation.sessions_per_year,
        rate=chosen.false_alarm_rate,
        draws=chosen.draws,
        seed=evaluation.seed,
    )
    series = _series(days, chosen.horizon)
    summed = pd.Series(dtype=float) if rule is None else pd.Series(shortfall(series, rule.mean), index=series.index)
    over = summed.index[summed > rule.threshold] if rule is not None else summed.index[:0]
    return Monitoring(
        morning=morning,
        days=days,
        horizons={horizon_name(h): _beside(_series(days, h), references[h], h) for h in HORIZONS},
        rolling=rolling_mean(series, chosen.window, chosen.horizon),
        summed=summed,
        rule=rule,
        crossed=over[0] if len(over) else None,
        drift=_drift(raw_features, recent, in_universe, facts, morning, chosen.drift_window),
        horizon=chosen.horizon,
    )


def _drift(
    raw: xr.Dataset,
    recent: xr.Dataset | None,
    in_universe: xr.DataArray,
    facts: Mapping[str, Any],
    morning: pd.Timestamp,
    window: int,
) -> pd.DataFrame:
    """Drift up to the morning, or up to the last session of the features where they end before."""
    dates = pd.DatetimeIndex(raw.indexes["date"])
    last = int(dates.searchsorted(morning, side="right")) - 1
    train = part_range(facts["split"], dates, "train")
    later = None if recent is None else (recent, _inside(in_universe, recent))
    return feature_drift(raw, _inside(in_universe, raw), facts["feature_manifest"], train, last, window, later)


def _inside(in_universe: xr.DataArray, features: xr.Dataset) -> BoolArray:
    """The universe on the grid of features; a code or session that the market has no more is in none."""
    on_grid = in_universe.reindex(date=features["date"], code=features["code"], fill_value=False)
    inside: BoolArray = on_grid.transpose("date", "code").to_numpy()
    return inside


def _fewest(horizon: int) -> int:
    return max(MIN_DAYS, HORIZONS_FOR_INTERVAL * horizon)


def _series(days: pd.DataFrame, horizon: int) -> pd.Series[float]:
    """Rank IC of a horizon by date, of the sessions whose labels are known."""
    own = days[days["horizon"] == horizon_name(horizon)].set_index("date")["rank_ic"]
    return own.dropna().sort_index()


def _beside(live: pd.Series[float], reference: FloatArray, horizon: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for ending, values in (("", live.to_numpy(np.float64)), ("_backtest", reference)):
        found[f"rank_ic{ending}"] = number(float(values.mean())) if len(values) else None
        found[f"rank_ic_ci{ending}"] = [number(end) for end in mean_interval(values, horizon)]
        found[f"days{ending}"] = len(values)
    return found


def _records(table: pd.DataFrame) -> list[dict[str, Any]]:
    plain = table.astype(object).where(table.notna(), None)
    return [{str(name): value for name, value in row.items()} for row in plain.to_dict("records")]
