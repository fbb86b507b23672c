"""Trained models with all that is needed to use them: one per seed, and those of several seeds together."""

import hashlib
import json
import re
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from pydantic import BaseModel, ValidationError
from safetensors import SafetensorError
from safetensors import numpy as safetensors

from gogooku_kedro.artifacts import atomic_file, digest
from gogooku_kedro.model import ATFTGATFAN
from gogooku_kedro.params import ModelParams
from gogooku_kedro.training.tensors import MarketTensors
from gogooku_kedro.typing import Array

FORMAT = 2
WEIGHTS, CONFIG = "weights.safetensors", "config.json"
TRAIN_AGAIN = "train again with `kedro run --pipelines=training`"


@dataclass(frozen=True)
class SeedModel:
    """Weights of ATFT-GAT-FAN and the configuration they were trained with.

    Attributes:
        weights: Arrays by parameter or buffer name.
        params: Settings of the model.
        n_features: Number of features `F`.
        n_channels: Number of raw price channels `C`.
        n_context: Number of values of the market's state `M`.
        feature_hash: Hash of the feature manifest the model was trained on.
        training: What is worth knowing of the training run (seed, device, best epoch, seconds).
    """

    weights: dict[str, Array]
    params: ModelParams
    n_features: int
    n_channels: int
    n_context: int
    feature_hash: str
    training: dict[str, Any]

    @classmethod
    def from_model(
        cls,
        model: ATFTGATFAN,
        params: ModelParams,
        sizes: tuple[int, int, int],
        feature_hash: str,
        training: dict[str, Any],
    ) -> Self:
        """Take the weights out of a model; `sizes` are its features, channels and context values."""
        weights = {k: v.detach().cpu().numpy().copy() for k, v in model.state_dict().items()}
        return cls(weights, params, *sizes, feature_hash, training)

    def build(self, feature_hash: str, model_params: ModelParams) -> ATFTGATFAN:
        """Rebuild the model, in evaluation mode.

        Args:
            feature_hash: Hash of the manifest of the features it is about to read.
            model_params: Settings of the section `model` it is about to run with.

        Raises:
            ValueError: If features or settings are not those the model was trained with, or the weights
                do not fit them.
        """
        self.check_features(feature_hash)
        different = differing_settings(self.params, model_params, "model")
        if different:
            raise ValueError(
                f"the model was trained with other settings: {'; '.join(different)}. Set them back, or {TRAIN_AGAIN}"
            )
        model = ATFTGATFAN(self.params, self.n_features, self.n_channels, self.n_context)
        self._check_weights(model)
        model.load_state_dict({k: torch.from_numpy(np.array(v)) for k, v in self.weights.items()})
        return model.eval()

    def check_features(self, feature_hash: str) -> None:
        """Hold the hash of a manifest of features against that of those the model was trained on.

        Raises:
            ValueError: If they differ.
        """
        if feature_hash != self.feature_hash:
            raise ValueError(
                f"the model was trained on features {self.feature_hash[:12]}, but these are "
                f"{feature_hash[:12]}: rebuild the features with the settings of the model, or {TRAIN_AGAIN}"
            )

    def check_market(self, market: MarketTensors) -> None:
        """Hold the sizes of a market against those the model was trained on.

        Raises:
            ValueError: If the market has other numbers of features, channels or context values.
        """
        wanted, there = (self.n_features, self.n_channels, self.n_context), market_sizes(market)
        if wanted != there:
            raise ValueError(
                f"the model reads {wanted[0]} features, {wanted[1]} levels and {wanted[2]} values of the "
                f"market's state, but the market has {there[0]}, {there[1]} and {there[2]}: rebuild the "
                f"features with the settings of the model, or {TRAIN_AGAIN}"
            )

    def config(self) -> dict[str, Any]:
        """Everything but the weights, as JSON types."""
        config = asdict(self) | {"params": self.params.model_dump(mode="json")}
        del config["weights"]
        return config

    @classmethod
    def from_config(cls, weights: dict[str, Array], config: dict[str, Any]) -> Self:
        """The inverse of `config`."""
        return cls(weights=weights, **(config | {"params": ModelParams.model_validate(config["params"])}))

    def save(self, folder: Path) -> None:
        """Write weights and configuration, the configuration last: it marks the model complete."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CONFIG).unlink(missing_ok=True)
        content = safetensors.save(self.weights)
        (folder / WEIGHTS).write_bytes(content)
        seal = {"format": FORMAT, "weights_sha256": hashlib.sha256(content).hexdigest()}
        with atomic_file(folder / CONFIG) as unfinished:
            unfinished.write_text(json.dumps(seal | self.config(), indent=2))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            ValueError: If a file is missing, damaged, exchanged or of another version, naming the file.
        """
        config = read_config(folder)
        wanted = config.pop("weights_sha256", None)
        try:
            content = (folder / WEIGHTS).read_bytes()
        except FileNotFoundError:
            raise ValueError(f"{folder / WEIGHTS} is missing: {TRAIN_AGAIN}") from None
        if hashlib.sha256(content).hexdigest() != wanted:
            raise ValueError(
                f"{folder / WEIGHTS} is not the file that {folder / CONFIG} was written with (its SHA-256 "
                f"differs): it is truncated or was exchanged; restore both, or {TRAIN_AGAIN}"
            )
        try:
            return cls.from_config(safetensors.load(content), config)
        except (KeyError, TypeError, ValidationError, SafetensorError) as error:
            raise ValueError(
                f"{folder / CONFIG} does not describe a model of this version ({error}): {TRAIN_AGAIN}"
            ) from error

    def _check_weights(self, model: ATFTGATFAN) -> None:
        wanted = {name: tuple(value.shape) for name, value in model.state_dict().items()}
        there = {name: value.shape for name, value in self.weights.items()}
        if wanted != there:
            names = sorted(k for k in wanted.keys() | there.keys() if wanted.get(k) != there.get(k))
            raise ValueError(
                f"the weights do not fit the model of this version, which differs in {', '.join(names[:5])} "
                f"({len(names)} in all): {TRAIN_AGAIN}"
            )


