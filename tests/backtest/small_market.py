"""Panels of a few stocks whose prices, limits and halts are written out, and portfolios on them."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from gogooku_kedro.backtest.fills import TradableMarket, loanable_stocks
from gogooku_kedro.backtest.portfolios import backtest_portfolios
from gogooku_kedro.backtest.simulation import Held, hold_portfolios
from gogooku_kedro.backtest.targets import portfolio_legs
from gogooku_kedro.labels.target import make_labels
from gogooku_kedro.params import PortfolioParams

CODES = list("ABCDEF")


def rules(**changes: Any) -> PortfolioParams:
    """Plain portfolios: one fifth of the stocks a leg, no band, no caps, everything loanable."""
    plain = {
        "decile_share": 0.19,  # of six stocks one a leg; at 0.2 the second-worst would lie on the edge
        "top_k": 2,
        "costs_bps": [0.0, 10.0],
        "participation": 0.05,
        "loanable": "all",
    }
    return PortfolioParams(**(plain | {"hysteresis": None, "turnover_cap": None, "sector_cap": None} | changes))


def make_panel(opens: np.ndarray, closes: np.ndarray | None = None, **fields: Any) -> xr.Dataset:
    """Panel (date, code) of unadjusted prices; NaN = did not trade. `fields` replace variables."""
    opens = np.asarray(opens, dtype=np.float32)
    closes = opens if closes is None else np.asarray(closes, dtype=np.float32)
    high, low = np.fmax(opens, closes) * 1.01, np.fmin(opens, closes) * 0.99
    no, yes = np.zeros(opens.shape, dtype=bool), np.ones(opens.shape, dtype=bool)
    sector = fields.pop("sector", ["n/a"] * opens.shape[1])
    grids = {"open": opens, "close": closes, "high": high, "low": low}
    grids |= {f"adj_{name}": prices for name, prices in grids.items()}
    grids |= {"turnover_value": np.full(opens.shape, 1e8, dtype=np.float32), "traded": np.isfinite(closes)}
    grids |= {"listed": yes, "limit_up": no, "limit_down": no, "invalid_jump": no} | fields
    grids |= {f"exact_{name}": grids[f"adj_{name}"].astype(np.float64) for name in ("open", "close")}
    codes = CODES if opens.shape[1] == len(CODES) else [str(1301 + i) for i in range(opens.shape[1])]
    coords = {"date": pd.bdate_range("2024-01-04", periods=len(opens)), "code": codes}
    panel = xr.Dataset({name: (("date", "code"), values) for name, values in grids.items()}, coords)
    return panel.assign_coords(sector=("code", sector))


def locked_up(panel: xr.Dataset, session: int, code: str) -> xr.Dataset:
    """Nobody sells: the session's only price is its upper limit."""
    return _locked(panel, session, code, "limit_up", "high")


def locked_down(panel: xr.Dataset, session: int, code: str) -> xr.Dataset:
    """Nobody buys: the session's only price is its lower limit."""
    return _locked(panel, session, code, "limit_down", "low")


def _locked(panel: xr.Dataset, session: int, code: str, flag: str, extreme: str) -> xr.Dataset:
    locked = panel.copy(deep=True)
    place = (session, panel.indexes["code"].get_loc(code))
    locked[flag].values[place] = True
    locked[extreme].values[place] = locked["open"].values[place]
    return locked


def events_of(panel: xr.Dataset, loanable: np.ndarray | None = None) -> xr.Dataset:
    """Events without margin balances, or with them: 1 = loanable (code,)."""
    events = xr.Dataset(coords={"date": panel["date"].values, "code": panel["code"].values})
    if loanable is not None:
        grid = np.broadcast_to(np.asarray(loanable, dtype=np.float32), panel["close"].shape)
        events["margin_loanable"] = (("date", "code"), grid.copy())
    return events


def predictions(panel: xr.Dataset, score: np.ndarray, horizons: Sequence[int] = (1,)) -> pd.DataFrame:
    """Long predictions of the first sessions; one score for all horizons."""
    dates, codes = panel["date"].values[: len(score)], panel["code"].values
    frame = pd.DataFrame({"date": np.repeat(dates, len(codes)), "code": np.tile(codes, len(dates))})
    columns = {f"score_{h}d": np.asarray(score, dtype=np.float64).ravel() for h in horizons}
    return frame.assign(split="test", model="model", **columns)


def portfolios(
    panel: xr.Dataset,
    score: np.ndarray,
    horizons: Sequence[int] = (1,),
    *,
    entry: str = "next_open",
    loanable: np.ndarray | None = None,
    assumed: str = "all",
    **changes: Any,
) -> pd.DataFrame:
    """Daily results of the portfolios of one score; `assumed` counts where the data have no `loanable`."""
    labels = make_labels(panel, horizons, entry)
    chosen = rules(loanable=assumed, **changes)
    scored = predictions(panel, score, horizons)
    events = events_of(panel, loanable)
    return backtest_portfolios(scored, labels, panel, events, entry, chosen, chosen.costs_bps)


def one_portfolio(
    table: pd.DataFrame, portfolio: str = "long_short", horizon: int = 1, cost: float = 10.0
) -> pd.DataFrame:
    """The days of one portfolio at one cost."""
    kept = (table["portfolio"] == portfolio) & (table["horizon"] == f"{horizon}d") & (table["cost_bps"] == cost)
    return table[kept].reset_index(drop=True)


def held_portfolios(
    panel: xr.Dataset, score: np.ndarray, horizon: int = 1, entry: str = "next_open", **changes: Any
) -> list[Held]:
    """The long-short portfolio of a score after the trades of every session."""
    chosen = rules(**changes)
    market = TradableMarket.read(panel, entry)
    loanable, _ = loanable_stocks(panel, events_of(panel), assumed=True)
    legs = portfolio_legs("long_short", score, loanable[: len(score)], chosen)
    sessions = market.sessions(0, len(score) - 1)
    return list(hold_portfolios(legs, sessions, [horizon], chosen, market.sectors))


def random_market(seed: int = 0, codes: int = 30, sessions: int = 40, **fields: Any) -> tuple[xr.Dataset, np.ndarray]:
    """Random prices without frictions, and a score that changes slowly and ends ten sessions earlier."""
    rng = np.random.default_rng(seed)
    prices = 100 * np.exp(np.cumsum(rng.normal(0, 0.02, (2 * sessions, codes)), axis=0))
    score = np.cumsum(rng.normal(size=(sessions - 10, codes)), axis=0)
    return make_panel(prices[::2], prices[1::2], **fields), score
