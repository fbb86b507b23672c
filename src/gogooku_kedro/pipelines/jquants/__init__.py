from gogooku_kedro.pipelines.jquants.pipeline import create_pipeline

__all__ = ["create_pipeline"]
