"""A file that another pipeline may have written: nothing while it is not there."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset


class OptionalDataset(AbstractDataset[Any, Any]):
    """Wraps a dataset and loads None while its file does not exist.

    For what a pipeline reads when it is there and does without when it is not: the report reads what was found of
    the graph network, which only `kedro run --pipelines=ablation` writes. The pipeline that writes it
    uses the same entry, so in a run of both the order of the nodes is that of the data, and Kedro-Viz shows
    one dataset, with the preview of the wrapped one.

    What is loaded may be of an earlier run: who reads it must compare what it says of its origin.

    Args:
        filepath: File of the wrapped dataset.
        dataset: Type of the wrapped dataset, or its catalog entry without `filepath`.
        metadata: Kept for plugins such as kedro-viz; not used.

    Example catalog entry:
        ablation_study:
          type: gogooku_kedro.datasets.OptionalDataset
          filepath: data/08_reporting/ablation_study.json
          dataset: gogooku_kedro.datasets.StudyDataset
    """

    def __init__(self, *, filepath: str, dataset: str | dict[str, Any], metadata: dict[str, Any] | None = None) -> None:
        entry = {"type": dataset} if isinstance(dataset, str) else dict(dataset)
        self._filepath = filepath
        self._wrapped = AbstractDataset.from_config(Path(filepath).name, entry | {"filepath": filepath})
        self.metadata = metadata

    def load(self) -> Any:
        """Return what the wrapped dataset loads, None without a file."""
        return self._wrapped.load() if self._exists() else None

    def save(self, data: Any) -> None:
        """Save with the wrapped dataset."""
        self._wrapped.save(data)

    @property
    def origin(self) -> dict[str, Any] | None:
        """Of what the next save will be."""
        return self._wrapped.origin  # type: ignore[attr-defined,no-any-return]

    @origin.setter
    def origin(self, origin: dict[str, Any] | None) -> None:
        self._wrapped.origin = origin  # type: ignore[attr-defined]

    @property
    def preview(self) -> Callable[..., Any]:
        """Preview of the wrapped dataset; absent, as an attribute, where there is nothing to show."""
        if not self._exists():
            raise AttributeError(f"{self._filepath} does not exist: no preview")
        preview: Callable[..., Any] = self._wrapped.preview  # type: ignore[attr-defined]
        return preview

    def _exists(self) -> bool:
        return self._wrapped.exists()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath, "dataset": type(self._wrapped).__name__}
