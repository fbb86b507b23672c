"""Size, degree and strength of the graphs, one row per as-of date, and what is out of bounds."""

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


def failed_gates(
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


def describe_failed_gates(statistics: pd.DataFrame, failed: pd.DataFrame) -> str:
    """Return one line with the number of as-of dates that fail each gate and the worst; "" if none.

    Args:
        statistics: From `graph_statistics`.
        failed: From `failed_gates`.
    """
    parts = []
    measures = (("degree_min", "degree_mean"), ("degree_max", "degree_mean"), ("isolates_max", "isolates"))
    for gate, measure in measures:
        failing = statistics.loc[failed[f"fails_{gate}"], measure]
        if failing.empty:
            continue
        worst = failing.idxmin() if gate == "degree_min" else failing.idxmax()
        parts.append(
            f"{len(failing)} fail graph.checks.{gate} (worst {pd.Timestamp(worst).date()}: {measure} "
            f"{failing[worst]:.3g})"
        )
    return f"of {len(statistics)} graphs " + ", ".join(parts) if parts else ""
