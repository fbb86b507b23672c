"""A market and its scores in the binary layout of Qlib: https://qlib.readthedocs.io/en/latest/component/data.html."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from gogooku_kedro.artifacts import remove_folder
from gogooku_kedro.columns import SCORES
from gogooku_kedro.typing import BoolArray, FloatArray

ADJUSTED = ("open", "high", "low", "close")
RESERVED = {"CON", "PRN", "AUX", "NUL", *(f"{port}{n}" for port in ("COM", "LPT") for n in range(10))}
"""Names that no file may have on Windows; Qlib looks for them behind a prefix."""

PREFIX = "_qlib_"
MISSING = ("", "n/a", "nan")


def write_qlib(folder: Path, panel: xr.Dataset, predictions: pd.DataFrame) -> dict[str, int]:
    """Write a market as a data folder of Qlib, whole or not at all.

    `calendars/day.txt` has a session a line, `instruments/all.txt` code, first and last session of every stock, and
    `features/<code>/<field>.day.bin` little-endian float32: the position of the first session in the calendar, then
    a value for every session from the stock's first to its last row, NaN where it did not trade.

    Fields: open, high, low, close (adjusted), volume (adjusted: volume · close is what was traded), factor (adjusted
    over raw price), change (return of the session), amount (yen traded), and score_1d ... score_20d.

    Args:
        folder: Is made; one that is there must be empty.
        panel: Market panel `(date, code)`.
        predictions: date, code, score_1d ... score_20d; scores of other sessions are missing.

    Returns:
        Numbers of `sessions`, `codes` and `fields`.

    Raises:
        ValueError: The folder holds something, a code is no name of a folder, or two differ in case alone.
        OSError: The disk refuses.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} is not empty; name a folder that is not there yet")
    codes = [str(code) for code in panel["code"].values]
    names = _folder_names(codes)
    fields = qlib_fields(panel, predictions)
    listed = np.asarray(panel["listed"].transpose("date", "code").values)
    dates = pd.DatetimeIndex(panel["date"].values)
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    if unfinished.exists():
        remove_folder(unfinished)
    try:
        _write(unfinished, dates, codes, names, fields, listed)
        if folder.exists():
            folder.rmdir()
        unfinished.replace(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return {"sessions": len(dates), "codes": int(listed.any(axis=0).sum()), "fields": len(fields)}


def qlib_fields(panel: xr.Dataset, predictions: pd.DataFrame) -> dict[str, FloatArray]:
    """Return the fields of `write_qlib`, each `(date, code)`, NaN where there is no value."""
    raw = {name: _values(panel, name) for name in ("close", "volume", "turnover_value", "ret_1d")}
    fields = {name: _values(panel, f"adj_{name}") for name in ADJUSTED}
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = fields["close"] / raw["close"]
        fields["volume"] = raw["volume"] / factor
    fields |= {"factor": factor, "change": raw["ret_1d"], "amount": raw["turnover_value"]}
    rows = pd.DatetimeIndex(panel["date"].values).get_indexer(pd.DatetimeIndex(predictions["date"]))
    columns = pd.Index(panel["code"].values.astype(str)).get_indexer(pd.Index(predictions["code"].astype(str)))
    known = (rows >= 0) & (columns >= 0)
    for name in SCORES:
        fields[name] = np.full(factor.shape, np.nan)
        fields[name][rows[known], columns[known]] = predictions[name].to_numpy(np.float64)[known]
    return fields


def _values(panel: xr.Dataset, name: str) -> FloatArray:
    return np.asarray(panel[name].transpose("date", "code").values, np.float64)


def _folder_names(codes: list[str]) -> list[str]:
    """Name of the folder of every code, as Qlib looks for it."""
    wrong = [c for c in codes if c.lower() in MISSING or c in (".", "..") or set(c) & set('/\\:*?"<>|\t\n\0')]
    if wrong:
        raise ValueError(
            f"codes {wrong[:5]} are no names of folders, which Qlib has one of for every code; rename them"
        )
    names = [f"{PREFIX}{code}".lower() if code.upper() in RESERVED else code.lower() for code in codes]
    twice = pd.Series(codes)[pd.Series(names).duplicated(keep=False).to_numpy()].tolist()
    if twice:
        raise ValueError(f"codes {twice[:5]} differ in case alone, which Qlib does not tell apart; rename them")
    return names


def _write(
    folder: Path,
    dates: pd.DatetimeIndex,
    codes: list[str],
    names: list[str],
    fields: dict[str, FloatArray],
    listed: BoolArray,
) -> None:
    days, lines = [str(day) for day in dates.strftime("%Y-%m-%d")], []
    for stock, (code, name) in enumerate(zip(codes, names, strict=True)):
        rows = np.flatnonzero(listed[:, stock])
        if not len(rows):
            continue
        first, last = int(rows[0]), int(rows[-1])
        lines.append(f"{code}\t{days[first]}\t{days[last]}")
        place = folder / "features" / name
        place.mkdir(parents=True)
        for field, values in fields.items():
            content = np.concatenate([[float(first)], values[first : last + 1, stock]])
            content.astype("<f4").tofile(place / f"{field}.day.bin")
    for path, text in {"calendars/day.txt": days, "instruments/all.txt": lines}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text("\n".join(text) + "\n", encoding="utf-8")
