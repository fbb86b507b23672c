"""A morning from raw tables to a published ranking; a replay takes the same way and publishes nothing."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from gogooku_kedro.daily import checks
from gogooku_kedro.daily.knowledge import company_names, known_tables, newest_session
from gogooku_kedro.daily.page import render_page
from gogooku_kedro.daily.publication import Publications
from gogooku_kedro.daily.ranking import make_ranking
from gogooku_kedro.market import build_events
from gogooku_kedro.market.under_settings import bars_under, panel_under
from gogooku_kedro.params import DailyParams, IngestionParams
from gogooku_kedro.schemas import Ranking

LOGGER = logging.getLogger(__name__)

_LATER = 0.001  # seconds: a time stamp is cut to microseconds, and what came in at that moment is known

REPLAYS = "replays"
"""Folder beside the published rankings where replays lie."""


@dataclass(frozen=True)
class MorningMarket:
    """The market as it was known on a morning.

    Attributes:
        session: The session that is ranked.
        panel: Market panel up to it.
        events: Events on its grid.
        names: Name of the company by code.
        source: Where the prices are from.
        data_hash: Of the daily bars.
        known_at: Seconds since 1970 at which all of it was there.
    """

    session: pd.Timestamp
    panel: xr.Dataset
    events: xr.Dataset
    names: pd.Series
    source: str
    data_hash: str
    known_at: float


def market_of_morning(
    tables: Mapping[str, pd.DataFrame], ingestion: IngestionParams, daily: DailyParams, now: pd.Timestamp
) -> MorningMarket:
    """Return the market up to the newest session, or up to that of a replay, if its prices are all there.

    Args:
        tables: `raw_bars`, `listed_issues`, `market_index`, `statements`, `investor_flows`, `margin_balances`.
        ingestion: Section `ingestion`.
        daily: Section `daily`.
        now: Time, with its zone.

    Raises:
        NotPublishedError: The newest session is not the calendar's, the bars are not what a model reads, or rows are
            short.
    """
    newest = newest_session(tables["raw_bars"])
    session = newest if daily.as_of is None else pd.Timestamp(daily.as_of)
    known = known_tables(tables, session)
    newest = newest_session(known["raw_bars"])
    if daily.as_of is not None and newest != session:
        raise checks.NotPublishedError(
            f"no ranking: {session:%Y-%m-%d} is no session of the prices, and the last one before it is "
            f"{newest:%Y-%m-%d}; give --as-of a session"
        )
    if daily.as_of is not None:
        LOGGER.info("replaying the morning after %s", f"{session:%Y-%m-%d}")
    elif ingestion.calendar is not None:
        local = now.tz_convert(ingestion.timezone).tz_localize(None)
        checks.check_session(
            newest, checks.expected_session(ingestion.calendar, local, daily.published, daily.delay_days)
        )
    bars, report = bars_under(known["raw_bars"], known["listed_issues"], ingestion)
    checks.check_bars(bars, session, daily.rows_share)
    panel = panel_under(bars, known["market_index"], ingestion)
    events = build_events(panel, *(known[name] for name in ("statements", "investor_flows", "margin_balances")))
    known_at = daily.known_at or now.timestamp() + _LATER
    names, source = company_names(known["listed_issues"]), report["source"]
    return MorningMarket(session, panel, events, names, source, report["data_hash"], known_at)


def publish(
    market: MorningMarket,
    predicted: pd.DataFrame,
    reasons: pd.DataFrame,
    facts: Mapping[str, Any],
    daily: DailyParams,
) -> dict[str, Any]:
    """Publish the ranking of a morning and let the pointer name it; write a replay beside, and compare the two.

    A session that was published stays as it was, whatever came in later; a ranking that would be another now is said
    in the log.

    Args:
        market: The market of the morning.
        predicted: Scores and quantiles, as from `predict_market`.
        reasons: By code.
        facts: Of the model: `model`, `scored_by`, `feature_hash`, `n_features`, `missing`.
        daily: Section `daily`.

    Returns:
        The facts of the ranking, and `state`: published, published before, replayed as published, replayed (nothing
        was published to compare with) or replayed and different.
    """
    publications = Publications(Path(daily.rankings))
    before, stored = publications.before(market.session), publications.facts(market.session)
    earlier = None if before is None else publications.ranking(before)
    today = market.panel.sel(date=market.session)
    ranking = make_ranking(predicted, today, market.names, reasons, earlier, daily.horizon)
    all_facts = {
        **facts,
        "before": None if before is None else f"{before:%Y-%m-%d}",
        "known_at": market.known_at,
        "source": market.source,
        "data_hash": market.data_hash,
    }
    page = render_page(ranking, all_facts, daily.horizon)
    if daily.as_of is None and stored is None:
        written = publications.publish(ranking, page, all_facts)
        publications.point(market.session)
        return {**written, "state": "published"}
    same = stored is not None and _equal(ranking, publications.ranking(market.session))
    if daily.as_of is None and stored is not None:
        if not same:
            LOGGER.warning(
                "the ranking of %s was published before and stays; with what is known now it would be another",
                f"{market.session:%Y-%m-%d}",
            )
        publications.point(market.session)
        return {**stored, "state": "published before"}
    written = Publications(Path(daily.rankings) / REPLAYS).publish(ranking, page, all_facts)
    state = "replayed" if stored is None else "replayed as published" if same else "replayed and different"
    return {**written, "state": state}


def _equal(left: pd.DataFrame, right: pd.DataFrame) -> bool:
    """Whether two rankings are the same in every bit."""
    return bool(Ranking.validate(left).equals(right))
