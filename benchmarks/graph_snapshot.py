"""One correlation matrix with missing values by matrix products against pandas' ``DataFrame.corr``."""

from typing import Any

import numpy as np
import pandas as pd

from benchmarks.measure import in_turn, write
from gogooku_kedro.graph import masked_correlation


def compare(stocks: int, window: int) -> dict[str, Any]:
    """Pairwise-complete correlations of ``stocks`` over ``window`` sessions, both ways."""
    rng = np.random.default_rng(0)
    returns = rng.normal(size=(window, stocks))
    returns[rng.random(returns.shape) < 0.02] = np.nan
    frame, enough = pd.DataFrame(returns), int(0.8 * window)
    return {"stocks": stocks, "window": window} | in_turn(
        lambda: masked_correlation(returns, enough), lambda: frame.corr(min_periods=enough), repeats=3
    )


def main() -> None:
    """Measure two sizes."""
    write("graph_snapshot", [compare(500, 120), compare(1000, 250)])


if __name__ == "__main__":
    main()
