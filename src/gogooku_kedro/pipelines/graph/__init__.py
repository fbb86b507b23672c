from gogooku_kedro.pipelines.graph.pipeline import create_pipeline

__all__ = ["create_pipeline"]
