"""Size, degree and strength of the graphs, one row per as-of date."""

import pandas as pd


def graph_statistics(edges: pd.DataFrame) -> pd.DataFrame:
    """Describe the graph of every as-of date; self loops count for the nodes only.

    Args:
        edges: From `build_edges`.

    Returns:
        Indexed by asof: nodes, edges, degree_mean, degree_min, degree_max (incoming edges per
        node), isolates (share of nodes without an incoming edge), abs_correlation (mean over
        edges), and same_sector (share of edges). The last two are NaN where a graph has no edge.
    """
    between = edges[edges["is_self"] == 0]
    nodes = edges[edges["is_self"] == 1].groupby("asof")["target"].nunique()
    incoming = between.groupby(["asof", "target"]).size()
    everyone = edges[edges["is_self"] == 1].set_index(["asof", "target"]).index
    degree = incoming.reindex(everyone, fill_value=0)
    by_asof, degree_by_asof = between.groupby("asof"), degree.groupby("asof")
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
        }
    )
