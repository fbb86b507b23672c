"""Returns by score decile: of every date, and over all of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from gogooku_kedro.columns import horizon_name
from gogooku_kedro.metrics.align import WidePart, check_columns
from gogooku_kedro.metrics.decile_portfolios import N_DECILES
from gogooku_kedro.metrics.rank_ic import rank_ic
from gogooku_kedro.typing import FloatArray

GROUP = ["model", "split", "horizon"]
DECILE_COLUMNS = [*GROUP, "date", "decile", "mean_return"]
DECILES = np.arange(1, N_DECILES + 1)


def decile_profile(deciles: pd.DataFrame) -> pd.DataFrame:
    """Return the mean over dates of each decile's return: model, split, horizon, decile, mean_return.

    Args:
        deciles: Table of `daily.daily_metrics_and_deciles`.

    Returns:
        mean_return is in excess of the date's mean over its deciles; NaN where no date has the decile.
    """
    check_columns(deciles, DECILE_COLUMNS, "daily deciles")
    returns = deciles["mean_return"]
    of_date = returns.groupby([deciles[name] for name in (*GROUP, "date")], sort=False).transform("mean")
    excess = deciles.assign(mean_return=returns - of_date)
    means = excess.groupby([*GROUP, "decile"], sort=False)["mean_return"].mean()
    return means.reset_index()


def monotonicity(means: ArrayLike) -> FloatArray:
    """Return Spearman's correlation of decile number and mean return of each row (date,).

    1 = every decile earns more than the one below it. NaN with fewer than 5 deciles or equal returns.

    Args:
        means: (date, decile 1 to 10), NaN = no return.
    """
    returns = np.asarray(means, dtype=np.float64)
    return rank_ic(np.broadcast_to(DECILES.astype(np.float64), returns.shape), returns)


def profile_monotonicity(deciles: pd.DataFrame) -> pd.Series[float]:
    """Return the `monotonicity` of the mean profile by (model, split, horizon).

    Args:
        deciles: Table of `daily.daily_metrics_and_deciles`.
    """
    profile = decile_profile(deciles).set_index([*GROUP, "decile"])["mean_return"].unstack("decile")
    return pd.Series(monotonicity(profile.to_numpy()), index=profile.index, name="profile_monotonicity")


def decile_rows(part: WidePart, horizon: int, means: FloatArray) -> pd.DataFrame:
    """Return the decile returns of a part (date, decile 1 to 10) long, columns `DECILE_COLUMNS`."""
    return pd.DataFrame(
        {
            "model": part.model,
            "split": part.split,
            "horizon": horizon_name(horizon),
            "date": part.dates.repeat(N_DECILES),
            "decile": np.tile(DECILES, len(part.dates)),
            "mean_return": means.ravel(),
        }
    )
