"""The code of a registered model ("models from code" of MLflow): weights are read, nothing is unpickled.

MLflow keeps a copy of this file with each version and runs that copy; it needs this package in the version that is
stated beside it.
"""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from gogooku_kedro.champion.scoring import score_sessions
from gogooku_kedro.training import Ensemble


class RankingModel(PythonModel):
    """An ensemble that scores sessions of a data root on the CPU."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read the weights of the version."""
        self._ensemble = Ensemble.load(Path(context.artifacts["ensemble"]))

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Return date, code, split ("test"), scores and quantiles of the asked sessions.

        Args:
            context: Of the version.
            model_input: `data_root`, one folder of a run with features of the model's manifest, and `date`.
            params: None; there are none.

        Raises:
            ValueError: More than one data root, other features, or a date that is no session.
        """
        roots = model_input["data_root"].unique()
        if len(roots) != 1:
            raise ValueError(f"data_root: {len(roots)} folders; ask for the sessions of one at a time")
        root = Path(roots[0])
        manifest = json.loads((root / "05_model_input/feature_manifest.json").read_text())
        features = xr.open_zarr(root / "05_model_input/features.zarr", chunks=None, consolidated=True)
        edges = pd.read_parquet(root / "03_primary/graph_edges.parquet")
        sessions = pd.DatetimeIndex(model_input["date"]).unique().sort_values()
        return score_sessions(self._ensemble, features, edges, manifest, sessions, "cpu")


set_model(RankingModel())
