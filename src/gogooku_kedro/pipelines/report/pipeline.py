"""Report: what a run measured, and what the pipelines beside it left, to answers, page and model card.

What only other pipelines write is read through `OptionalDataset`: None where they were not run.
"""

from kedro.pipeline import Pipeline, node

from gogooku_kedro.pipelines.report import nodes
from gogooku_kedro.pipelines.stage import stage

MEASURED = ["metrics", "daily_metrics", "portfolio_returns", "portfolio_metrics", "seed_daily_metrics"]
FACTS = ["metrics", "key_results", "portfolio_metrics", "quality_report", "feature_manifest", "market_oracle"]
STUDIES = ["gat_effect", "ablation_table", "explanation_run", "walk_forward_metrics"]
SERIES = ["daily_metrics", "portfolio_returns", "quantile_calibration", "training_history"]
DRAWN = ["cumulative_rank_ic", "monthly_rank_ic", "portfolio_turnover", "calibration_plot", "graph_monitoring"]


def create_pipeline() -> Pipeline:
    """Build the stage `report`."""
    settings = {"labelling": "params:labels", "model": "params:model", "training": "params:training"}
    page = settings | {name: name for name in (*FACTS, *STUDIES, *nodes.FIGURES, "run_record")}
    return stage(
        "report",
        [
            node(
                nodes.summarise_key_results,
                [*MEASURED, "gat_effect", "params:evaluation"],
                "key_results",
                name="summarise_key_results",
            ),
            node(nodes.plot_figures, SERIES, DRAWN, name="plot_figures"),
            node(nodes.write_report, page, ["report", "model_card"], name="write_report"),
        ],
    )
