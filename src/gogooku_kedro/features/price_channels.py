"""Level-like channels of a stock, the ones whose slow parts FAN and SAN take apart."""

import numpy as np
import xarray as xr

from gogooku_kedro.arrays.elementwise import log, log1p
from gogooku_kedro.arrays.rolling import rolling_mean, rolling_std

CHANNELS = ("log_close", "log_volume", "log_volatility_20d", "log_turnover", "sma_gap_60d")


def level_channels(panel: xr.Dataset) -> xr.DataArray:
    """Compute the level-like channels of the panel.

    log adjusted close, log adjusted volume, log 20-session volatility of one-day log returns, log
    turnover value (yen), and log close minus the log of its 60-session mean. They are causal: rows
    after t never change values up to t.

    Returns:
        float32 `(date, code, channel)`, NaN where absent (no trade, or a window below 80% present).
    """
    close, volume, turnover, returns = (
        panel[name].astype(np.float64) for name in ("adj_close", "adj_volume", "turnover_value", "ret_1d")
    )
    volatility = rolling_std(log1p(returns), 20)
    channels = (
        log(close),
        log(volume),
        log(volatility),
        log(turnover),
        log(close / rolling_mean(close, 60)),
    )
    stacked = np.stack([c.transpose("date", "code").values.astype(np.float32) for c in channels], axis=-1)
    coords = {
        "date": panel["date"].values,
        "code": panel["code"].values,
        "channel": list(CHANNELS),
    }
    return xr.DataArray(stacked, coords, ("date", "code", "channel"), name="levels")
