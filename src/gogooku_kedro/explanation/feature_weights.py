"""What variable selection weighs: by feature, by family and month, and how far the seeds agree."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from gogooku_kedro.explanation.subject import Subject
from gogooku_kedro.typing import FloatArray

COLUMNS = ["feature", "family", "weight", "ratio", "seed_low", "seed_high"]
MONTH_COLUMNS = ["month", "family", "features", "weight", "ratio"]


def daily_weights(subject: Subject, days: Sequence[int]) -> pd.DataFrame:
    """Selection weights of every member and session, averaged over the stocks of the cross-section.

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
        return pd.DataFrame(columns=COLUMNS)
    by_seed = daily.groupby(level="seed").mean()
    ratio = by_seed * len(features)
    table = features.assign(
        weight=by_seed.mean().to_numpy(),
        ratio=ratio.mean().to_numpy(),
        seed_low=ratio.min().to_numpy(),
        seed_high=ratio.max().to_numpy(),
    )
    return table.sort_values("weight", ascending=False, ignore_index=True)[COLUMNS]


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


def _no_rows() -> pd.MultiIndex:
    return pd.MultiIndex.from_arrays([[], pd.DatetimeIndex([])], names=["seed", "date"])
