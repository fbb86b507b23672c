from gogooku_kedro.pipelines.features.pipeline import create_pipeline

__all__ = ["create_pipeline"]
