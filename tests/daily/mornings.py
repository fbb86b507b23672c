"""Mornings on a virtual clock: the fake server a session ahead each time, the nodes of the pipeline, a fixed model."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from gogooku_kedro.columns import HORIZONS
from gogooku_kedro.daily.checks import NotPublishedError
from gogooku_kedro.daily.publication import Publications
from gogooku_kedro.features import market_columns
from gogooku_kedro.jquants.fetch import FetchStopped
from gogooku_kedro.jquants.store import Store
from gogooku_kedro.jquants.tables import read_table
from gogooku_kedro.model import ATFTGATFAN
from gogooku_kedro.params import DailyParams, FeaturesParams, GraphParams, ModelParams, TrainingParams
from gogooku_kedro.pipelines.daily import nodes
from gogooku_kedro.training import Ensemble, SeedModel
from tests.conftest import settings_of
from tests.flow import TABLES
from tests.jquants.conftest import fetch_of
from tests.jquants.fake_server import FakeServer
from tests.model.conftest import model_params
from tests.test_time_rules import INGESTION

CHANNELS = 5
WINDOW = 8


def fixed_ensemble(manifest: dict[str, Any], model: ModelParams, seeds: tuple[int, ...] = (0,)) -> Ensemble:
    """Models with drawn weights, which read the features of a manifest."""
    context = len(market_columns(manifest)) if model.market_gate.enabled else 0
    sizes = (len(manifest["columns"]) - context, CHANNELS, context)
    made = []
    for seed in seeds:
        torch.manual_seed(seed)
        network = ATFTGATFAN(model, *sizes).eval()
        facts = {"seed": seed, "device": "cpu", "n_parameters": network.n_parameters(), "seconds": 0.0}
        made.append(SeedModel.from_model(network, model, sizes, manifest["hash"], facts))
    return Ensemble(tuple(made))


@dataclass
class Desk:
    """A data root, the settings of its mornings, and a model."""

    root: Path
    manifest: dict[str, Any]
    features: FeaturesParams
    graph: GraphParams
    model: ModelParams = field(default_factory=model_params)
    store: Store = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        self.store = Store(self.root / "01_raw/jquants")
        self.ensemble = fixed_ensemble(self.manifest, self.model)
        self.training = TrainingParams.model_validate(settings_of("test")["training"])
        self.published = Publications(self.root / "rankings")

    def daily(self, **changes: Any) -> DailyParams:
        settings = settings_of("test")["daily"]
        places = {"rankings": str(self.root / "rankings"), "sessions": str(self.root / "sessions")}
        return DailyParams.model_validate(settings | places | {"reason_steps": 2} | changes)

    def morning(self, tables: dict[str, pd.DataFrame], now: pd.Timestamp, **changes: Any) -> dict[str, Any]:
        """From raw tables to what was published, through the nodes."""
        daily = self.daily(**changes)
        gathered = nodes.gather_tables(*(tables[name] for name in TABLES))
        market = nodes.build_known_market(gathered, INGESTION, daily, now)
        own = (nodes.choose_model(self.ensemble, self.manifest, self.model, daily), self.manifest)
        sessions, facts = nodes.append_sessions(market, *own, self.features, self.graph, self.model, daily)
        scored = nodes.score_morning(market, sessions, *own, self.model, self.training, daily)
        return nodes.publish_ranking(market, sessions, scored, facts, daily)[0]

    def fetched_morning(self, server: FakeServer) -> dict[str, Any] | str:
        """Fetch and publish; the sentence of a refusal where there is one."""
        try:
            fetch_of(server, self.store).run()
            tables = {name: read_table(self.store, name) for name in TABLES}
            return self.morning(tables, pd.Timestamp(server.clock.time(), unit="s", tz="UTC"))
        except (FetchStopped, NotPublishedError) as refusal:
            return str(refusal)

    def replay(self, session: pd.Timestamp) -> dict[str, Any]:
        """The morning after a session once more, from what had been fetched then."""
        facts = self.published.facts(session)
        assert facts is not None
        tables = {name: read_table(self.store, name, facts["known_at"]) for name in TABLES}
        now = pd.Timestamp("2021-01-31", tz="UTC")
        return self.morning(tables, now, as_of=session.date(), known_at=facts["known_at"])


def scores_of(ranking: pd.DataFrame) -> pd.DataFrame:
    """Scores by code."""
    return ranking.set_index("code").sort_index()[[f"score_{h}d" for h in HORIZONS]]
