"""Statistics of the graphs, one row per as-of date, and the checks they have to pass before a model reads them."""

from collections.abc import Sequence

import pandas as pd

_KINDS = ("correlation", "sector_nearest", "lead_lag")


def graph_statistics(edges: pd.DataFrame) -> pd.DataFrame:
    """Describe the graph of every as-of date; self loops count for the nodes only.

    Args:
        edges: From `build_edges`.

    Returns:
        Indexed by asof: nodes, edges, degree_mean, degree_min, degree_max (incoming edges per
        node), isolates (share of nodes without an incoming edge), abs_correlation (mean over
        edges), same_sector and negative (shares of edges), and the number of edges of each type:
        correlation_edges, sector_nearest_edges, lead_lag_edges. An edge of two types counts for
        both. Means and shares over edges are NaN where a graph has none.
    """
    between = edges[edges["is_self"] == 0]
    own = edges[edges["is_self"] == 1]
    nodes = own.groupby("asof")["target"].nunique()
    incoming = between.groupby(["asof", "target"]).size()
    degree = incoming.reindex(own.set_index(["asof", "target"]).index, fill_value=0)
    by_asof, degree_by_asof = between.groupby("asof"), degree.groupby("asof")
    negative = (between["correlation"] < 0).groupby(between["asof"]).mean()
    kinds = {
        f"{kind}_edges": by_asof[f"is_{kind}"].sum().reindex(nodes.index, fill_value=0).astype("int64")
        for kind in _KINDS
    }
    return pd.DataFrame(
        {
            "nodes": nodes,
            "edges": by_asof.size().reindex(nodes.index, fill_value=0),
            "degree_mean": degree_by_asof.mean(),
            "degree_min": degree_by_asof.min(),
            "degree_max": degree_by_asof.max(),
            "isolates": degree.eq(0).groupby("asof").mean(),
            "abs_correlation": by_asof["abs_correlation"].mean().reindex(nodes.index),
            "same_sector": by_asof["same_sector"].mean().reindex(nodes.index),
            "negative": negative.reindex(nodes.index),
        }
        | kinds
    )


def failed_checks(
    statistics: pd.DataFrame, *, degree_min: float, degree_max: float, isolates_max: float
) -> pd.DataFrame:
    """Return, for every as-of date, which bounds its graph does not keep.

    Args:
        statistics: From `graph_statistics`.
        degree_min: Smallest mean degree.
        degree_max: Largest mean degree.
        isolates_max: The share of isolates must stay below it.

    Returns:
        Indexed by asof, bool: fails_degree_min, fails_degree_max, fails_isolates_max.
    """
    return pd.DataFrame(
        {
            "fails_degree_min": statistics["degree_mean"] < degree_min,
            "fails_degree_max": statistics["degree_mean"] > degree_max,
            "fails_isolates_max": statistics["isolates"] >= isolates_max,
        }
    )


def describe_failed_checks(statistics: pd.DataFrame, failed: pd.DataFrame) -> str:
    """Return one line with the number of as-of dates that fail each check and the worst; "" if none.

    Args:
        statistics: From `graph_statistics`.
        failed: From `failed_checks`.
    """
    parts = []
    measures = (("degree_min", "degree_mean"), ("degree_max", "degree_mean"), ("isolates_max", "isolates"))
    for check, measure in measures:
        failing = statistics.loc[failed[f"fails_{check}"], measure]
        if failing.empty:
            continue
        worst = failing.idxmin() if check == "degree_min" else failing.idxmax()
        parts.append(
            f"{len(failing)} fail graph.checks.{check} (worst {pd.Timestamp(worst).date()}: {measure} "
            f"{failing[worst]:.3g})"
        )
    return f"of {len(statistics)} graphs " + ", ".join(parts) if parts else ""


def check_graph(edges: pd.DataFrame, edge_attributes: Sequence[str], train: Sequence[str]) -> None:
    """Refuse a graph that an enabled GAT could not learn from.

    Args:
        edges: Long table `asof, source, target` and the attributes.
        edge_attributes: Attributes the model reads (`model.gat.edge_attributes`).
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
