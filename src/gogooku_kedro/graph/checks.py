"""Hold the graph against the model that is about to read it."""

from collections.abc import Sequence

import pandas as pd


def check_graph(edges: pd.DataFrame, edge_attributes: Sequence[str], train: Sequence[str]) -> None:
    """Refuse a graph that an enabled GAT could not learn from.

    Args:
        edges: Long table ``asof, source, target`` and the attributes.
        edge_attributes: Attributes the model reads (``model.gat.edge_attributes``).
        train: First and last session of the training part, ISO dates.

    Raises:
        ValueError: If an attribute is missing, or no edge between two stocks is in force on the training
            dates; the message names the setting and the fix.
    """
    attributes = [c for c in edges.columns if c not in ("asof", "source", "target")]
    missing = [name for name in edge_attributes if name not in attributes]
    if missing:
        raise ValueError(
            f"model.gat.edge_attributes: {missing} not in the graph, whose edges have {attributes}; name only these"
        )
    first, last = (pd.Timestamp(day) for day in train)
    asof = pd.to_datetime(edges["asof"])
    between = edges["source"].astype(str) != edges["target"].astype(str)
    if not (between & (asof <= last)).any():
        raise ValueError(
            f"model.gat.enabled: true, but the graph has no edge between two stocks up to the end of the "
            f"training part ({last.date()}); lower graph.threshold, raise graph.k, or set "
            f"model.gat.enabled: false"
        )
    if not (asof <= first).any():
        raise ValueError(
            f"graph.window: the first graph is of {asof.min().date()}, after the first training session "
            f"({first.date()}); shorten graph.window or move the training part"
        )
