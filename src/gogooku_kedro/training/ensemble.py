"""Models of one configuration and different seeds that score together."""

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
import torch

from gogooku_kedro.arrays.cross_section import gaussian_rank
from gogooku_kedro.columns import SCORES
from gogooku_kedro.params import ModelParams
from gogooku_kedro.training.predict import predictions_frame
from gogooku_kedro.training.seed_model import CONFIG, FORMAT, TRAIN_AGAIN, WEIGHTS, SeedModel, read_config
from gogooku_kedro.training.tensors import MarketTensors
from gogooku_kedro.typing import Float32Array, IntArray


@dataclass(frozen=True)
class Ensemble:
    """Trained models that differ in their seed alone; one model is an ensemble of one.

    Attributes:
        seed_models: The models, with different seeds.

    Raises:
        ValueError: If there is no member, two have one seed, or they differ in settings or features.
    """

    seed_models: tuple[SeedModel, ...]

    def __post_init__(self) -> None:
        if not self.seed_models:
            raise ValueError("an ensemble needs a member: training.seeds and training.seed are both empty")
        if len(set(self.seeds)) < len(self.seed_models):
            raise ValueError(f"members of an ensemble have different seeds, these are {list(self.seeds)}")
        first = self.seed_models[0]
        for other in self.seed_models[1:]:
            if (other.params, other.feature_hash) != (first.params, first.feature_hash):
                raise ValueError(
                    f"the model of seed {other.training['seed']} was trained with other settings or features "
                    f"than that of seed {first.training['seed']}: {TRAIN_AGAIN}"
                )

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seed of every member."""
        return tuple(member.training["seed"] for member in self.seed_models)

    @property
    def params(self) -> ModelParams:
        """Settings that all members share."""
        return self.seed_models[0].params

    @property
    def training(self) -> dict[str, Any]:
        """Seeds and seconds of all members; device and number of parameters of each one of them."""
        first = self.seed_models[0].training
        return {
            "seeds": list(self.seeds),
            "device": first["device"],
            "n_parameters": first["n_parameters"],
            "seconds": round(sum(member.training["seconds"] for member in self.seed_models), 1),
        }

    def save(self, folder: Path) -> None:
        """Write a subfolder for every member; the list of them comes last and marks all complete."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CONFIG).unlink(missing_ok=True)
        (folder / WEIGHTS).unlink(missing_ok=True)
        for old in folder.iterdir():
            if _is_member(old.name):
                shutil.rmtree(old)
        names = [f"seed_{seed}" for seed in self.seeds]
        for name, member in zip(names, self.seed_models, strict=True):
            member.save(folder / name)
        (folder / CONFIG).write_text(json.dumps({"format": FORMAT, "members": names}, indent=2))

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            ValueError: If a file is missing, damaged, exchanged or of another version, naming the file.
        """
        names = read_config(folder).get("members")
        if not isinstance(names, list) or not names or not all(map(_is_member, names)):
            raise ValueError(f"{folder / CONFIG} lists no members such as seed_0: {TRAIN_AGAIN}")
        return cls(tuple(SeedModel.load(folder / name) for name in names))


def predict_parts(
    ensemble: Ensemble,
    feature_hash: str,
    model_params: ModelParams,
    market: MarketTensors,
    parts: dict[str, list[int]],
    dates: pd.DatetimeIndex,
    codes: pd.Index,
    device: str,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Predictions of an ensemble, and the scores of each of its members.

    A member by itself gives its own scores. Of several, a score is the mean over the members of the
    Gaussian rank of the member's score among the stocks of the date (0 on a date with fewer than 5 stocks,
    which have no rank), and a quantile is the mean of theirs.

    Args:
        ensemble: The trained models.
        feature_hash: Hash of the manifest of the market's features.
        model_params: Settings of the section `model`.
        market: The market.
        parts: Positions of the days by name of the part, for example `{"test": [...]}`.
        dates: Sessions of the market.
        codes: Stocks of the market.
        device: `cpu` or `cuda`.

    Returns:
        `date, code, split, score_1d ... score_20d` and quantiles `q05_1d ...` as in
        `predictions_frame`; and `date, code, split, seed, score_1d ... score_20d`.

    Raises:
        ValueError: If features, settings or sizes are not those of the training.
    """
    market = market.to(torch.device(device))
    frames = []
    for member in ensemble.seed_models:
        member.check_market(market)
        model = member.build(feature_hash, model_params)
        frames.append(predictions_frame(model, member.params, market, parts, dates, codes, device))
    return combine(frames), _by_seed(frames, ensemble.seeds)


def combine(frames: list[pd.DataFrame]) -> pd.DataFrame:
    """Average the predictions of members, all on the same rows; the rows of a date lie together."""
    if len(frames) == 1:
        return frames[0]
    combined, scores = frames[0].copy(), list(SCORES)
    quantiles = [str(name) for name in combined if name not in ("date", "code", "split", *SCORES)]
    combined[quantiles] = np.mean([frame[quantiles].to_numpy() for frame in frames], axis=0)
    borders = np.flatnonzero(combined["date"].diff().to_numpy()[1:]) + 1
    ranks = [_ranks_by_date(frame[scores].to_numpy(np.float32), borders) for frame in frames]
    combined[scores] = np.mean(ranks, axis=0)
    return combined


def _ranks_by_date(scores: Float32Array, borders: IntArray) -> Float32Array:
    ranks: list[Float32Array] = [gaussian_rank(day.T).T for day in np.split(scores, borders)]
    return np.nan_to_num(np.concatenate(ranks))


def _by_seed(frames: list[pd.DataFrame], seeds: tuple[int, ...]) -> pd.DataFrame:
    columns = ["date", "code", "split", "seed", *SCORES]
    return pd.concat(
        [frame.assign(seed=seed)[columns] for frame, seed in zip(frames, seeds, strict=True)],
        ignore_index=True,
    )


def _is_member(name: Any) -> bool:
    return isinstance(name, str) and re.fullmatch(r"seed_\d+", name) is not None
