"""Which features count: the weights of variable selection, and the rank IC lost when a family is permuted."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
import xarray as xr
from torch import Tensor

from gogooku_kedro.columns import HORIZONS
from gogooku_kedro.explanation.subject import Subject, combined_scores
from gogooku_kedro.metrics.paired import paired_difference
from gogooku_kedro.metrics.rank_ic import rank_ic
from gogooku_kedro.training.predict import encode_days
from gogooku_kedro.training.tensors import DayChunk
from gogooku_kedro.typing import Float32Array, FloatArray

WEIGHT_COLUMNS = ["feature", "family", "weight", "ratio", "seed_low", "seed_high"]
MONTH_COLUMNS = ["month", "family", "features", "weight", "ratio"]
IMPORTANCE_COLUMNS = [
    *("family", "features", "horizon", "rank_ic", "rank_ic_permuted", "drop", "low", "high", "t", "days"),
]

Change = Callable[[DayChunk], DayChunk]

LEVELS = "raw price channels"
"""Name of what FAN and SAN read, beside the families of features."""


def daily_weights(subject: Subject, days: Sequence[int]) -> pd.DataFrame:
    """Return the selection weights of every seed model and session, averaged over the stocks of the cross-section.

    Returns:
        Rows `(seed, date)`, one column per feature in the order of `subject.features`; a row sums to 1.
        No rows for models without variable selection.
    """
    rows = {
        (seed, subject.dates[day.day]): day.selection[day.present[0]].double().mean(dim=0).cpu().numpy()
        for seed, _, day in subject.encoded(days)
        if day.selection is not None and bool(day.present.any())
    }
    index = pd.MultiIndex.from_tuples(list(rows), names=["seed", "date"]) if rows else _no_rows()
    values = np.array(list(rows.values())).reshape(len(rows), len(subject.features))
    return pd.DataFrame(values, index=index, columns=subject.features["feature"].to_numpy())


def feature_weights(daily: pd.DataFrame, features: pd.DataFrame) -> pd.DataFrame:
    """Mean selection weight of every feature, the heaviest first.

    Args:
        daily: From `daily_weights`.
        features: `feature, family`.

    Returns:
        `feature, family, weight` (over sessions, then seeds; sums to 1), `ratio` to the uniform weight
        1/F, and the lowest and highest ratio of a single seed.
    """
    if daily.empty:
        return pd.DataFrame(columns=WEIGHT_COLUMNS)
    by_seed = daily.groupby(level="seed").mean()
    ratio = by_seed * len(features)
    table = features.assign(
        weight=by_seed.mean().to_numpy(),
        ratio=ratio.mean().to_numpy(),
        seed_low=ratio.min().to_numpy(),
        seed_high=ratio.max().to_numpy(),
    )
    return table.sort_values("weight", ascending=False, ignore_index=True)[WEIGHT_COLUMNS]


def family_weights(weights: pd.DataFrame) -> pd.DataFrame:
    """Sum of the weights of every family's features and its ratio to their uniform share, heaviest first.

    Args:
        weights: From `feature_weights`.
    """
    by_family = weights.groupby("family", sort=False)["weight"]
    table = pd.DataFrame({"features": by_family.size(), "weight": by_family.sum()})
    table["ratio"] = table["weight"] * len(weights) / table["features"]
    return table.sort_values("weight", ascending=False).reset_index()


def feature_weights_by_month(daily: pd.DataFrame, features: pd.DataFrame) -> pd.DataFrame:
    """Weight of every family in every calendar month.

    Args:
        daily: From `daily_weights`.
        features: `feature, family`.

    Returns:
        `month` (2021-08), `family`, `features` (how many), `weight` (their sum, mean over the month's
        sessions and the seeds) and `ratio` to the uniform share features/F.
    """
    if daily.empty:
        return pd.DataFrame(columns=MONTH_COLUMNS)
    month = pd.DatetimeIndex(daily.index.get_level_values("date")).strftime("%Y-%m")
    by_family = daily.T.groupby(features["family"].to_numpy(), sort=False).sum().T
    monthly = by_family.groupby([daily.index.get_level_values("seed"), month]).mean()
    means = monthly.groupby(level=1).mean().rename_axis("month")
    table = means.melt(var_name="family", value_name="weight", ignore_index=False).reset_index()
    table["features"] = table["family"].map(features["family"].value_counts())
    table["ratio"] = table["weight"] * len(features) / table["features"]
    return table.sort_values(["month", "family"], ignore_index=True)[MONTH_COLUMNS]


def seed_correlation(daily: pd.DataFrame) -> float | None:
    """Mean Spearman correlation between the features' weights of two seeds; None with a single seed."""
    by_seed = daily.groupby(level="seed").mean()
    if len(by_seed) < 2:
        return None
    pairs: FloatArray = by_seed.T.corr("spearman").to_numpy()
    return float(pairs[np.triu_indices(len(pairs), k=1)].mean())


