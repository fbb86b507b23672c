"""The sample market as tables in the shape of J-Quants V2, and its hidden truth beside them."""

import numpy as np
import pandas as pd

from gogooku_kedro.exchange.calendar import OUTAGES
from gogooku_kedro.exchange.tse import SECTORS_33, SEGMENT_REFORM, SEGMENTS
from gogooku_kedro.sample_market.flows import investor_flows_table, margin_balances_table
from gogooku_kedro.sample_market.frictions import Quotes, high_and_low, quote_prices, traded_sessions, traded_volume
from gogooku_kedro.sample_market.latent import LatentMarket, draw_latent
from gogooku_kedro.sample_market.oracle import oracle_scores, rank_ic_bounds
from gogooku_kedro.sample_market.settings import ENTRIES, SampleMarketSettings, random_stream
from gogooku_kedro.sample_market.statements import statements_table
from gogooku_kedro.sample_market.universe import Universe, draw_universe
from gogooku_kedro.typing import BoolArray

TABLES = (
    *("bars", "listed_issues", "market_index", "statements", "investor_flows", "margin_balances"),
    *("oracle_scores", "peers", "oracle"),
)

_PRICES = ["O", "H", "L", "C"]
_INDEX_AT_START = 1_500.0


def generate_sample_market(settings: SampleMarketSettings) -> dict[str, pd.DataFrame]:
    """Generate every table of a sample market.

    Args:
        settings: The market's settings; equal settings give equal tables, byte for byte.

    Returns:
        `bars`, `listed_issues`, `market_index`, `statements`, `investor_flows`, `margin_balances` in
        the shape of J-Quants V2; `oracle_scores`, the Bayes-optimal scores of each date and code;
        `peers`, the hidden graph (`source`, `target`, `weight`; a target's weights sum to 1);
        `oracle`, the rank IC bounds (`rank_ic_bounds`). The last three of J-Quants are independent
        of all returns, so that the bounds hold for those who read them too.
    """
    universe = draw_universe(settings)
    latent = draw_latent(settings, universe)
    traded = traded_sessions(settings, universe)
    quotes = quote_prices(settings, universe, latent, traded, settings.signal_strength)
    return {
        "bars": _bars(settings, universe, latent, quotes, traded),
        "listed_issues": _listed_issues(settings, universe),
        "market_index": _market_index(settings, latent),
        "statements": statements_table(settings, universe),
        "investor_flows": investor_flows_table(settings),
        "margin_balances": margin_balances_table(settings, universe),
        "oracle_scores": _oracle_scores(settings, universe, latent),
        "peers": _peers(universe),
        "oracle": rank_ic_bounds(settings),
    }


def _bars(
    settings: SampleMarketSettings, universe: Universe, latent: LatentMarket, quotes: Quotes, traded: BoolArray
) -> pd.DataFrame:
    """One row per listed code and business day; all null together without a trade."""
    high, low = high_and_low(settings, universe, latent, quotes)
    volume = traded_volume(settings, universe, latent)
    turnover = np.round(volume * (quotes.open + high + low + quotes.close) / 4)
    factor = universe.adjustment_factor(len(traded))
    date, code = np.nonzero(universe.listed(len(traded)))

    def column(values: np.ndarray) -> np.ndarray:
        return np.where(traded, values, np.nan)[date, code]

    def flag(touched: BoolArray) -> np.ndarray:
        return np.where((traded & touched)[date, code], "1", "0")

    bars = pd.DataFrame(
        {
            "Date": settings.sessions[date],
            "Code": pd.array(universe.codes[code], dtype="str"),
            "O": column(quotes.open),
            "H": column(high),
            "L": column(low),
            "C": column(quotes.close),
            "UL": pd.array(flag(high >= quotes.upper), dtype="str"),
            "LL": pd.array(flag(low <= quotes.lower), dtype="str"),
            "Vo": column(volume),
            "Va": column(turnover),
            "AdjFactor": factor[date, code],
        }
    )
    return _with_outages(bars)


def _with_outages(bars: pd.DataFrame) -> pd.DataFrame:
    """Add the null rows that J-Quants serves for a day on which the whole exchange stood still."""
    frames = [bars]
    for day in OUTAGES:
        if not bars["Date"].min() < day < bars["Date"].max():
            continue
        before = bars.loc[bars["Date"] == bars.loc[bars["Date"] < day, "Date"].max()]
        nothing = dict.fromkeys([*_PRICES, "Vo", "Va"], np.nan)
        frames.append(before.assign(Date=day, UL="0", LL="0", AdjFactor=1.0, **nothing))
    ordered = pd.concat(frames).sort_values(["Date", "Code"], kind="stable", ignore_index=True)
    return ordered.astype({"Date": "datetime64[ns]"})


