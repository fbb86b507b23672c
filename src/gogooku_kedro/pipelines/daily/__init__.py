from gogooku_kedro.pipelines.daily.pipeline import create_pipeline

__all__ = ["create_pipeline"]
