"""Evaluation: rank IC, books, significance, baselines, neutral scores, figures and the report.

Names are loaded from their modules on first use, so that importing the package does not import
LightGBM, scikit-learn and arch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gogooku_kedro.evaluation.rank_ic import ic, rank_ic

if TYPE_CHECKING:
    from gogooku_kedro.evaluation.answers import answer_cards, terminal_lines
    from gogooku_kedro.evaluation.baselines import rule_baselines
    from gogooku_kedro.evaluation.books import backtest_books, describe_books
    from gogooku_kedro.evaluation.day_plots import book_turnover, rank_ic_by_month
    from gogooku_kedro.evaluation.deciles import daily_deciles, decile_profile, monotonicity
    from gogooku_kedro.evaluation.headline import summarise_headline
    from gogooku_kedro.evaluation.learned_baselines import (
        LearningRows,
        fit_lightgbm,
        fit_lightgbm_pair,
        fit_ridge,
        learning_rows,
    )
    from gogooku_kedro.evaluation.metrics import (
        daily_metrics,
        hit_rate,
        summarise_extras,
        summarise_metrics,
    )
    from gogooku_kedro.evaluation.model_card import render_model_card
    from gogooku_kedro.evaluation.model_plots import calibration_plot, graph_monitoring
    from gogooku_kedro.evaluation.neutralise import (
        neutral_versions,
        neutralise_factors,
        neutralise_peers,
        neutralise_sectors,
    )
    from gogooku_kedro.evaluation.oracle import oracle_bounds, oracle_predictions
    from gogooku_kedro.evaluation.paired import PairedDifference, paired_difference
    from gogooku_kedro.evaluation.peer_means import with_peer_means
    from gogooku_kedro.evaluation.plots import (
        cumulative_net_return,
        cumulative_rank_ic,
        decile_returns,
        degree_histogram,
        loss_curves,
    )
    from gogooku_kedro.evaluation.portfolio import book_returns, long_only, long_short
    from gogooku_kedro.evaluation.portfolio_metrics import summarise_books
    from gogooku_kedro.evaluation.portfolio_plots import book_drawdown, book_equity
    from gogooku_kedro.evaluation.quantiles import daily_quantiles, quantile_calibration
    from gogooku_kedro.evaluation.report import Evidence, FigureGroup, render_report
    from gogooku_kedro.evaluation.score_statistics import (
        autocorrelation,
        coverage,
        dispersion,
        distinct_share,
    )
    from gogooku_kedro.evaluation.significance import (
        bootstrap_sharpe_ci,
        icir,
        mean_interval,
        mean_p_value,
        newey_west_lag,
        newey_west_t,
        sharpe,
    )
    from gogooku_kedro.evaluation.summary import compare_models, summary_table
    from gogooku_kedro.evaluation.tables import fold_table

__all__ = [
    "Evidence",
    "FigureGroup",
    "LearningRows",
    "PairedDifference",
    "answer_cards",
    "autocorrelation",
    "backtest_books",
    "book_drawdown",
    "book_equity",
    "book_returns",
    "book_turnover",
    "bootstrap_sharpe_ci",
    "calibration_plot",
    "compare_models",
    "coverage",
    "cumulative_net_return",
    "cumulative_rank_ic",
    "daily_deciles",
    "daily_metrics",
    "daily_quantiles",
    "decile_profile",
    "decile_returns",
    "degree_histogram",
    "describe_books",
    "dispersion",
    "distinct_share",
    "fit_lightgbm",
    "fit_lightgbm_pair",
    "fit_ridge",
    "fold_table",
    "graph_monitoring",
    "hit_rate",
    "ic",
    "icir",
    "learning_rows",
    "long_only",
    "long_short",
    "loss_curves",
    "mean_interval",
    "mean_p_value",
    "monotonicity",
    "neutral_versions",
    "neutralise_factors",
    "neutralise_peers",
    "neutralise_sectors",
    "newey_west_lag",
    "newey_west_t",
    "oracle_bounds",
    "oracle_predictions",
    "paired_difference",
    "quantile_calibration",
    "rank_ic",
    "rank_ic_by_month",
    "render_model_card",
    "render_report",
    "rule_baselines",
    "sharpe",
    "summarise_books",
    "summarise_extras",
    "summarise_headline",
    "summarise_metrics",
    "summary_table",
    "terminal_lines",
    "with_peer_means",
]

_MODULES = {
    "answers": ("answer_cards", "terminal_lines"),
    "day_plots": ("book_turnover", "rank_ic_by_month"),
    "headline": ("summarise_headline",),
    "model_card": ("render_model_card",),
    "model_plots": ("calibration_plot", "graph_monitoring"),
    "tables": ("fold_table",),
    "baselines": ("rule_baselines",),
    "books": ("backtest_books", "describe_books"),
    "learned_baselines": ("LearningRows", "fit_lightgbm", "fit_lightgbm_pair", "fit_ridge", "learning_rows"),
    "deciles": ("daily_deciles", "decile_profile", "monotonicity"),
    "metrics": ("daily_metrics", "hit_rate", "summarise_extras", "summarise_metrics"),
    "neutralise": ("neutral_versions", "neutralise_factors", "neutralise_peers", "neutralise_sectors"),
    "oracle": ("oracle_bounds", "oracle_predictions"),
    "paired": ("PairedDifference", "paired_difference"),
    "peer_means": ("with_peer_means",),
    "plots": (
        "cumulative_net_return",
        "cumulative_rank_ic",
        "decile_returns",
        "degree_histogram",
        "loss_curves",
    ),
    "portfolio": ("book_returns", "long_only", "long_short"),
    "portfolio_metrics": ("summarise_books",),
    "portfolio_plots": ("book_drawdown", "book_equity"),
    "quantiles": ("daily_quantiles", "quantile_calibration"),
    "report": ("Evidence", "FigureGroup", "render_report"),
    "score_statistics": ("autocorrelation", "coverage", "dispersion", "distinct_share"),
    "significance": (
        "bootstrap_sharpe_ci",
        "icir",
        "mean_interval",
        "mean_p_value",
        "newey_west_lag",
        "newey_west_t",
        "sharpe",
    ),
    "summary": ("compare_models", "summary_table"),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
