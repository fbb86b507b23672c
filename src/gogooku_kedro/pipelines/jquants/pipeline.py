"""J-Quants: from an API key to the partitions that `--env jquants` reads."""

from kedro.pipeline import Pipeline, node

from gogooku_kedro.pipelines.jquants import nodes
from gogooku_kedro.pipelines.stage import stage


def create_pipeline() -> Pipeline:
    """Build the stage `jquants`."""
    return stage(
        "jquants",
        [node(nodes.fetch_market, ["jquants_store", "params:jquants"], "jquants_summary", name="fetch_market")],
    )
