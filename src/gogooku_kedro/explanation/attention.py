"""Which stocks a model attends to, how far the seeds agree, and whether it finds the planted pairs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse import coo_array, csr_array
from scipy.stats import friedmanchisquare
from sklearn.metrics import roc_auc_score

from gogooku_kedro.explanation.subject import AttendedEdges, Subject
from gogooku_kedro.model import ATFTGATFAN
from gogooku_kedro.training.predict import encode_days
from gogooku_kedro.typing import BoolArray, FloatArray, IntArray

PAIR = ["source", "target"]
MEANS = ("attention", "lift", "sign", "correlation", "same_sector")
COLUMNS = (
    *("source", "target", "attention", "lift", "rank", "correlation", "sign", "same_sector", "days"),
    *("self_attention", "seed_agreement", "source_sector", "target_sector"),
)
ORDERS = ("attention", "lift", "abs_correlation")


def attention_pairs(subject: Subject, days: Sequence[int], sectors: "pd.Series[str]") -> pd.DataFrame:
    """Mean attention on every pair of stocks that were neighbours, self loops apart.

    Args:
        subject: Models and market.
        days: Positions of the sessions.
        sectors: Sector by code.

    Returns:
        One row per pair, a stock's strongest first: `source`, `target`, `attention` (mean over heads,
        layers, the sessions on which the pair was connected, and seeds), `lift` (mean of attention times
        incoming edges; 1 = uniform), `rank` of the source among the target's (1 = most attention),
        `correlation`, `sign` (-1 moves against, 0 as often as not), `same_sector`, `days` connected,
        `self_attention` of the target, `seed_agreement` (Kendall's W of the seeds' orders of the target's
        sources, in [0, 1]; NaN with one seed or fewer than three sources), and the two sectors. No rows for a
        model without graph.
    """
    frames = {
        seed: _mean_attention(model, subject, days) for seed, model in zip(subject.seeds, subject.models, strict=True)
    }
    by_seed = pd.concat(frames, names=["seed"]).reset_index("seed")
    means = by_seed.groupby(PAIR).agg({**dict.fromkeys(MEANS, "mean"), "days": "max"}).reset_index()
    own = means["source"] == means["target"]
    pairs = means[~own].copy()
    pairs["sign"] = np.sign(pairs["sign"])
    pairs["rank"] = pairs.groupby("target")["attention"].rank(ascending=False, method="first").astype(int)
    pairs["self_attention"] = pairs["target"].map(means[own].set_index("target")["attention"])
    between = by_seed[by_seed["source"] != by_seed["target"]]
    pairs["seed_agreement"] = pairs["target"].map(seed_agreement(between)).astype(float)
    for end in PAIR:
        pairs[end] = subject.codes.to_numpy(dtype=object)[pairs[end]].astype(str)
        pairs[f"{end}_sector"] = pairs[end].map(sectors)
    return pairs.sort_values(["target", "rank"], ignore_index=True)[list(COLUMNS)]


def seed_agreement(by_seed: pd.DataFrame) -> "pd.Series[float]":
    """Kendall's W of every target: do the seeds order its sources alike?

    Args:
        by_seed: `seed, source, target, attention`; sources that not every seed has are left out.
    """
    wide = by_seed.pivot(index=["target", "source"], columns="seed", values="attention").dropna()
    agreement = {target: kendalls_w(sources.to_numpy().T) for target, sources in wide.groupby(level="target")}
    return pd.Series(agreement, dtype=float)


def kendalls_w(ratings: FloatArray) -> float:
    """Kendall's coefficient of concordance of `(raters, items)`, corrected for ties.

    1 = all raters order the items alike, 0 = their orders cancel out. NaN with one rater, fewer than three
    items, or where no rater tells any items apart.
    """
    raters, items = ratings.shape
    if raters < 2 or items < 3 or (np.ptp(ratings, axis=1) == 0).all():
        return np.nan
    statistic = friedmanchisquare(*ratings.T).statistic
    return float(statistic / (raters * (items - 1)))


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


def _figures(hit: BoolArray, strength: FloatArray, tops: Sequence[int]) -> dict[str, Any]:
    top, planted = tops
    mixed = hit.any() and not hit.all()
    return {
        "auc": float(roc_auc_score(hit, strength)) if mixed else None,
        f"precision_at_{top}": precision_at(hit, strength, top) if hit.any() else None,
        "precision_at_planted": precision_at(hit, strength, planted) if hit.any() else None,
    }


def _mean_attention(model: ATFTGATFAN, subject: Subject, days: Sequence[int]) -> pd.DataFrame:
    """Means over the sessions of every pair, self loops included, by position of source and target."""
    size = len(subject.codes)
    sums = {name: csr_array((size, size), dtype=np.float64) for name in (*MEANS, "days")}
    for day in encode_days(model, subject.market, list(days)):
        attended = subject.attended(model, day)
        if attended is not None:
            _add(sums, attended, size)
    source, target = sums["days"].nonzero()
    count = _at(sums["days"], source, target)
    means = {name: _at(sums[name], source, target) / count for name in MEANS}
    return pd.DataFrame({"source": source, "target": target, **means, "days": count.astype(np.int64)})


def _add(sums: dict[str, csr_array], attended: AttendedEdges, size: int) -> None:
    where = (attended.source, attended.target)
    values = {name: getattr(attended, name) for name in MEANS} | {"days": np.ones(len(attended.source))}
    for name, of_day in values.items():
        sums[name] = sums[name] + coo_array((of_day, where), shape=(size, size)).tocsr()


def _at(matrix: csr_array, rows: IntArray, columns: IntArray) -> FloatArray:
    if not len(rows):
        return np.empty(0)
    return np.asarray(matrix[rows, columns], dtype=np.float64).ravel()