@dataclass(frozen=True)
class Ensemble:
    """Trained models that differ in their seed alone; one model is an ensemble of one.

    Attributes:
        seed_models: The models, with different seeds.
        refitted: Their refits on training and validation part, in the same order; empty without `training.refit`.

    Raises:
        ValueError: If there is no seed model, two have one seed, they differ in settings or features, or the
            refits are of other seeds.
    """

    seed_models: tuple[SeedModel, ...]
    refitted: tuple[SeedModel, ...] = ()

    def __post_init__(self) -> None:
        if not self.seed_models:
            raise ValueError("an ensemble needs a seed model: training.seeds and training.seed are both empty")
        if len(set(self.seeds)) < len(self.seed_models):
            raise ValueError(f"the models of an ensemble have different seeds, these are {list(self.seeds)}")
        first = self.seed_models[0]
        again = [each.training["seed"] for each in self.refitted]
        if again and again != list(self.seeds):
            raise ValueError(f"the refits are of the seeds {again}, the models of {list(self.seeds)}: {TRAIN_AGAIN}")
        for other in (*self.seed_models[1:], *self.refitted):
            if (other.params, other.feature_hash) != (first.params, first.feature_hash):
                raise ValueError(
                    f"the model of seed {other.training['seed']} was trained with other settings or features "
                    f"than that of seed {first.training['seed']}: {TRAIN_AGAIN}"
                )

    def models_for(self, part: str) -> tuple[SeedModel, ...]:
        """Return the models whose scores of a part count.

        Args:
            part: "valid" is scored by models that have not seen it, so that what is chosen on it stays honest; any
                other part, all later, by the refits where there are some.
        """
        return self.seed_models if part == "valid" or not self.refitted else self.refitted

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seed of every seed model."""
        return tuple(each.training["seed"] for each in self.seed_models)

    def fingerprint(self) -> str:
        """Return 32 hexadecimal digits that name weights, settings and features: equal models have equal ones."""
        models = (*self.seed_models, *self.refitted)
        return digest([{"weights": each.weights, **each.config()} for each in models])

    @property
    def params(self) -> ModelParams:
        """Settings that all seed models share."""
        return self.seed_models[0].params

    @property
    def training(self) -> dict[str, Any]:
        """Seeds and seconds of all seed models; device and number of parameters of each one of them."""
        first = self.seed_models[0].training
        return {
            "seeds": list(self.seeds),
            "device": first["device"],
            "n_parameters": first["n_parameters"],
            "refit": "valid" if self.refitted else "none",
            "seconds": round(sum(each.training["seconds"] for each in (*self.seed_models, *self.refitted)), 1),
        }

    def save(self, folder: Path) -> None:
        """Write a subfolder for every seed model; the list of them comes last and marks all complete."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CONFIG).unlink(missing_ok=True)
        (folder / WEIGHTS).unlink(missing_ok=True)
        for old in folder.iterdir():
            if _is_seed_folder(old.name):
                shutil.rmtree(old)
        models = {f"seed_{seed}": model for seed, model in zip(self.seeds, self.seed_models, strict=True)}
        again = {f"refit_{model.training['seed']}": model for model in self.refitted}
        for name, seed_model in (models | again).items():
            seed_model.save(folder / name)
        with atomic_file(folder / CONFIG) as unfinished:
            listed = {"format": FORMAT, "members": list(models), "refitted": list(again)}
            unfinished.write_text(json.dumps(listed, indent=2))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            ValueError: If a file is missing, damaged, exchanged or of another version, naming the file.
        """
        config = read_config(folder)
        names, again = config.get("members"), config.get("refitted", [])
        if not isinstance(names, list) or not names or not all(map(_is_seed_folder, [*names, *again])):
            raise ValueError(f"{folder / CONFIG} lists no seed models such as seed_0: {TRAIN_AGAIN}")
        models, refitted = (tuple(SeedModel.load(folder / name) for name in each) for each in (names, again))
        return cls(models, refitted)


def read_config(folder: Path) -> dict[str, Any]:
    """The `config.json` of a folder, without its format.

    Raises:
        ValueError: If it is missing, is no JSON object, or is of another format.
    """
    file = folder / CONFIG
    try:
        config: Any = json.loads(file.read_text())
    except FileNotFoundError:
        raise ValueError(f"no trained model in {folder}: run `kedro run --pipelines=training` first") from None
    except ValueError as error:
        raise ValueError(f"{file} is not JSON ({error}): {TRAIN_AGAIN}") from error
    written = config.pop("format", 1) if isinstance(config, dict) else "unknown"
    if written != FORMAT:
        raise ValueError(f"{file} has format {written}, but this version reads {FORMAT}: {TRAIN_AGAIN}")
    return dict(config)


def market_sizes(market: MarketTensors) -> tuple[int, int, int]:
    """Numbers of features, raw price channels and context values of a market."""
    return market.x.size(-1), market.levels.size(-1), market.context.size(-1)


def differing_settings(trained: BaseModel, configured: BaseModel, path: str) -> list[str]:
    """Where two settings of one class differ, each with its dotted path and both values."""
    different = []
    for key in type(trained).model_fields:
        before, now = getattr(trained, key), getattr(configured, key)
        if isinstance(before, BaseModel) and isinstance(now, BaseModel):
            different += differing_settings(before, now, f"{path}.{key}")
        elif before != now:
            different.append(f"{path}.{key}: {_shown(before)} then, {_shown(now)} now")
    return different


def _shown(value: Any) -> str:
    return json.dumps(list(value) if isinstance(value, tuple) else value)


def _is_seed_folder(name: Any) -> bool:
    return isinstance(name, str) and re.fullmatch(r"(seed|refit)_\d+", name) is not None
