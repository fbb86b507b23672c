"""Investor flows and margin balances of the sample market, in the shape of J-Quants V2.

Drawn from random streams of their own and, for margin balances, from the issues' fixed facts (normal
volume, split, listed life): independent of the planted drift and of every shock of the market.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from gogooku_kedro.exchange.calendar import sessions
from gogooku_kedro.exchange.tse import SEGMENT_REFORM
from gogooku_kedro.sample_market.latent import autoregression
from gogooku_kedro.sample_market.settings import SampleMarketSettings, random_stream
from gogooku_kedro.sample_market.universe import Universe
from gogooku_kedro.typing import FloatArray

_WEEKS_BEFORE = 20
_LOOK_AHEAD = pd.Timedelta(days=16)  # to the publication of the last week; the calendar is known ahead
_FEWEST_SESSIONS = 3  # of a week with margin balances
_PUBLISHED_ON = 4  # business day of the next week
_REVISED = 0.02
_LOT = 100

_OLD_SECTIONS = {"TSE1st": 0.9, "TSE2nd": 0.01, "TSEMothers": 0.06, "TSEJASDAQ": 0.03}
_NEW_SECTIONS = {"TSEPrime": 0.93, "TSEStandard": 0.02, "TSEGrowth": 0.05}
_WEEKLY_TURNOVER = 3.2e10  # thousand yen, buying and selling, all sections


class _Class(NamedTuple):
    """Typical share of turnover, spread of the net ratio, and its persistence from week to week."""

    share: float
    net: float
    persistence: float


_LEAVES = {
    "Ind": _Class(0.2, 0.03, 0.3),
    "Frgn": _Class(0.58, 0.025, 0.5),
    "SecCo": _Class(0.006, 0.08, 0.1),
    "InvTr": _Class(0.02, 0.09, 0.4),
    "BusCo": _Class(0.015, 0.12, 0.7),
    "OthCo": _Class(0.004, 0.1, 0.2),
    "InsCo": _Class(0.003, 0.15, 0.4),
    "Bank": _Class(0.004, 0.15, 0.3),
    "TrstBnk": _Class(0.045, 0.08, 0.6),
    "OthFin": _Class(0.003, 0.1, 0.2),
}
_PROPRIETARY = 0.12
_ORDER = ("Prop", "Brk", "Tot", *_LEAVES)


class _Weeks(NamedTuple):
    """Weeks with a session: the first, the last, their number, and when flows are published."""

    start: pd.DatetimeIndex
    end: pd.DatetimeIndex
    length: np.ndarray
    published: pd.DatetimeIndex


def _weeks(settings: SampleMarketSettings) -> _Weeks:
    """Weeks from 20 before the market to the one in which it ends."""
    start = pd.Timestamp(settings.start).to_period("W-SUN").start_time - pd.Timedelta(weeks=_WEEKS_BEFORE)
    days = pd.Series(sessions(start, pd.Timestamp(settings.end) + _LOOK_AHEAD))
    grouped = days.groupby(days.dt.to_period("W-SUN").dt.start_time)
    published = grouped.apply(lambda dates: dates.iloc[min(_PUBLISHED_ON, len(dates)) - 1]).shift(-1)
    begun = (grouped.min() <= pd.Timestamp(settings.end)).to_numpy()
    return _Weeks(
        start=pd.DatetimeIndex(grouped.min())[begun],
        end=pd.DatetimeIndex(grouped.max())[begun],
        length=grouped.size().to_numpy()[begun],
        published=pd.DatetimeIndex(published)[begun],
    )


def investor_flows_table(settings: SampleMarketSettings) -> pd.DataFrame:
    """Return the trading by type of investor, each week and section, from 20 weeks before the market on.

    Published on the 4th business day of the next week (the last one of a shorter week); 2% of the
    rows are published again one or two weeks later with other figures. The sections change with the
    segment reform of 2022-04-04.

    Args:
        settings: The market's settings.

    Returns:
        J-Quants V2 columns: PubDate, StDate, EnDate, Section, and {Prop,Brk,Tot,Ind,Frgn,SecCo,
        InvTr,BusCo,OthCo,InsCo,Bank,TrstBnk,OthFin}{Sell,Buy,Tot,Bal} in whole thousand yen. All
        classes together buy what they sell: TotBal is 0.
    """
    rng = random_stream(settings.seed, 0, "investor_flows")
    weeks = _weeks(settings)
    parts = []
    for section, share in (_OLD_SECTIONS | _NEW_SECTIONS).items():
        keys = pd.DataFrame(
            {"PubDate": weeks.published, "StDate": weeks.start, "EnDate": weeks.end, "Section": section}
        )
        traded = _week_of_a_section(share, len(keys), rng)
        first, again = (pd.concat([keys, _columns(*values)], axis=1) for values in traded)
        late = rng.integers(1, 3, len(keys))
        again["PubDate"] = pd.Series(weeks.published).shift(-1).where(late == 1, first["PubDate"].shift(-2))
        revised = rng.random(len(keys)) < _REVISED
        of_section = (keys["EnDate"] >= SEGMENT_REFORM) == (section in _NEW_SECTIONS)
        parts += [first[of_section], again[of_section & revised]]
    table = pd.concat(parts)
    table = table[table["PubDate"] <= pd.Timestamp(settings.end)]
    table["Section"] = table["Section"].astype("str")
    days = dict.fromkeys(["PubDate", "StDate", "EnDate"], "datetime64[ns]")
    ordered = table.sort_values(["PubDate", "EnDate", "Section"], kind="stable", ignore_index=True)
    return ordered.astype(days)


def _week_of_a_section(
    share: float, n_weeks: int, rng: np.random.Generator
) -> tuple[tuple[FloatArray, FloatArray], tuple[FloatArray, FloatArray]]:
    """Turnover and balance `(week, class)` of Prop and the leaves; as published, and as revised."""
    busy = np.exp(0.25 * autoregression(rng.standard_normal((n_weeks, 1)), np.array([0.8])))
    classes = list(_LEAVES.values())
    usual = np.array([kind.share for kind in classes])
    spread = np.array([kind.net for kind in classes])
    memory = np.array([kind.persistence for kind in classes])
    turnover = _WEEKLY_TURNOVER * share * busy * usual * np.exp(0.1 * rng.standard_normal((n_weeks, len(usual))))
    net = spread * autoregression(rng.standard_normal((n_weeks, len(usual))), memory)
    balance = turnover * np.clip(net, -0.6, 0.6)
    own = _WEEKLY_TURNOVER * share * busy[:, 0] * _PROPRIETARY * np.exp(0.1 * rng.standard_normal(n_weeks))
    other = balance + 0.01 * turnover * rng.standard_normal(turnover.shape)
    return _settled(own, turnover, balance), _settled(own, turnover, np.clip(other, -turnover, turnover))


def _settled(own: FloatArray, turnover: FloatArray, balance: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Even whole numbers, with the proprietary traders on the other side of everyone's balance."""
    turnover, balance = 2 * np.ceil(turnover / 2), 2 * np.trunc(balance / 2)
    rest = -balance.sum(axis=1)
    own = np.maximum(2 * np.round(own / 2), np.abs(rest))
    return np.column_stack([own, turnover]), np.column_stack([rest, balance])