def family_importance(
    subject: Subject, days: Sequence[int], labels: xr.Dataset, repeats: int, seed: int
) -> pd.DataFrame:
    """Permute one family at a time and measure the drop in daily rank IC, per horizon.

    A stock's whole window is exchanged: one permutation of the stocks serves a chunk of sessions, so that
    every window stays that of one stock. Stocks are dealt among those present when the chunk begins; where
    a stock's donor is absent later, it keeps its own values. All seed models see the same permutations, and their
    scores are put together as in the predictions. Features of the market as a whole are equal for all
    stocks and have nothing to permute.

    Args:
        subject: Models and market.
        days: Positions of the sessions.
        labels: `ret` (date, code, horizon) on the market's sessions and stocks.
        repeats: Permutations of every family; a session's rank IC is their mean.
        seed: Of the permutations.

    Returns:
        One row per family and horizon: `family, features, horizon, rank_ic` and `rank_ic_permuted`
        (means over the sessions), `drop` = the difference, its 95 % interval over sessions `low, high`,
        the Newey-West `t` and `days`. NaN where there are too few sessions.
    """
    returns = labels["ret"].transpose("date", "code", "horizon").to_numpy()[list(days)]
    whole = _daily_rank_ic(subject, days, returns, None)
    rows = []
    for family, columns in _families(subject).items():
        deals = [Deal(columns, family == LEVELS, (seed, repeat)) for repeat in range(repeats)]
        permuted = np.mean([_daily_rank_ic(subject, days, returns, change) for change in deals], axis=0)
        for h, horizon in enumerate(HORIZONS):
            drop = paired_difference(whole[:, h], permuted[:, h], horizon=horizon)
            measured = (drop.first, drop.second, drop.difference, drop.low, drop.high, drop.t, drop.days)
            rows.append((family, len(columns), f"{horizon}d", *measured))
    return pd.DataFrame(rows, columns=IMPORTANCE_COLUMNS)


@dataclass(frozen=True)
class Deal:
    """Deal the values of some columns to other stocks, by one permutation per chunk.

    Attributes:
        columns: Positions in `x`, or in the levels.
        of_levels: Whether the columns are raw price channels.
        entropy: Seed and number of the repeat; the chunk's first session is added to them.
    """

    columns: Tensor
    of_levels: bool
    entropy: tuple[int, int]

    def __call__(self, chunk: DayChunk) -> DayChunk:
        """The chunk with other values in the columns."""
        order = self.order(chunk)
        if self.of_levels:
            return chunk._replace(levels=deal(chunk.levels, chunk.present, order))
        x = chunk.x.clone()
        x[..., self.columns] = deal(x[..., self.columns], chunk.present, order)
        return chunk._replace(x=x)

    def order(self, chunk: DayChunk) -> Tensor:
        """`(N,)`: whose values each stock receives, known when the first session of the chunk is."""
        first = chunk.present[-chunk.target.size(0)].cpu()
        here, order = first.nonzero().flatten(), torch.arange(len(first))
        rng = np.random.default_rng((*self.entropy, chunk.first_day))
        order[here] = here[torch.from_numpy(rng.permutation(len(here)))]
        return order.to(chunk.x.device)


def deal(values: Tensor, present: Tensor, order: Tensor) -> Tensor:
    """Give every stock the values of another one on the sessions on which both are present.

    Args:
        values: `(T, N, C)`.
        present: `(T, N)` bool.
        order: `(N,)`, stock `i` receives from `order[i]`.
    """
    both = present & present[:, order]
    return torch.where(both.unsqueeze(-1), values[:, order], values)


def _no_rows() -> pd.MultiIndex:
    return pd.MultiIndex.from_arrays([[], pd.DatetimeIndex([])], names=["seed", "date"])


def _families(subject: Subject) -> dict[str, Tensor]:
    families = subject.features.groupby("family", sort=False).indices
    columns = {str(family): torch.from_numpy(rows) for family, rows in families.items()}
    if any(model.levels is not None for model in subject.models):
        columns[LEVELS] = torch.arange(subject.market.levels.size(-1))
    return columns


def _daily_rank_ic(subject: Subject, days: Sequence[int], returns: Float32Array, change: Change | None) -> FloatArray:
    """Return the rank IC `(D, 4)` of the seed models together."""
    by_seed = []
    for model in subject.models:
        scores = []
        for day in encode_days(model, subject.market, list(days), change):
            with torch.no_grad():
                score = model.rank(day.hidden, day.present, day.edge_index, day.edge_attr)[0]
            scores.append(score[0].masked_fill(~day.present[0].unsqueeze(-1), torch.nan).float().cpu())
        by_seed.append(torch.stack(scores).numpy())
    together = combined_scores(by_seed)
    return np.stack([rank_ic(together[..., h], returns[..., h]) for h in range(len(HORIZONS))], axis=1)
