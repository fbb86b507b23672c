"""Which model scores a morning: the one that was trained last, or the champion of the registry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from gogooku_kedro.champion.registry import CHAMPION, Registry
from gogooku_kedro.params import ModelParams
from gogooku_kedro.training import Ensemble
from gogooku_kedro.training.ensemble import differing_settings

TRAINED = "trained last in this data root"


class Chosen(NamedTuple):
    """A model and what it is called.

    Attributes:
        ensemble: The trained models.
        name: "version 2 of atft_gat_fan, champion", or that it is no registered one.
    """

    ensemble: Ensemble
    name: str


def champion_of(uri: str, name: str, manifest: Mapping[str, Any], model: ModelParams) -> Chosen:
    """Return the champion, where it reads these features with these settings.

    Args:
        uri: Tracking URI.
        name: Of the registered model.
        manifest: Feature manifest of the data root.
        model: Section `model`.

    Raises:
        ValueError: There is no champion, it cannot be read, or was trained on other features or settings.
    """
    registry = Registry.open(uri, name)
    version = registry.find(CHAMPION)
    ensemble = registry.candidate(version).ensemble
    ensemble.seed_models[0].check_features(manifest["hash"])
    different = differing_settings(ensemble.params, model, "model")
    if different:
        raise ValueError(
            f"the champion, {version} of {name}, was trained with other settings: {'; '.join(different)}; set them "
            "back, or daily.model=trained"
        )
    return Chosen(ensemble, f"{version} of {name}, {CHAMPION}")
