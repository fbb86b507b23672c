"""Small panels and event tables that can be checked by hand."""

import numpy as np
import pandas as pd
import xarray as xr

NAN = np.nan
CODES = ["13010", "13020"]


def make_panel(dates, split=None, codes=CODES) -> xr.Dataset:
    """A flat panel of 100 yen and 1,000 shares; `split` is (position, new shares per old one)."""
    shape = (len(dates), len(codes))
    factor = np.ones(shape)
    if split is not None:
        factor[split[0] :, 0] = 1 / split[1]
    grids = {"close": 100 * factor, "adj_close": 100.0 * np.ones(shape)}
    grids |= {"volume": 1000 / factor, "adj_volume": 1000.0 * np.ones(shape)}
    return xr.Dataset(
        {name: (("date", "code"), values.astype(np.float32)) for name, values in grids.items()},
        {"date": pd.DatetimeIndex(dates).as_unit("ns"), "code": codes},
    )


def filing(day, period, year_end, code="13010", number=1, time="15:00:00", kind=None, **figures):
    """One row of fins/summary; figures are written as text, as the API serves them."""
    named = "EarnForecastRevision" if kind == "forecast" else f"{period}FinancialStatements_Consolidated_JP"
    row = {
        "DiscDate": day,
        "DiscTime": time,
        "Code": code,
        "DiscNo": f"{number:014d}",
        "DocType": named,
        "CurPerType": period,
        "CurFYEn": year_end,
    }
    return row | {name: str(value) for name, value in figures.items()}


def statements(*filings) -> pd.DataFrame:
    return pd.DataFrame(list(filings)).fillna("")


def margin(day, code="13010", long=500.0, short=100.0, **more):
    row = {"PubDate": "", "Date": day, "Code": code, "LongVol": long, "ShrtVol": short}
    return row | {"LongStdVol": long / 2, "ShrtStdVol": short / 4} | more


def flow(published, end, section="TSEPrime", foreign=(100.0, 10.0), **more):
    """One row of investor-types: foreigners' (turnover, balance), individuals on the other side."""
    names = ("Prop", "Ind", "Frgn", "SecCo", "InvTr", "BusCo", "OthCo", "InsCo", "Bank", "TrstBnk", "OthFin")
    row = {"PubDate": published, "EnDate": end, "Section": section}
    row |= {f"{name}{part}": 0.0 for name in names for part in ("Tot", "Bal")}
    row |= {"FrgnTot": foreign[0], "FrgnBal": foreign[1], "IndTot": 50.0, "IndBal": -foreign[1]}
    return row | more
