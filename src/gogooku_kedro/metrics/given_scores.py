"""A table of scores that somebody else made, read as the predictions of a model, or refused in one sentence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from gogooku_kedro.columns import horizon_sessions, is_horizon, score_column
from gogooku_kedro.market.bar_columns import recognised
from gogooku_kedro.market.parsing import parse_codes
from gogooku_kedro.market.stamps import session_stamps
from gogooku_kedro.metrics.align import horizons_of

SCORE = "score"
"""Column that serves every horizon."""
SHOWN = 3


def read_scores(path: Path) -> pd.DataFrame:
    """Return the table of a Parquet or CSV file; codes keep their leading zeros.

    Raises:
        ValueError: There is no such file, or it cannot be read as one of the two.
    """
    if not path.is_file():
        raise ValueError(f"{path} does not exist; name a Parquet or CSV file with the columns date, code and score")
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            table = pd.read_parquet(path)
        else:
            names = pd.read_csv(path, nrows=0).columns
            texts = {name: str for name in names if recognised(str(name)) in ("date", "code")}
            table = pd.read_csv(path, dtype=texts, keep_default_na=False, na_values={n: "" for n in names})
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read as Parquet or CSV ({str(error).splitlines()[0]})") from error
    table.attrs["source"] = str(path)
    return table


def given_scores(
    table: pd.DataFrame | pd.Series[float], labels: xr.Dataset, *, timezone: str = "Asia/Tokyo"
) -> pd.DataFrame:
    """Return scores as predictions: date, code and a column for every horizon of the labels.

    Args:
        table: A row per date and code, in columns or in the index: date, code, and `score` (serves every horizon)
            or `score_<h>d` for single horizons. High = expected to do better. A row without a score is left out.
            `attrs["source"]` names it in messages.
        labels: `ret` (date, code, horizon) of the market that the scores are of.
        timezone: Zone in which a stamp with a UTC offset is a session.

    Returns:
        date (datetime64[ns]), code as the market writes it, score_<h>d float64; a horizon without scores is NaN.

    Raises:
        ValueError: A column is missing or strange, a code or date is not of the market, a row occurs twice, or a score
            is no finite number or the same for all stocks on every date.
    """
    source = str(table.attrs.get("source", "scores"))
    frame = _frame(table, source)
    scores = _score_names(frame, horizons_of(labels), source)
    values = _numbers(frame, scores, source)
    there = values.notna().any(axis=1).to_numpy()
    frame, values = frame[there], values[there]
    read = pd.DataFrame(
        {
            "date": _sessions(frame["date"], labels, source, timezone).to_numpy(),
            "code": _codes(frame["code"], labels, source),
        }
    )
    twice = read.duplicated().to_numpy()
    if twice.any():
        raise ValueError(
            f"{source}: {int(twice.sum())} rows have the date and code of another row, the first "
            f"{read['code'][twice].iloc[0]} on {read['date'][twice].iloc[0]:%Y-%m-%d}; keep one row for each"
        )
    for horizon in horizons_of(labels):
        name = score_column(horizon)
        given = SCORE if SCORE in scores else name
        read[name] = values[given].to_numpy() if given in scores else np.nan
    _check_variation(read, [score_column(h) for h in scored_horizons(read, labels)], source)
    return read.sort_values(["date", "code"], ignore_index=True)


def last_labelled(scores: pd.DataFrame, labels: xr.Dataset) -> pd.Timestamp:
    """Return the last session on which the shortest horizon that has scores has a label."""
    known = labels["ret"].sel(horizon=scored_horizons(scores, labels)[0]).notnull().any("code")
    return pd.Timestamp(labels["date"].values[known.to_numpy()][-1])


def scored_horizons(scores: pd.DataFrame, labels: xr.Dataset) -> list[int]:
    """Return the horizons, in sessions, that have scores."""
    return [horizon for horizon in horizons_of(labels) if scores[score_column(horizon)].notna().any()]


def _frame(table: pd.DataFrame | pd.Series[float], source: str) -> pd.DataFrame:
    frame = table.to_frame(table.name or SCORE) if isinstance(table, pd.Series) else table
    if any(name is not None for name in frame.index.names):
        frame = frame.reset_index()
    known = {name: ours for name in frame if (ours := recognised(str(name))) in ("date", "code")}
    frame = frame.rename(columns=known)
    for name in ("date", "code"):
        if list(frame.columns).count(name) != 1:
            found = ", ".join(map(str, table.columns if isinstance(table, pd.DataFrame) else table.index.names))
            raise ValueError(f"{source}: one column must be {name}, among {found}; rename it")
    if frame.empty:
        raise ValueError(f"{source}: no rows; write a row for each date and code")
    return frame.reset_index(drop=True)


def _score_names(frame: pd.DataFrame, horizons: Sequence[int], source: str) -> list[str]:
    names = [str(name) for name in frame if name == SCORE or str(name).startswith(f"{SCORE}_")]
    legal = [SCORE, *(score_column(horizon) for horizon in horizons)]
    for name in names:
        suffix = name.removeprefix(f"{SCORE}_")
        if name not in legal:
            what = f"{horizon_sessions(suffix)} sessions are no horizon here" if is_horizon(suffix) else "is not known"
            raise ValueError(f"{source}: column {name}: {what}; write {', '.join(legal)}")
    if not names:
        others = [str(name) for name in frame if name not in ("date", "code")]
        raise ValueError(
            f"{source}: no column of scores among {', '.join(others) or 'date and code'}; call it score, or "
            f"{score_column(horizons[0])} to {score_column(horizons[-1])} for single horizons"
        )
    if SCORE in names and len(names) > 1:
        raise ValueError(f"{source}: score is for every horizon, and {names[-1]} is there too; keep one of the two")
    return names


def _numbers(frame: pd.DataFrame, names: Sequence[str], source: str) -> pd.DataFrame:
    columns = {}
    for name in names:
        numbers = pd.to_numeric(frame[name], errors="coerce").astype(np.float64)
        wrong = (numbers.isna() & frame[name].notna()) | np.isinf(numbers)
        if wrong.any():
            raise ValueError(f"{source}: column {name} has {frame[name][wrong].iloc[0]}, which is no finite number")
        columns[name] = numbers
    values = pd.DataFrame(columns)
    if not values.notna().any(axis=None):
        raise ValueError(f"{source}: every score is missing")
    return values


def _sessions(dates: pd.Series, labels: xr.Dataset, source: str, timezone: str) -> pd.Series[pd.Timestamp]:
    """Sessions of the stamps, which must be those of the market."""
    read = session_stamps(dates, source=source, timezone=timezone).dates
    if read.isna().any():
        raise ValueError(f"{source}: {int(read.isna().sum())} rows with a score have no date; fill it in")
    sessions = labels.indexes["date"]
    off = sorted(set(read) - set(sessions))
    if off:
        raise ValueError(
            f"{source}: {len(off)} dates are no sessions of the market ({_first([f'{d:%Y-%m-%d}' for d in off])}), "
            f"which has {sessions[0]:%Y-%m-%d} to {sessions[-1]:%Y-%m-%d}; leave them out"
        )
    return read


def _codes(codes: pd.Series, labels: xr.Dataset, source: str) -> list[str]:
    """Codes as the market writes them: as they are, in the form of Tokyo, or with the zeros a number has lost."""
    market = [str(code) for code in labels["code"].values]
    as_text = parse_codes(codes, source=source, code_style="as_is")
    if as_text.isna().any():
        raise ValueError(f"{source}: {int(as_text.isna().sum())} rows with a score have no code; fill it in")
    distinct = pd.Series(as_text.unique())
    readings = [distinct, parse_codes(distinct, source=source)]
    if pd.api.types.is_numeric_dtype(codes.dtype):
        padded = pd.Series(market, index=[code.lstrip("0") for code in market])
        readings.append(distinct.map(padded[~padded.index.duplicated(keep=False)]))
    fitting = [reading for reading in readings if reading.isin(market).all()]
    if not fitting:
        best = max(readings, key=lambda reading: int(reading.isin(market).sum()))
        unknown = [str(code) for code in distinct[~best.isin(market)]]
        raise ValueError(
            f"{source}: {len(unknown)} codes are not of the market ({_first(unknown)}), which writes them like "
            f"{_first(market)}; correct them or leave them out"
        )
    return list(as_text.map(dict(zip(distinct, fitting[0], strict=True))))


def _check_variation(read: pd.DataFrame, columns: Sequence[str], source: str) -> None:
    for name in columns:
        if not (read.groupby("date")[name].nunique() > 1).any():
            raise ValueError(f"{source}: {name} is the same for all stocks on every date, so it ranks nothing")


def _first(values: Sequence[str]) -> str:
    return ", ".join(values[:SHOWN]) + (", ..." if len(values) > SHOWN else "")
