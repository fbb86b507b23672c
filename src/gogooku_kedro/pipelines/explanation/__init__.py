from gogooku_kedro.pipelines.explanation.pipeline import create_pipeline

__all__ = ["create_pipeline"]
