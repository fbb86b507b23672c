"""A trained model with all that is needed to use it: weights, settings, feature hash, sizes."""

from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch

from gogooku_kedro.model import ATFTGATFAN
from gogooku_kedro.params import ModelParams


@dataclass(frozen=True)
class ModelBundle:
    """Weights of ATFT-GAT-FAN and the configuration they were trained with.

    Attributes:
        weights: Arrays by parameter or buffer name.
        params: Settings of the model.
        n_features: Number of features ``F``.
        n_channels: Number of level-like channels ``C``.
        feature_hash: Hash of the feature manifest the model was trained on.
        training: What is worth knowing of the training run (seed, device, best epoch, seconds).
    """

    weights: dict[str, npt.NDArray[Any]]
    params: ModelParams
    n_features: int
    n_channels: int
    feature_hash: str
    training: dict[str, Any]

    @classmethod
    def from_model(
        cls,
        model: ATFTGATFAN,
        params: ModelParams,
        sizes: tuple[int, int],
        feature_hash: str,
        training: dict[str, Any],
    ) -> Self:
        """Take the weights out of a model; ``sizes`` are its features and channels."""
        weights = {k: v.detach().cpu().numpy().copy() for k, v in model.state_dict().items()}
        return cls(weights, params, *sizes, feature_hash, training)

    def build(self, feature_hash: str) -> ATFTGATFAN:
        """Rebuild the model, in evaluation mode.

        Args:
            feature_hash: Hash of the manifest of the features it is about to read.

        Raises:
            ValueError: If these are not the features the model was trained on.
        """
        if feature_hash != self.feature_hash:
            raise ValueError(
                f"the model was trained on features {self.feature_hash[:12]}, but these are "
                f"{feature_hash[:12]}: rebuild the features with the settings of the model, or train "
                f"again with `kedro run --pipelines=training`"
            )
        model = ATFTGATFAN(self.params, self.n_features, self.n_channels)
        model.load_state_dict({k: torch.from_numpy(np.array(v)) for k, v in self.weights.items()})
        return model.eval()

    def config(self) -> dict[str, Any]:
        """Everything but the weights, as JSON types."""
        config = asdict(self) | {"params": self.params.model_dump(mode="json")}
        del config["weights"]
        return config

    @classmethod
    def from_config(cls, weights: dict[str, npt.NDArray[Any]], config: dict[str, Any]) -> Self:
        """The inverse of :meth:`config`."""
        return cls(weights=weights, **(config | {"params": ModelParams.model_validate(config["params"])}))