def _listed_issues(settings: SampleMarketSettings, universe: Universe) -> pd.DataFrame:
    """One row per code at its listing, and one at the segment reform if it lived to see it."""
    dates = settings.sessions
    names = np.array([SECTORS_33[code].name for code in universe.sector])
    listing = pd.DataFrame(
        {
            "Date": dates[universe.first],
            "Code": pd.array(universe.codes, dtype="str"),
            "CoName": [f"{name} {code[:4]}" for name, code in zip(names, universe.codes, strict=True)],
            "S17": [SECTORS_33[code].s17 for code in universe.sector],
            "S33": pd.array(universe.sector, dtype="str"),
            "S33Nm": pd.array(names, dtype="str"),
            "Mkt": pd.array(universe.segment, dtype="str"),
            "ScaleCat": pd.array(universe.scale, dtype="str"),
        }
    )
    late = listing["Date"] >= SEGMENT_REFORM
    listing["Mkt"] = listing["Mkt"].where(~late, universe.segment_after_reform)
    lived = ~late & (dates[universe.last] >= SEGMENT_REFORM)
    reform = listing[lived].assign(Date=SEGMENT_REFORM, Mkt=universe.segment_after_reform[lived])
    issues = pd.concat([listing, reform]).sort_values(["Date", "Code"], ignore_index=True)
    issues.insert(7, "MktNm", issues["Mkt"].map(SEGMENTS).astype("str"))
    return issues.astype({"Date": "datetime64[ns]"})


def _market_index(settings: SampleMarketSettings, latent: LatentMarket) -> pd.DataFrame:
    """Draw an index of the market factor; on an outage it repeats the last close, as TOPIX did."""
    rng = random_stream(settings.seed, 0, "index")
    returns = latent.market_overnight + latent.market_intraday
    log_close = np.log(_INDEX_AT_START) + np.cumsum(returns)
    log_open = log_close - latent.market_intraday
    variance = (1 - settings.overnight_share) * settings.market_volatility**2
    gap = (log_close - log_open) ** 2
    reach_up, reach_down = (np.sqrt(gap + 2 * variance * rng.exponential(size=len(gap))) for _ in range(2))
    middle = log_open + log_close
    prices = np.exp([log_open, (middle + reach_up) / 2, (middle - reach_down) / 2, log_close])
    index = pd.DataFrame(np.round(prices.T, 2), columns=_PRICES)
    index.insert(0, "Date", settings.sessions)
    for day in OUTAGES:
        if not index["Date"].min() < day < index["Date"].max():
            continue
        close = index.loc[index["Date"] < day, "C"].iloc[-1]
        standstill = pd.DataFrame({"Date": [day], **{name: [close] for name in _PRICES}})
        index = pd.concat([index, standstill]).sort_values("Date", ignore_index=True)
    return index.astype({"Date": "datetime64[ns]"})


def _oracle_scores(settings: SampleMarketSettings, universe: Universe, latent: LatentMarket) -> pd.DataFrame:
    """Scores for the next open as own_1d … graph_20d, for the close with `_close` appended."""
    date, code = np.nonzero(universe.listed(len(latent.drift)))
    columns: dict[str, np.ndarray] = {}
    for scores in oracle_scores(settings, universe, latent):
        suffix = "" if scores.entry == ENTRIES[0] else f"_{scores.entry}"
        for name, values in (("own", scores.own), ("graph", scores.graph)):
            columns[f"{name}_{scores.horizon}d{suffix}"] = values[date, code].astype(np.float32)
    keys = {"date": settings.sessions[date], "code": pd.array(universe.codes[code], dtype="str")}
    return pd.DataFrame(keys | dict(sorted(columns.items(), key=_by_entry_then_kind)))


def _by_entry_then_kind(item: tuple[str, np.ndarray]) -> tuple[bool, bool]:
    name = item[0]
    return name.endswith("close"), name.startswith("graph")


def _peers(universe: Universe) -> pd.DataFrame:
    edges = universe.peers.tocoo()
    target, source = edges.coords
    peers = pd.DataFrame(
        {
            "source": pd.array(universe.codes[source], dtype="str"),
            "target": pd.array(universe.codes[target], dtype="str"),
            "weight": edges.data,
        }
    )
    return peers.sort_values(["target", "source"], ignore_index=True)
