"""Rolling means and deviations on the panel against pandas' groupby-rolling on the long table."""

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from benchmarks.measure import in_turn, write
from gogooku_kedro.features.rolling import rolling_mean, rolling_std

WINDOWS = (5, 20, 60)


def compare(stocks: int, sessions: int) -> dict[str, Any]:
    """Mean and standard deviation of three windows, both ways."""
    rng = np.random.default_rng(0)
    dates, codes = pd.bdate_range("2012-01-04", periods=sessions), [f"{i:05d}" for i in range(stocks)]
    values = rng.normal(size=(sessions, stocks))
    panel = xr.DataArray(values, {"date": dates, "code": codes}, ("date", "code"))
    long = panel.to_series().rename("value").reset_index().sort_values(["code", "date"])

    def on_panel() -> None:
        for window in WINDOWS:
            rolling_mean(panel, window), rolling_std(panel, window)

    def groupby_rolling() -> None:
        for window in WINDOWS:
            rolling = long.groupby("code")["value"].rolling(window, min_periods=int(0.8 * window))
            rolling.mean(), rolling.std()

    return {"stocks": stocks, "sessions": sessions} | in_turn(on_panel, groupby_rolling, repeats=3)


def main() -> None:
    """Measure two sizes."""
    write("panel_features", [compare(200, 1000), compare(1000, 1000)])


if __name__ == "__main__":
    main()
