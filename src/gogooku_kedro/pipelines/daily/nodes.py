"""The morning: what is known, the sessions that are new, their scores, and the published ranking."""

from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from gogooku_kedro.params import (
    DailyParams,
    FeaturesParams,
    GraphParams,
    IngestionParams,
    ModelParams,
    TrainingParams,
)

Tables = dict[str, pd.DataFrame]
MorningMarket = Any
Chosen = Any
Models = Any
Sessions = Any
Scored = Any
"""A `daily.morning.MorningMarket`, a `champion.choice.Chosen`, a `training.Ensemble`, a `daily.sessions.Extension`
and a `daily.scoring.Scored`: naming the classes here would import torch."""


def gather_tables(
    raw_bars: pd.DataFrame,
    listed_issues: pd.DataFrame,
    market_index: pd.DataFrame,
    statements: pd.DataFrame,
    investor_flows: pd.DataFrame,
    margin_balances: pd.DataFrame,
) -> Tables:
    """Put the raw tables together."""
    return {
        "raw_bars": raw_bars,
        "listed_issues": listed_issues,
        "market_index": market_index,
        "statements": statements,
        "investor_flows": investor_flows,
        "margin_balances": margin_balances,
    }


def build_known_market(
    daily_tables: Tables, ingestion: IngestionParams, daily: DailyParams, now: pd.Timestamp | None = None
) -> MorningMarket:
    """Make panel and events of what is known, and refuse prices that are not all there."""
    from gogooku_kedro.daily.morning import market_of_morning

    return market_of_morning(daily_tables, ingestion, daily, now or pd.Timestamp.now(tz="UTC"))


def choose_model(ensemble: Models, feature_manifest: dict[str, Any], model: ModelParams, daily: DailyParams) -> Chosen:
    """Take the model that was trained last, or the registered champion; refuse one that does not fit."""
    from gogooku_kedro.champion.choice import TRAINED, Chosen, champion_of
    from gogooku_kedro.daily.checks import NotPublishedError
    from gogooku_kedro.tracking import server

    if daily.model == "trained":
        return Chosen(ensemble, TRAINED)
    try:
        return champion_of(server(), daily.champion.name, feature_manifest, model)
    except ValueError as error:
        raise NotPublishedError(f"no ranking: {error}") from error


def append_sessions(
    daily_market: MorningMarket,
    daily_model: Chosen,
    feature_manifest: dict[str, Any],
    features: FeaturesParams,
    graph: GraphParams,
    model: ModelParams,
    daily: DailyParams,
) -> tuple[Sessions, dict[str, Any]]:
    """Compute the features of the sessions that are new, and refuse what the model cannot read."""
    from gogooku_kedro.daily.checks import check_manifest, check_missing
    from gogooku_kedro.daily.scoring import sessions_needed
    from gogooku_kedro.daily.sessions import Extender, SessionStore

    panel, events, ensemble = daily_market.panel, daily_market.events, daily_model.ensemble
    hashes = [seed_model.feature_hash for seed_model in ensemble.seed_models]
    check_manifest(panel.assign(events.data_vars), feature_manifest, hashes)
    extender = Extender(SessionStore(Path(daily.sessions)), feature_manifest, features, graph)
    extension = extender.extend(panel, events, sessions_needed(panel.sizes["date"], model.window))
    missing = check_missing(extension.features, feature_manifest, daily.missing_share)
    facts = {
        "model": ensemble.fingerprint(),
        "scored_by": daily_model.name,
        "feature_hash": feature_manifest["hash"],
        "n_features": feature_manifest["n_features"],
        "missing": missing,
        "computed": [f"{date:%Y-%m-%d}" for date in extension.computed],
    }
    return extension, facts


def score_morning(
    daily_market: MorningMarket,
    daily_sessions: Sessions,
    daily_model: Chosen,
    feature_manifest: dict[str, Any],
    model: ModelParams,
    training: TrainingParams,
    daily: DailyParams,
) -> Scored:
    """Score the newest session with the model of the morning, and say why."""
    from gogooku_kedro.daily.scoring import score_session

    n_sessions = daily_market.panel.sizes["date"]
    models = daily_model.ensemble
    return score_session(models, daily_sessions, feature_manifest, n_sessions, model, training, daily)


def publish_ranking(
    daily_market: MorningMarket,
    daily_sessions: Sessions,
    daily_scores: Scored,
    daily_facts: dict[str, Any],
    daily: DailyParams,
) -> tuple[dict[str, Any], xr.Dataset, xr.Dataset]:
    """Write the ranking, and swap the pointer last; hand over the panel and the raw features of the last sessions."""
    from gogooku_kedro.daily.morning import publish

    published = publish(daily_market, daily_scores.predicted, daily_scores.reasons, daily_facts, daily)
    return published, daily_market.panel, daily_sessions.features["raw"].to_dataset(dim="raw_feature")
