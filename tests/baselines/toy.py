"""A baseline in one file: the score of a stock is its place in the list of codes."""

import pandas as pd

from gogooku_kedro.baselines.rows import FitContext


def fit(context: FitContext) -> pd.DataFrame:
    """Score every stock of the universe in valid and test."""
    scores = {}
    for part in ("valid", "test"):
        rows = context.rows.parts[part]
        scores[part] = [rows.stock.astype(float) for _ in context.rows.horizons]
    return context.rows.predictions(scores)
