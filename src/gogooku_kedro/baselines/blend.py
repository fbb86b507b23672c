"""Models averaged by the ranks of their scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from gogooku_kedro.columns import KEYS, score_columns


def mean_of_ranks(frames: Sequence[pd.DataFrame], weights: Mapping[str, Sequence[float]] | None = None) -> pd.DataFrame:
    """Average models by the rank of their scores among the stocks of the date, over the rows all of them have.

    Args:
        frames: Of every model: date, code, split, score_<h>d.
        weights: Per score column one weight per model; equal ones without.

    Returns:
        date, code, split, score_<h>d: the mean rank, 0 to 1, high = expected to do better. A row that one of the
        models has not, or has no score in, is left out or NaN.
    """
    keys, scores = list(KEYS), score_columns(frames[0])
    ranked = [
        pd.concat([frame[keys], frame.groupby("date")[scores].rank(pct=True)], axis=1).set_index(keys)
        for frame in frames
    ]
    common = ranked[0].index
    for each in ranked[1:]:
        if not common.equals(each.index):
            common = common.intersection(each.index)
    shares = {name: np.full(len(frames), 1 / len(frames)) for name in scores} | dict(weights or {})
    mixed = {
        name: sum(share * each.loc[common, name] for share, each in zip(shares[name], ranked, strict=True))
        for name in scores
    }
    return pd.DataFrame(mixed, index=common).reset_index()
