from gogooku_kedro.pipelines.baselines.pipeline import create_pipeline

__all__ = ["create_pipeline"]
