"""Kedro dataset of trained models: safetensors weights beside JSON configurations, never pickle."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.io import AbstractDataset, DatasetError
from kedro_datasets._typing import TablePreview

from gogooku_kedro.datasets.files import table_preview
from gogooku_kedro.datasets.integrity import Sealed

if TYPE_CHECKING:
    from gogooku_kedro.training import Ensemble


class EnsembleDataset(Sealed, AbstractDataset["Ensemble", "Ensemble"]):
    """Save and load a `gogooku_kedro.training.Ensemble` in a folder.

    Args:
        filepath: Folder that holds `config.json` and for every seed model a folder such as `seed_0` with
            `weights.safetensors` and `config.json`.
        metadata: Arbitrary metadata, for example the layer in kedro-viz.
    """

    def __init__(self, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self._filepath = Path(filepath)
        self.metadata = metadata

    def load(self) -> "Ensemble":
        """Load the models.

        Raises:
            DatasetError: If the folder does not hold them, or a file is damaged, exchanged or of another
                version; it names the file.
        """
        from gogooku_kedro.training import Ensemble  # noqa: PLC0415  torch: only when a model is read

        try:
            ensemble = Ensemble.load(self._filepath)
        except ValueError as error:
            raise DatasetError(str(error)) from error
        self._check_seal(self._filepath)
        return ensemble

    def save(self, data: "Ensemble") -> None:
        """Write weights and configurations, the list of seed models last: it marks all of them complete."""
        data.save(self._filepath)
        self._seal(self._filepath)

    def preview(self) -> TablePreview:
        """Return a row for each seed model: how it was trained, and the size of the network, for Kedro-Viz."""
        members = json.loads((self._filepath / "config.json").read_text())["members"]
        configs = [json.loads((self._filepath / name / "config.json").read_text()) for name in members]
        columns = ["seed", "best_epoch", "epochs", "n_parameters", "device", "seconds"]
        rows = [[config["training"][name] for name in columns] for config in configs]
        sizes = [[config["params"]["hidden_size"], config["params"]["window"]] for config in configs]
        return table_preview([*columns, "hidden_size", "window"], [a + b for a, b in zip(rows, sizes, strict=True)])

    def _exists(self) -> bool:
        return (self._filepath / "config.json").exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._filepath)}
