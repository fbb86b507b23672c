"""Report: what a run measured, and what the pipelines beside it left, to answers, page and model card.

What only other pipelines write is read through `OptionalDataset`: None where they were not run.
"""

from kedro.pipeline import Pipeline, node

from gogooku_kedro.pipelines.report import nodes
from gogooku_kedro.pipelines.report.figures import OWN
from gogooku_kedro.pipelines.stage import stage

STUDIES = ["ablation_study", "explanation_study", "walk_forward_study"]
MEASURED = ["metrics", "daily_metrics", "portfolio_returns", "portfolio_metrics", "seed_daily_metrics"]
RANKED = ["daily_metrics", "daily_deciles", "quantile_calibration", "sector_rank_ic"]
FACTS = [
    *("metrics", "key_results", "portfolio_metrics", "quality_report"),
    *("feature_manifest", "market_oracle", "run_record", "params:labels"),
]
SECTIONS = {name: f"{name}_section" for name in OWN}


def create_pipeline() -> Pipeline:
    """Build the stage `report`."""
    drawn = {name: [*figures, SECTIONS[name]] for name, figures in OWN.items()}
    settings, held = "params:evaluation", ["portfolio_returns", "params:evaluation"]
    shown = ["report_evidence", "studies", *SECTIONS.values(), "params:model", "params:training"]
    return stage(
        "report",
        [
            node(nodes.make_studies, STUDIES, "studies", name="make_studies"),
            node(
                nodes.summarise_key_results,
                [*MEASURED, "studies", settings],
                "key_results",
                name="summarise_key_results",
            ),
            node(nodes.plot_ranking, RANKED, drawn["ranking"], name="plot_ranking"),
            node(nodes.plot_portfolios, held, drawn["portfolio"], name="plot_portfolios"),
            node(nodes.plot_network, ["training_history", "graph_edges"], drawn["network"], name="plot_network"),
            node(nodes.make_evidence, FACTS, "report_evidence", name="make_evidence"),
            node(nodes.write_report, shown, ["report", "model_card"], name="write_report"),
        ],
    )