def _columns(turnover: FloatArray, balance: FloatArray) -> pd.DataFrame:
    names = ["Prop", *_LEAVES]
    total = {name: turnover[:, i] for i, name in enumerate(names)}
    net = {name: balance[:, i] for i, name in enumerate(names)}
    total |= {"Brk": turnover[:, 1:].sum(axis=1), "Tot": turnover.sum(axis=1)}
    net |= {"Brk": balance[:, 1:].sum(axis=1), "Tot": balance.sum(axis=1)}
    columns = {}
    for name in _ORDER:
        columns[f"{name}Sell"] = (total[name] - net[name]) / 2
        columns[f"{name}Buy"] = (total[name] + net[name]) / 2
        columns[f"{name}Tot"] = total[name]
        columns[f"{name}Bal"] = net[name] + 0.0  # no negative zero
    return pd.DataFrame(columns)


def margin_balances_table(settings: SampleMarketSettings, universe: Universe) -> pd.DataFrame:
    """Return the margin balances of each listed issue on the last session of each week with three or more.

    Issues of the first session have balances from 20 weeks before it. About half the issues are
    loanable (IssType 2); the others (1) have hardly any short balance. A split multiplies both.

    Args:
        settings: The market's settings.
        universe: Its issues.

    Returns:
        J-Quants V2 columns: PubDate (NaT, as before 2026-09-25), Date, Code, IssType, and
        {Shrt,Long}{,Neg,Std}Vol in shares, whole lots of 100.
    """
    rng = random_stream(settings.seed, 0, "margin_balances")
    weeks = _weeks(settings)
    dates = weeks.end[(weeks.length >= _FEWEST_SESSIONS) & (weeks.end <= pd.Timestamp(settings.end))]
    shape = (len(dates), settings.n_codes)
    position = settings.sessions.searchsorted(dates, side="right")[:, None] - 1
    level = np.where(position >= universe.split_session, universe.split_factor, 1.0)
    loanable = rng.random(shape[1]) < 0.55
    memory = np.full(shape[1], 0.96)
    long_level = universe.log_shares + rng.normal(1.3, 0.8, shape[1])
    short_level = universe.log_shares + np.where(loanable, rng.normal(0.0, 0.9, shape[1]), -4.0)
    long = np.exp(long_level + 0.5 * autoregression(rng.standard_normal(shape), memory)) / level
    short = np.exp(short_level + 0.6 * autoregression(rng.standard_normal(shape), memory)) / level
    shares = {}
    for name, volume, usual in (("Shrt", short, 0.25), ("Long", long, 0.65)):
        habit = rng.normal(np.log(usual / (1 - usual)), 0.5, shape[1])
        standard = 1 / (1 + np.exp(-habit - 0.3 * autoregression(rng.standard_normal(shape), memory)))
        shares[f"{name}StdVol"] = np.round(volume * standard / _LOT) * _LOT
        shares[f"{name}NegVol"] = np.round(volume * (1 - standard) / _LOT) * _LOT
        shares[f"{name}Vol"] = shares[f"{name}StdVol"] + shares[f"{name}NegVol"]
    first = np.where(universe.first == 0, -(10**6), universe.first)
    week, code = np.nonzero((position >= first) & (position <= universe.last))
    columns = ("ShrtVol", "LongVol", "ShrtNegVol", "LongNegVol", "ShrtStdVol", "LongStdVol")
    table = pd.DataFrame(
        {
            "PubDate": np.full(len(week), np.datetime64("NaT", "ns")),
            "Date": dates[week].astype("datetime64[ns]"),
            "Code": pd.array(universe.codes[code], dtype="str"),
            "IssType": pd.array(np.where(loanable, "2", "1")[code], dtype="str"),
        }
    )
    return table.assign(**{name: shares[name][week, code] for name in columns})
