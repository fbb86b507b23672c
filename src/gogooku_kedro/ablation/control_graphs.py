"""Control graphs, whose edges are not the market's, for the same network with the same parameters."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pandas as pd

from gogooku_kedro.typing import TextArray

GraphKind = Literal["as_is", "identity", "permuted", "mean"]


def control_graph(edges: pd.DataFrame, kind: GraphKind, seed: int) -> pd.DataFrame:
    """Return the edges that stand for `edges` in a variant, on the same as-of dates.

    - `as_is`: the edges themselves.
    - `identity`: the self loops alone. Training needs `fit_ensemble(..., isolated=True)`, because it otherwise refuses
      a GAT without edges.
    - `permuted`: `permuted_graph`.
    - `mean`: `mean_graph`.

    Each is made of the edges of its own as-of date alone, so it uses no more of the future than they do.

    Args:
        edges: asof, source, target, is_self and further attributes.
        kind: Which graph.
        seed: Seed of what is drawn.
    """
    if kind == "identity":
        return edges[edges["source"].astype(str) == edges["target"].astype(str)].reset_index(drop=True)
    if kind == "permuted":
        return permuted_graph(edges, seed)
    if kind == "mean":
        return mean_graph(edges, seed)
    return edges


def permuted_graph(edges: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Return the graph with its stocks renamed: every stock takes the place of another.

    All stocks stand in one circle, at places that a hash of their code draws. On each as-of date a stock
    takes the place of the one before it among those of the date. The graph of a date stays what it is,
    degrees, attributes and self loops, between stocks of that date; the neighbours of a stock are wrong,
    but for chance. It changes from one date to the next only as much as the graph itself does, as stocks come and
    go.

    Args:
        edges: asof, source, target and attributes.
        seed: Seed of the circle.
    """
    ends = edges[["source", "target"]].astype(str).to_numpy(object)
    renamed = np.empty_like(ends)
    for rows in edges.groupby("asof", sort=False).indices.values():
        here, positions = np.unique(ends[rows], return_inverse=True)
        places = pd.util.hash_array(np.array([f"{seed}:{code}" for code in here], dtype=object))
        circle = np.argsort(places)
        follower = np.empty_like(here)
        follower[circle] = here[np.roll(circle, -1)]
        renamed[rows] = follower[positions.reshape(-1, 2)]
    return edges.assign(source=renamed[:, 0], target=renamed[:, 1])


def mean_graph(edges: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Return a graph in which every stock has the same neighbours: a sample of stocks, drawn by date.

    A complete graph of a few thousand stocks has millions of edges. A sample as large as a stock has
    neighbours on average costs what the graph costs and is, for all stocks of a date alike, an unbiased
    view of the mean. It is drawn anew for every as-of date, so that nothing can be learned of the
    stocks in it. All attributes of its edges are 0: no edge can be told from another. Self loops stay.

    Args:
        edges: asof, source, target, is_self and further attributes.
        seed: Seed of the samples.
    """
    attributes = [name for name in edges if name not in ("asof", "source", "target")]
    tables = []
    for asof, rows in edges.groupby("asof", sort=True):
        own = rows["source"].astype(str) == rows["target"].astype(str)
        codes = np.unique(rows[["source", "target"]].astype(str).to_numpy())
        neighbours = max(1, round((~own).sum() / len(codes)))
        entropy = np.random.SeedSequence((seed, int(pd.Timestamp(str(asof)).value)))
        sources = np.random.default_rng(entropy).choice(codes, min(neighbours, len(codes)), replace=False)
        between = _same_sources(codes, sources).assign(asof=asof)
        zeros = pd.DataFrame(0.0, index=between.index, columns=attributes)
        zeros = zeros.astype({name: edges[name].dtype for name in attributes})
        tables += [rows[own], pd.concat([between, zeros], axis=1)[list(edges.columns)]]
    return pd.concat(tables, ignore_index=True)


def _same_sources(codes: TextArray, sources: TextArray) -> pd.DataFrame:
    pairs = pd.DataFrame({"source": np.tile(sources, len(codes)), "target": np.repeat(codes, len(sources))})
    return pairs[pairs["source"] != pairs["target"]].reset_index(drop=True)
