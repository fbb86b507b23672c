"""Kedro dataset of a trained model: safetensors weights beside a JSON configuration, never pickle."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.io import AbstractDataset, DatasetError
from safetensors.numpy import load_file, save_file

if TYPE_CHECKING:
    from gogooku_kedro.training import ModelBundle


class ModelBundleDataset(AbstractDataset["ModelBundle", "ModelBundle"]):
    """Save and load a :class:`gogooku_kedro.training.ModelBundle` in a folder.

    Args:
        filepath: Folder that holds ``weights.safetensors`` and ``config.json``.
        metadata: Arbitrary metadata, for example the layer in kedro-viz.
    """

    def __init__(self, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> "ModelBundle":
        """Load the bundle.

        Raises:
            DatasetError: If the folder does not hold a model.
        """
        from gogooku_kedro.training import ModelBundle  # noqa: PLC0415  torch: only when a model is read

        if not self._exists():
            raise DatasetError(
                f"no trained model in {self._filepath}: run `kedro run --pipelines=training` first"
            )
        config = json.loads((self._filepath / "config.json").read_text())
        return ModelBundle.from_config(load_file(self._filepath / "weights.safetensors"), config)

    def save(self, data: "ModelBundle") -> None:
        """Write weights and configuration, the configuration last: it marks the bundle complete."""
        self._filepath.mkdir(parents=True, exist_ok=True)
        (self._filepath / "config.json").unlink(missing_ok=True)
        save_file(data.weights, self._filepath / "weights.safetensors")
        (self._filepath / "config.json").write_text(json.dumps(data.config(), indent=2))

    def _exists(self) -> bool:
        return (self._filepath / "config.json").exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
