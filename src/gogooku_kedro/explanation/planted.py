"""Does attention find the pairs that the sample market planted? Precision beside the base rate."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from gogooku_kedro.typing import BoolArray, FloatArray

ORDERS = ("attention", "lift", "abs_correlation")


def planted_precision(pairs: pd.DataFrame, planted: pd.DataFrame, top: int) -> dict[str, Any]:
    """Hold the order of the pairs against the planted ones.

    Args:
        pairs: Table of `attention_pairs`.
        planted: `source, target` of the planted pairs; empty where nothing was planted.
        top: Number of strongest pairs looked at.

    Returns:
        `pairs` and `planted_pairs` among them, `graph_recall` (share of all planted pairs between
        stocks of the table that were connected at all), `base_rate` (what a random order gets), and for
        the orders by `attention`, `lift` and `abs_correlation`: `auc`, `precision_at_<top>` and
        `precision_at_planted` (among as many pairs as are planted). None where nothing is planted.
    """
    wanted = pd.MultiIndex.from_frame(planted[["source", "target"]].astype(str))
    hit = pd.MultiIndex.from_frame(pairs[["source", "target"]]).isin(wanted)
    codes = set(pairs["target"]) | set(pairs["source"])
    possible = [source in codes and target in codes for source, target in wanted]
    found = int(hit.sum())
    figures: dict[str, Any] = {
        "pairs": len(pairs),
        "planted_pairs": found,
        "graph_recall": found / sum(possible) if any(possible) else None,
        "base_rate": found / len(pairs) if found else None,
    }
    scored = pairs.assign(abs_correlation=pairs["correlation"].abs().fillna(0.0))
    for order in ORDERS:
        figures[order] = _figures(hit, scored[order].to_numpy(np.float64), [top, found])
    return figures


def _figures(hit: BoolArray, strength: FloatArray, tops: Sequence[int]) -> dict[str, Any]:
    top, planted = tops
    mixed = hit.any() and not hit.all()
    return {
        "auc": float(roc_auc_score(hit, strength)) if mixed else None,
        f"precision_at_{top}": precision_at(hit, strength, top) if hit.any() else None,
        "precision_at_planted": precision_at(hit, strength, planted) if hit.any() else None,
    }


def precision_at(hit: BoolArray, strength: FloatArray, top: int) -> float:
    """Share of hits among the `top` strongest; of equally strong ones a random choice is expected.

    Args:
        hit: `(n,)`.
        strength: `(n,)`.
        top: At most `n` are looked at.
    """
    top = min(top, len(hit))
    border = np.partition(strength, len(strength) - top)[len(strength) - top]
    above, tied = strength > border, strength == border
    expected = hit[above].sum() + (top - above.sum()) * hit[tied].mean()
    return float(expected / top)
