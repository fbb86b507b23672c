"""Blends: models of the table averaged by the ranks of their scores; the weights are equal or chosen on validation."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Literal

import bottleneck as bn
import numpy as np
import pandas as pd
import xarray as xr

from gogooku_kedro.baselines import table
from gogooku_kedro.columns import KEYS, horizon_sessions, score_column, score_columns
from gogooku_kedro.metrics.align import WidePart, horizons_of, wide_parts
from gogooku_kedro.metrics.rank_ic import rank_ic, rank_shares

logger = logging.getLogger(__name__)

Weights = dict[str, dict[str, dict[str, float]]]
"""{blend: {score column: {member: weight}}}; the weights of a blend at a horizon sum to 1."""

STEPS = 4
"""Weights that validation chooses from are multiples of 1 / STEPS: finer ones would fit the noise of its sessions."""


def mean_of_ranks(frames: Sequence[pd.DataFrame], weights: Mapping[str, Sequence[float]] | None = None) -> pd.DataFrame:
    """Average models by the rank of their scores among the stocks of the date, over the rows all of them have.

    Args:
        frames: Of every model: date, code, split, score_<h>d.
        weights: Per score column one weight per model; equal ones without.

    Returns:
        date, code, split, score_<h>d: the mean rank, 0 to 1, high = expected to do better. A row that one of the
        models has not, or has no score in, is left out or NaN.
    """
    keys, scores = list(KEYS), score_columns(frames[0])
    ranked = [
        pd.concat([frame[keys], frame.groupby("date")[scores].rank(pct=True)], axis=1).set_index(keys)
        for frame in frames
    ]
    common = ranked[0].index
    for each in ranked[1:]:
        if not common.equals(each.index):
            common = common.intersection(each.index)
    shares = {name: np.full(len(frames), 1 / len(frames)) for name in scores} | dict(weights or {})
    mixed = {
        name: sum(share * each.loc[common, name] for share, each in zip(shares[name], ranked, strict=True))
        for name in scores
    }
    return pd.DataFrame(mixed, index=common).reset_index()


def blend_frames(frames: Iterable[pd.DataFrame], weights: Weights) -> Iterator[pd.DataFrame]:
    """Yield every blend whose members are all there.

    Args:
        frames: model, date, code, split, score_<h>d of one model each, in any order.
        weights: As from `blend_weights`.

    Yields:
        model, date, code, split, score_<h>d.
    """
    members = {str(frame["model"].iloc[0]): frame for frame in frames}
    for blend, by_score in weights.items():
        names = list(next(iter(by_score.values())))
        if members.keys() >= set(names):
            shares = {score: [of[name] for name in names] for score, of in by_score.items()}
            mixed = mean_of_ranks([members[name] for name in names], shares)
            scores = dict.fromkeys(shares, np.float32)
            yield mixed.astype(scores).assign(model=blend)[["model", *KEYS, *shares]]


def members_of_blends() -> set[str]:
    """Return the models that a blend of the table is made of."""
    return {member for model in table.MODELS for member in model.members}


def blend_weights(frames: Iterable[pd.DataFrame], labels: xr.Dataset, how: Literal["equal", "valid"]) -> Weights:
    """Return the weights of every blend of the table at every horizon.

    "valid" takes, horizon by horizon, the multiples of 1 / `STEPS` whose blend has the highest mean rank IC on the
    validation part; equal weights stand first, and another choice has to beat them. The test part plays no role.

    Args:
        frames: model, date, code, split, score_<h>d of the members, of each in one frame; others are passed over.
        labels: `ret` (date, code, horizon).
        how: `evaluation.blend`.

    Raises:
        ValueError: The weights are to be chosen, and a member has no validation part.
    """
    known = {str(frame["model"].iloc[0]): frame for frame in frames}
    scores = [score_column(horizon) for horizon in horizons_of(labels)]
    found: Weights = {}
    for blend in (model for model in table.MODELS if model.members and known.keys() >= set(model.members)):
        equal = [1 / len(blend.members)] * len(blend.members)
        chosen = dict.fromkeys(scores, equal)
        if how == "valid":
            chosen = _chosen([known[name] for name in blend.members], labels, equal)
            logger.info("%s: weights of valid %s", blend.name, _in_words(chosen, blend.members))
        found[blend.name] = {name: dict(zip(blend.members, shares, strict=True)) for name, shares in chosen.items()}
    return found


def with_scores_of_blend(predicted: pd.DataFrame, latest: pd.DataFrame | None) -> pd.DataFrame:
    """Return predictions of one session with the scores of the blend in the place of the network's.

    Args:
        predicted: Of the network: date, code, score_<h>d and more.
        latest: model, date, code, split, score_<h>d of the latest session that the baselines have scored, or None.

    Raises:
        ValueError: There are no scores of this session and these stocks.
    """
    session, again = predicted["date"].iloc[0], "run the pipelines data,training,baselines,inference, or"
    if latest is None:
        raise ValueError(f"inference.scores: blend, and no blend is stored; {again} write inference.scores: model")
    own = latest[latest["model"] == table.BLEND].set_index("code")
    if (own["date"] != session).any() or len(own) == 0 or not own.index.isin(predicted["code"]).all():
        raise ValueError(
            f"inference.scores: blend, and the stored blend is of {latest['date'].max():%Y-%m-%d} and its stocks, the "
            f"ranking of {session:%Y-%m-%d}; {again} write inference.scores: model"
        )
    scores = score_columns(predicted)
    kept = predicted[predicted["code"].isin(own.index)]
    return kept.assign(**{name: own.loc[kept["code"], name].to_numpy() for name in scores})


def _chosen(members: Sequence[pd.DataFrame], labels: xr.Dataset, equal: list[float]) -> dict[str, list[float]]:
    parts = [_valid_part(member, labels) for member in members]
    grid = product(range(STEPS + 1), repeat=len(parts))
    candidates = [equal, *([count / STEPS for count in counts] for counts in grid if sum(counts) == STEPS)]
    chosen = {}
    for horizon in parts[0].scores:
        present = np.logical_and.reduce([np.isfinite(part.scores[horizon]) for part in parts])
        ranks = [rank_shares(np.where(present, part.scores[horizon], np.nan)) for part in parts]
        returns = parts[0].returns[horizon]
        quality = [
            bn.nanmean(rank_ic(sum(w * rank for w, rank in zip(c, ranks, strict=True)), returns)) for c in candidates
        ]
        chosen[score_column(horizon)] = candidates[int(np.argmax(np.nan_to_num(quality, nan=-np.inf)))]
    return chosen


def _valid_part(member: pd.DataFrame, labels: xr.Dataset) -> WidePart:
    valid = member[member["split"] == "valid"]
    if valid.empty:
        raise ValueError(
            f"evaluation.blend: valid chooses weights on the validation part, and {member['model'].iloc[0]} has no "
            f"scores of it; write evaluation.blend: equal"
        )
    return next(iter(wide_parts(valid, labels)))


def _in_words(chosen: Mapping[str, Sequence[float]], members: Sequence[str]) -> str:
    def of(score: str) -> str:
        weights = zip(members, chosen[score], strict=True)
        return f"{score.removeprefix('score_')} " + ", ".join(f"{name} {weight:.2f}" for name, weight in weights)

    return "; ".join(of(score) for score in sorted(chosen, key=lambda s: horizon_sessions(s.removeprefix("score_"))))
