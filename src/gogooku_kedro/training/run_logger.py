"""The curves of a training go to the MLflow run that is open, as long as that can be done."""

import time
from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only
from mlflow.entities import Metric
from mlflow.tracking import MlflowClient

from gogooku_kedro.tracking import attempt


class RunLogger(Logger):
    """Log metrics to an MLflow run, which it neither opens nor closes; a failure ends no training.

    Lightning's own MLflow logger closes the run of the whole pipeline, and passes every error on.

    Args:
        uri: Tracking URI.
        run_id: Id of the run.
        prefix: What the names of the metrics begin with; empty for none.
    """

    def __init__(self, uri: str, run_id: str, prefix: str) -> None:
        super().__init__()
        self._client, self._run_id, self._prefix = MlflowClient(uri), run_id, prefix

    @property
    def name(self) -> str:
        """What Lightning calls the logger."""
        return "mlflow"

    @property
    def version(self) -> str:
        """Id of the run."""
        return self._run_id

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *_: Any, **__: Any) -> None:
        """Nothing: the settings are logged once for the whole run."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log numbers under their names."""
        now, begin = int(time.time() * 1000), f"{self._prefix}-" if self._prefix else ""
        rows = [Metric(begin + name, float(value), now, step or 0) for name, value in metrics.items()]
        attempt(self._client.log_batch, self._run_id, metrics=rows)
