"""Daily: raw tables and a stored model to the ranking of the newest session."""

from kedro.pipeline import Pipeline, node

from gogooku_kedro.pipelines.daily import nodes
from gogooku_kedro.pipelines.stage import stage

TABLES = ["raw_bars", "listed_issues", "market_index", "statements", "investor_flows", "margin_balances"]
SECTIONS = ["params:features", "params:graph", "params:model", "params:daily"]
SCORED = ["daily_market", "daily_sessions", "daily_model", "feature_manifest"]
LEFT = ["daily_publication", "daily_panel", "daily_raw_features"]
CHOSEN = ["ensemble", "feature_manifest", "params:model", "params:daily"]


def create_pipeline() -> Pipeline:
    """Build the stage `daily`."""
    appended = ["daily_market", "daily_model", "feature_manifest", *SECTIONS]
    published = ["daily_market", "daily_sessions", "daily_scores", "daily_facts", "params:daily"]
    return stage(
        "daily",
        [
            node(nodes.gather_tables, TABLES, "daily_tables", name="gather_tables"),
            node(
                nodes.build_known_market,
                ["daily_tables", "params:ingestion", "params:daily"],
                "daily_market",
                name="build_known_market",
            ),
            node(nodes.choose_model, CHOSEN, "daily_model", name="choose_model"),
            node(nodes.append_sessions, appended, ["daily_sessions", "daily_facts"], name="append_sessions"),
            node(
                nodes.score_morning,
                [*SCORED, "params:model", "params:training", "params:daily"],
                "daily_scores",
                name="score_morning",
                tags=["gpu"],
            ),
            node(nodes.publish_ranking, published, LEFT, name="publish_ranking"),
        ],
    )
