"""The hooks of kedro-mlflow, called where a run is tracked."""

import sys
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from gogooku_kedro.console import import_quietly


class Tracking:
    """kedro-mlflow's hooks, which here take no run down: see `gogooku_kedro.tracking`."""

    def __init__(self) -> None:
        self.__name__ = "mlflow_hook"  # by this name Kedro knows kedro-mlflow's own, and registers one of them

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Say where runs are tracked, for `kedro mlflow`; nothing is made before a run begins."""
        from gogooku_kedro.tracking import begin, tracking_settings

        self._context = context
        loader: Any = context.config_loader
        loader["mlflow"] = tracking_settings(loader, context.project_path)
        begin(loader["mlflow"]["server"]["mlflow_tracking_uri"])
        if "mlflow" in sys.argv:  # `kedro mlflow ui`
            from kedro_mlflow.config.kedro_mlflow_config import KedroMlflowConfig

            context.__setattr__("mlflow", KedroMlflowConfig.model_validate(loader["mlflow"]))

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Make the database, set MLflow up, and open the MLflow run."""
        from gogooku_kedro.tracking import attempt, prepare_database

        self._hooks = import_quietly("kedro_mlflow.framework.hooks.mlflow_hook").mlflow_hook
        import mlflow

        self._opened_by_user = mlflow.active_run() is not None
        loader = self._context.config_loader
        attempt(lambda: prepare_database(loader["mlflow"]["server"]["mlflow_tracking_uri"]))
        self._call("after_context_created", context=self._context)
        self._call("before_pipeline_run", run_params=run_params, pipeline=pipeline, catalog=catalog)

    @hook_impl
    def before_node_run(self, node: Node, catalog: DataCatalog, inputs: dict[str, Any], is_async: bool) -> None:
        """Log the parameters of a node."""
        self._call("before_node_run", node=node, catalog=catalog, inputs=inputs, is_async=is_async)

    @hook_impl
    def after_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Close the MLflow run; kedro-mlflow opens it again for every node, and closes it once."""
        from gogooku_kedro.tracking import close_runs

        self._call("after_pipeline_run", run_params=run_params, pipeline=pipeline, catalog=catalog)
        if not self._opened_by_user:
            close_runs("FINISHED")

    @hook_impl
    def on_pipeline_error(
        self, error: Exception, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog
    ) -> None:
        """Close the MLflow run as failed."""
        self._call("on_pipeline_error", error=error, run_params=run_params, pipeline=pipeline, catalog=catalog)

    def _call(self, name: str, **arguments: Any) -> None:
        from gogooku_kedro.tracking import attempt

        attempt(getattr(self._hooks, name), **arguments)


class Registration:
    """Register what was trained, so that it can become the champion: see `gogooku_kedro.champion`."""

    @hook_impl(tryfirst=True)
    def after_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Log the ensemble to the open MLflow run and register it; say what it is called."""
        from gogooku_kedro.tracking import track

        if "ensemble" in pipeline.all_outputs():
            track(_register, catalog)


def _register(catalog: DataCatalog) -> None:
    from gogooku_kedro.champion.registry import Registry, facts_of
    from gogooku_kedro.params import DailyParams
    from gogooku_kedro.report.publish import show_registered
    from gogooku_kedro.tracking import server

    settings = catalog.load("parameters")["daily"]
    name = DailyParams.model_validate(settings).champion.name
    ensemble, split, report = (catalog.load(each) for each in ("ensemble", "split", "quality_report"))
    facts = facts_of(ensemble, split, report["source"])
    show_registered(Registry(server(), name).register(ensemble, facts).described())
