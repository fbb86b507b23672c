"""Why a morning publishes nothing: the checks of its prices, features and model, one sentence each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from pandera.errors import SchemaError, SchemaErrors

from gogooku_kedro.features.registry import find_feature, is_feature, unmet_needs
from gogooku_kedro.market.sessions import calendar_sessions
from gogooku_kedro.schemas import DailyBars

BEFORE = 20
"""Sessions before that the newest one is compared with."""

RECENT = 250
"""Sessions in which a need of the model has a value, or is taken for lost."""

_TABLE_OF = {"statements": "statements", "margin": "margin_balances", "investor_flows": "investor_flows"}


class NotPublishedError(ValueError):
    """A morning that must not publish; the text is its one sentence, and the command's exit code is 3."""


def expected_session(calendar: str, now: pd.Timestamp, published: str, delay_days: int) -> pd.Timestamp:
    """Return the newest session whose prices should be there.

    Args:
        calendar: exchange_calendars name.
        now: Local time.
        published: Time of day from which the prices of a session are out.
        delay_days: Days that the source is behind.
    """
    day = now.normalize() - pd.Timedelta(days=delay_days)
    if now < now.normalize() + pd.Timedelta(f"{published}:00"):
        day -= pd.Timedelta(days=1)
    return calendar_sessions(calendar, day - pd.Timedelta(days=30), day)[-1]


def check_session(newest: pd.Timestamp, expected: pd.Timestamp) -> None:
    """Hold the newest session of the prices against the one that should be.

    Raises:
        NotPublishedError: They are not the same.
    """
    if newest != expected:
        raise NotPublishedError(
            f"no ranking: the newest prices are of {newest:%Y-%m-%d}, and the newest session of the exchange is "
            f"{expected:%Y-%m-%d}; fetch again, or wait until its prices are out"
        )


def check_bars(daily_bars: pd.DataFrame, session: pd.Timestamp, rows_share: float) -> None:
    """Hold the bars against their schema, and the rows of the last 21 sessions against their median.

    Args:
        daily_bars: As from `standardise_bars`.
        session: The session that is ranked.
        rows_share: Of the median, a fraction.

    Raises:
        NotPublishedError: The schema is another, or rows are short.
    """
    try:
        DailyBars.validate(daily_bars)
    except (SchemaError, SchemaErrors) as error:
        first_line = str(error).partition("\n")[0]
        raise NotPublishedError(f"no ranking: the bars are not what a model reads: {first_line}") from error
    rows = daily_bars.groupby("date").size().tail(BEFORE + 1)
    usual = float(rows.median())
    short = rows[rows < rows_share * usual]
    if session not in rows.index:
        raise NotPublishedError(f"no ranking: no row of {session:%Y-%m-%d} is left after cleaning; look at its prices")
    if len(short):
        day, there = short.index[-1], int(short.iloc[-1])
        raise NotPublishedError(
            f"no ranking: {there} rows on {day:%Y-%m-%d}, where the sessions around have {usual:.0f} "
            f"(daily.rows_share = {rows_share:g}); fetch it again: `kedro jquants-audit --repair`, or a whole file"
        )


def check_manifest(market: xr.Dataset, manifest: Mapping[str, Any], model_hashes: list[str]) -> None:
    """Hold the features of the model against those that the market can feed.

    Args:
        market: Panel with events; what the graph gives is made later.
        manifest: Feature manifest.
        model_hashes: Hash of the manifest that each seed model was trained on.

    Raises:
        NotPublishedError: The model reads other features than the manifest says, or one that the market cannot feed.
    """
    if any(each != manifest["hash"] for each in model_hashes):
        raise NotPublishedError(
            f"no ranking: the model was trained on features {model_hashes[0][:12]}, the manifest is "
            f"{manifest['hash'][:12]}; train again with `kedro run --pipelines=training`"
        )
    unknown = [entry["name"] for entry in manifest["features"] if not is_feature(entry["name"])]
    if unknown:
        raise NotPublishedError(f"no ranking: the model reads features that are no more: {', '.join(unknown[:5])}")
    needs = {
        need
        for entry in manifest["features"]
        for need in find_feature(entry["name"]).needs
        if not need.startswith("neighbour_")
    }
    unmet = unmet_needs(market.isel(date=slice(-RECENT, None)), needs)
    if unmet:
        lost = [e["name"] for e in manifest["features"] if set(find_feature(e["name"]).needs) & unmet.keys()]
        raise NotPublishedError(
            f"no ranking: {len(lost)} features of the model have no data any more ({', '.join(lost[:5])}): "
            f"{next(iter(unmet.values()))}"
        )


def check_missing(features: xr.Dataset, manifest: Mapping[str, Any], missing_share: float) -> dict[str, float]:
    """Compare what the stocks of the last session lack with what they lacked on the sessions before.

    Args:
        features: `x` and `in_universe` of the last sessions.
        manifest: Feature manifest.
        missing_share: How much more a family may lack than the median of the sessions before, a fraction.

    Returns:
        Share of the family's features that the universe of the last session lacks, by family.

    Raises:
        NotPublishedError: No stock is in the universe, or a family lacks too much.
    """
    inside = features["in_universe"].values
    if not inside[-1].any():
        raise NotPublishedError("no ranking: no stock is in the universe on the newest session, on which few traded")
    masks = features["x"].sel(feature=[f"missing_{family}" for family in manifest["masks"]]).values
    recent, unknown = slice(-BEFORE - 1, None), np.full(len(manifest["masks"]), np.nan)
    days = zip(masks[recent], inside[recent], strict=True)
    shares = np.array([day[present].mean(axis=0) if present.any() else unknown for day, present in days])
    before = shares[:-1][~np.isnan(shares[:-1]).any(axis=1)]
    usual = np.median(before, axis=0) if len(before) else np.zeros(shares.shape[1])
    for family, now, then in zip(manifest["masks"], shares[-1], usual, strict=True):
        if now > then + missing_share:
            table = f"; look at the table {_TABLE_OF[family]}" if family in _TABLE_OF else ""
            raise NotPublishedError(
                f"no ranking: the family {family} lacks {now:.0%} of its values, and {then:.0%} on the sessions before "
                f"(daily.missing_share = {missing_share:g}){table}"
            )
    return dict(zip(manifest["masks"], shares[-1].astype(float).tolist(), strict=True))
