"""Which figures of the catalog stand in which section of the report."""

OWN = {
    "ranking": (
        "cumulative_rank_ic",
        "rolling_rank_ic",
        "monthly_rank_ic",
        "sectors_by_rank_ic",
        "decile_returns",
        "calibration_plot",
    ),
    "portfolio": ("portfolio_equity", "portfolio_drawdown", "monthly_returns", "portfolio_turnover"),
    "network": ("graph_monitoring", "degree_histogram", "loss_curves"),
}
"""Section of the report -> its figures, of every run."""

BESIDE = {
    "ablation": ("gat_effect_difference", "gat_effect_variants"),
    "explanation": ("attention_network", "weights_by_month", "importance_bars"),
    "walk_forward": ("walk_forward_rank_ic",),
}
"""Pipeline beside the default one -> its figures."""

FIGURES = [name for names in (*OWN.values(), *BESIDE.values()) for name in names]
