"""Ingestion: raw bars to panel, event tables to what was known on its sessions."""

from kedro.pipeline import Pipeline, node

from gogooku_kedro.pipelines.ingestion import nodes
from gogooku_kedro.pipelines.stage import stage


def create_pipeline() -> Pipeline:
    """Build the stage `ingestion`."""
    return stage(
        "ingestion",
        [
            node(
                nodes.standardise_bars,
                ["raw_bars", "listed_issues", "params:ingestion"],
                ["daily_bars", "quality_report"],
                name="standardise_bars",
            ),
            node(nodes.build_panel, ["daily_bars", "market_index", "params:ingestion"], "panel", name="build_panel"),
            node(
                nodes.build_events,
                ["panel", "statements", "investor_flows", "margin_balances"],
                "events",
                name="build_events",
            ),
        ],
    )
