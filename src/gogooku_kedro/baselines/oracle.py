"""What an oracle of the sample market scores: the bound that no model can beat."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from gogooku_kedro.labels.split import split_mask

KINDS = {"oracle": "graph", "oracle_without_graph": "own"}
"""Name of the model in the tables -> prefix of its columns in `oracle_scores`."""
BOUNDS = {"with_graph": "graph", "without_graph": "own"}


def oracle_predictions(
    oracle_scores: pd.DataFrame,
    predictions: pd.DataFrame,
    split: Mapping[str, Any],
    horizons: Sequence[int],
    entry: str,
) -> list[pd.DataFrame]:
    """Scores of the oracle on exactly the stock-days that the model predicts.

    Args:
        oracle_scores: `date, code, own_<h>d, graph_<h>d` for entry at the next open and the same with the
            suffix `_close`; an empty table (any real market) has no oracle.
        predictions: `date, code, split` of the model.
        split: The split, to keep its parts.
        horizons: In sessions.
        entry: `next_open` or `close`.

    Returns:
        Frames `date, code, split, score_<h>d, model` for `oracle` and `oracle_without_graph`; an empty
        list without an oracle or where the market has no signal (its scores are then missing).
    """
    if oracle_scores.empty:
        return []
    suffix = "" if entry == "next_open" else f"_{entry}"
    keys = predictions[["date", "code", "split"]]
    dates = pd.DatetimeIndex(oracle_scores["date"])
    scores = oracle_scores[split_mask(split, dates, "valid") | split_mask(split, dates, "test")]
    merged = keys.merge(scores.astype({"code": str}), on=["date", "code"], how="left")
    frames = []
    for model, prefix in KINDS.items():
        frame = keys.assign(
            **{f"score_{h}d": merged[f"{prefix}_{h}d{suffix}"].to_numpy() for h in horizons},
            model=model,
        )
        if frame[f"score_{horizons[0]}d"].notna().any():
            frames.append(frame)
    return frames


def oracle_bounds(market_oracle: pd.DataFrame, entry: str) -> dict[str, dict[str, float]] | None:
    """Expected rank IC of the oracle per horizon, with and without the graph; None for a real market.

    Args:
        market_oracle: `entry, horizon, own, graph` as stored beside the sample market.
        entry: `next_open` or `close`.
    """
    if market_oracle.empty:
        return None
    table = market_oracle[market_oracle["entry"] == entry]
    return {
        name: {f"{h}d": float(v) for h, v in zip(table["horizon"], table[column], strict=True)}
        for name, column in BOUNDS.items()
    }
