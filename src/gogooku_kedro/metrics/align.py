"""From the long prediction table to wide (date, code) arrays on the market's sessions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from gogooku_kedro.columns import score_column
from gogooku_kedro.typing import FloatArray

SPLITS = ("train", "valid", "test")
Predictions = pd.DataFrame | Iterable[pd.DataFrame]
"""A long table of predictions, whole or in frames of whole models; the frames are gone through anew every time."""


def horizons_of(labels: xr.Dataset) -> list[int]:
    """Return the horizons of a labels dataset, in sessions, as plain integers."""
    return [int(horizon) for horizon in labels["horizon"].values]


@dataclass(frozen=True)
class WidePart:
    """Scores of one model on one part of the split, beside the labels of the same sessions.

    Attributes:
        model: Name of the model.
        split: "train", "valid" or "test".
        dates: All sessions from the part's first to its last prediction (date,).
        codes: Stocks (code,).
        scores: Per horizon (date, code); NaN = no score.
        returns: Per horizon (date, code), fractions; NaN = no label.
    """

    model: str
    split: str
    dates: pd.DatetimeIndex
    codes: pd.Index[str]
    scores: dict[int, FloatArray]
    returns: dict[int, FloatArray]


def check_columns(frame: pd.DataFrame, columns: Iterable[str], table: str) -> None:
    """Raise ValueError naming the first column that `frame` lacks."""
    for column in columns:
        if column not in frame.columns:
            raise ValueError(
                f"{table} lacks the column {column!r}; it has {list(frame.columns)}. Write {table} with this column"
            )


class Frames:
    """Predictions in frames of several sources, one source after the other, gone through anew every time.

    Args:
        sources: Predictions, whole or in frames.
    """

    def __init__(self, *sources: Predictions) -> None:
        self._sources = sources

    def __iter__(self) -> Iterator[pd.DataFrame]:
        for source in self._sources:
            yield from frames_of(source)


def frames_of(predictions: Predictions) -> Iterable[pd.DataFrame]:
    """Return the frames of predictions; a whole table is one."""
    return [predictions] if isinstance(predictions, pd.DataFrame) else predictions


def wide_parts(predictions: Predictions, labels: xr.Dataset) -> Iterator[WidePart]:
    """Yield one `WidePart` per (model, split) of a long prediction table.

    Args:
        predictions: date, code, split, score_<h>d per label horizon, and optionally model
            ("model" when the column is absent). Of a table in frames one frame is in memory at a time.
        labels: `ret` (date, code, horizon); its dates are the sessions of the market, so that
            "the session before" is a session even where a model scored nothing.

    Raises:
        ValueError: A column is missing, a date or code is unknown to the labels, a (date, code)
            pair occurs twice, or a split has an unknown name.
    """
    returns = labels["ret"].transpose("horizon", "date", "code").to_numpy()
    codes = pd.Index(labels["code"].values.astype(str))
    sessions = pd.DatetimeIndex(labels["date"].values)
    for frame in frames_of(predictions):
        yield from _parts(frame, horizons_of(labels), sessions, codes, returns)


def _parts(
    predictions: pd.DataFrame,
    horizons: Sequence[int],
    sessions: pd.DatetimeIndex,
    codes: pd.Index[str],
    returns: NDArray[np.floating],
) -> Iterator[WidePart]:
    check_columns(predictions, ["date", "code", "split"], "predictions")
    check_columns(predictions, [score_column(h) for h in horizons], "predictions")
    rows = pd.DataFrame(
        {
            "row": _positions(sessions, predictions["date"], "date"),
            "column": _positions(codes, predictions["code"].astype(str), "code"),
            "model": predictions["model"].to_numpy() if "model" in predictions else "model",
            "split": predictions["split"].to_numpy(),
        }
    )
    values = {h: predictions[score_column(h)].to_numpy(np.float64) for h in horizons}
    for (name, split), part in rows.groupby(["model", "split"], sort=False, observed=True):
        if split not in SPLITS:
            raise ValueError(f"predictions have the split {split!r}; use one of {SPLITS}")
        yield _part(
            model=str(name),
            split=str(split),
            rows=part,
            values=values,
            returns=returns,
            sessions=sessions,
            codes=codes,
            horizons=horizons,
        )


def _part(
    *,
    model: str,
    split: str,
    rows: pd.DataFrame,
    values: dict[int, FloatArray],
    returns: NDArray[np.floating],
    sessions: pd.DatetimeIndex,
    codes: pd.Index[str],
    horizons: Sequence[int],
) -> WidePart:
    first, last = int(rows["row"].min()), int(rows["row"].max())
    where = (rows["row"].to_numpy() - first, rows["column"].to_numpy())
    shape = (last - first + 1, len(codes))
    counts = np.zeros(shape, dtype=np.int32)
    np.add.at(counts, where, 1)
    if (counts > 1).any():
        day, stock = np.argwhere(counts > 1)[0]
        raise ValueError(
            f"predictions of {model!r} hold code {codes[stock]} on "
            f"{sessions[first + day]:%Y-%m-%d} more than once; keep one row per date and code"
        )
    scores = {}
    for horizon in horizons:
        scores[horizon] = np.full(shape, np.nan)
        scores[horizon][where] = values[horizon][rows.index.to_numpy()]
    span = slice(first, last + 1)
    labels = {h: returns[k, span].astype(np.float64) for k, h in enumerate(horizons)}
    return WidePart(model, split, sessions[span], codes, scores, labels)


def _positions(index: pd.Index[str] | pd.DatetimeIndex, values: pd.Series[str], name: str) -> NDArray[np.intp]:
    """Position of each value in the index; only the distinct values are looked up."""
    numbers, distinct = pd.factorize(values, sort=False)
    places = index.get_indexer(pd.Index(distinct))
    if (places < 0).any():
        unknown = distinct[int(np.argmax(places < 0))]
        raise ValueError(
            f"predictions have the {name} {unknown}, which the labels do not know; "
            "evaluate predictions with the labels of the same panel"
        )
    return places[numbers]
