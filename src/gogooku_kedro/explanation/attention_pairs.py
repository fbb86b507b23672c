"""Which stocks a model attends to: a table of pairs, and how far models of other seeds agree."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy.sparse import coo_array, csr_array
from scipy.stats import friedmanchisquare

from gogooku_kedro.explanation.subject import HeardDay, Subject
from gogooku_kedro.model import ATFTGATFAN
from gogooku_kedro.training.predict import encode_days
from gogooku_kedro.typing import FloatArray, IntArray

PAIR = ["source", "target"]
MEANS = ("attention", "lift", "sign", "correlation", "same_sector")
COLUMNS = (
    *("source", "target", "attention", "lift", "rank", "correlation", "sign", "same_sector", "days"),
    *("self_attention", "seed_agreement", "source_sector", "target_sector"),
)


def attention_pairs(subject: Subject, days: Sequence[int], sectors: "pd.Series[str]") -> pd.DataFrame:
    """Mean attention on every pair of stocks that were neighbours, self loops apart.

    Args:
        subject: Models and market.
        days: Positions of the sessions.
        sectors: Sector by code.

    Returns:
        One row per pair, a stock's strongest first: `source`, `target`, `attention` (mean over heads,
        layers, the days on which the pair was connected, and seeds), `lift` (mean of attention times
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


def _mean_attention(model: ATFTGATFAN, subject: Subject, days: Sequence[int]) -> pd.DataFrame:
    """Means over the days of every pair, self loops included, by position of source and target."""
    size = len(subject.codes)
    sums = {name: csr_array((size, size), dtype=np.float64) for name in (*MEANS, "days")}
    for day in encode_days(model, subject.market, list(days)):
        heard = subject.heard(model, day)
        if heard is not None:
            _add(sums, heard, size)
    source, target = sums["days"].nonzero()
    count = _at(sums["days"], source, target)
    means = {name: _at(sums[name], source, target) / count for name in MEANS}
    return pd.DataFrame({"source": source, "target": target, **means, "days": count.astype(np.int64)})


def _add(sums: dict[str, csr_array], heard: HeardDay, size: int) -> None:
    where = (heard.source, heard.target)
    values = {name: getattr(heard, name) for name in MEANS} | {"days": np.ones(len(heard.source))}
    for name, of_day in values.items():
        sums[name] = sums[name] + coo_array((of_day, where), shape=(size, size)).tocsr()


def _at(matrix: csr_array, rows: IntArray, columns: IntArray) -> FloatArray:
    if not len(rows):
        return np.empty(0)
    return np.asarray(matrix[rows, columns], dtype=np.float64).ravel()
