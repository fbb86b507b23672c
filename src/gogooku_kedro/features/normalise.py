"""What the model reads: x, normalised per date, 0 where missing, with masks that say so; raw price channels."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import xarray as xr

from gogooku_kedro.arrays.compiled import compiled
from gogooku_kedro.arrays.cross_section import gaussian_rank, past_z, robust_z, sector_deviation
from gogooku_kedro.arrays.elementwise import log, log1p
from gogooku_kedro.arrays.groups import group_ids
from gogooku_kedro.arrays.rolling import rolling_mean, rolling_std
from gogooku_kedro.features.engine import DATES_PER_CHUNK, LOCAL, Execution
from gogooku_kedro.market.blocks import PanelBlock, PanelFrame
from gogooku_kedro.typing import Array, BoolArray, Float32Array, IntArray

CHANNELS = ("log_close", "log_volume", "log_volatility_20d", "log_turnover", "sma_gap_60d")

Entries = Sequence[Mapping[str, Any]]

COPIES = 4  # float32 copies of a block's scores in memory at the same time
DATES_PER_STORED_PIECE = 64
METHODS = {"gaussian_rank": gaussian_rank, "robust_z": robust_z}


def normalise(
    raw: xr.Dataset,
    panel: xr.Dataset,
    in_universe: xr.DataArray,
    manifest: Mapping[str, Any],
    execution: Execution = LOCAL,
) -> Iterator[PanelBlock]:
    """Yield x, the raw price channels and the universe, one block of dates after the other.

    Args:
        raw: From `compute_features`; may be opened lazily, only the rows of a block are read.
        panel: Market panel, for the raw price channels and the sectors.
        in_universe: bool `(date, code)`.
        manifest: From `feature_manifest`: the columns, their normalisation and `clip`.
        execution: Threads and memory; neither changes a value.

    Yields:
        Blocks of `x` float32 `(date, code, feature)`, `levels` `(date, code, channel)` and `in_universe`.
        x holds no NaN: 0, the middle of the cross-section, stands for a missing value, for a
        stock outside the universe and for a cross-section of fewer than 5 values. A column `missing_FAMILY` is the
        share of the family's features that the stock lacks, from 0 to 1.
    """
    frame = _frame(raw, in_universe, manifest)
    levels = price_channels(panel)
    inside = in_universe.transpose("date", "code").values
    ids = group_ids(panel["sector"].values)
    entries = manifest["features"]
    over_time = per_date_scores(raw, entries)
    n_dates, n_codes = inside.shape
    size = dates_per_block(n_codes, len(manifest["columns"]), execution)
    starts = range(0, n_dates, size)
    for number, start in enumerate(starts):
        rows = slice(start, min(start + size, n_dates))
        scores = block_scores(raw, rows, inside[rows], ids, entries, over_time, execution.threads)
        values = {"x": model_columns(scores, inside[rows], manifest), "levels": levels.values[rows]}
        values["in_universe"] = inside[rows]
        yield PanelBlock(frame, values, rows, slice(0, n_codes), number, len(starts))


def price_channels(panel: xr.Dataset) -> xr.DataArray:
    """Compute the raw price channels, whose slow parts FAN and SAN take apart.

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
    channels = (log(close), log(volume), log(volatility), log(turnover), log(close / rolling_mean(close, 60)))
    stacked = np.stack([c.transpose("date", "code").values.astype(np.float32) for c in channels], axis=-1)
    coords = {"date": panel["date"].values, "code": panel["code"].values, "channel": list(CHANNELS)}
    return xr.DataArray(stacked, coords, ("date", "code", "channel"), name="levels")


def dates_per_block(n_codes: int, n_columns: int, execution: Execution) -> int:
    """Return how many dates of all stocks and columns the working memory holds, at most one chunk."""
    room = execution.memory_mb * 2**20 // (4 * COPIES * n_codes * n_columns)
    return int(np.clip(room, 1, DATES_PER_CHUNK))


def per_date_scores(raw: xr.Dataset, entries: Entries) -> dict[str, Array]:
    """Return the normalised series `(date,)` of the features that have one value per date."""
    names = [entry["name"] for entry in entries if entry["kind"] == "market"]
    return {name: past_z(raw[name].values) for name in names}


def block_scores(
    raw: xr.Dataset,
    rows: slice,
    inside: Array,
    ids: IntArray,
    entries: Entries,
    over_time: Mapping[str, Array],
    workers: int,
) -> Float32Array:
    """Return the normalised values of some dates, `(feature, date, code)`, NaN where missing.

    Args:
        raw: From `compute_features`, all dates.
        rows: The dates wanted.
        inside: bool `(date, code)` of those dates, the universe.
        ids: `(code,)` sectors from `group_ids`.
        entries: Features of the manifest.
        over_time: From `per_date_scores`, all dates.
        workers: Threads.
    """
    block = raw.isel(date=rows)
    scores = np.empty((len(entries), *inside.shape), dtype=np.float32)

    def fill(position: int) -> None:
        entry = entries[position]
        if entry["kind"] == "market":
            scores[position] = np.where(inside, over_time[entry["name"]][rows, None], np.nan)
        else:
            scores[position] = normalised_cross_section(
                block[entry["name"]].values,
                inside,
                ids,
                method=entry["normalisation"],
                sector_neutral=entry["sector_neutral"],
            )

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(fill, range(len(entries))))
    return scores


def normalised_cross_section(
    values: Array, inside: Array, ids: IntArray, *, method: str, sector_neutral: bool
) -> Array:
    """Normalise one feature of some dates over the universe of each date.

    Args:
        values: `(date, code)`, NaN where missing.
        inside: bool `(date, code)`, the universe.
        ids: `(code,)` sectors from `group_ids`.
        method: `gaussian_rank` or `robust_z`.
        sector_neutral: Take the median of the stock's sector out first.

    Returns:
        `(date, code)`, NaN where missing, outside the universe and for fewer than 5 values.
    """
    among = np.where(inside, values, np.nan)
    if sector_neutral:
        among = sector_deviation(among, ids)
    scores: Array = METHODS[method](among)
    return scores


def model_columns(scores: Array, inside: Array, manifest: Mapping[str, Any]) -> Array:
    """Return x of some dates `(date, code, column)`: scores without NaN, clipped, then the masks.

    Args:
        scores: From `block_scores`.
        inside: bool `(date, code)`, the universe.
        manifest: From `feature_manifest`.
    """
    entries, families, clip = manifest["features"], manifest["masks"], manifest["clip"]
    family = np.array([families.index(e["family"]) if e["family"] in families else -1 for e in entries], np.int64)
    x = np.empty((*inside.shape, len(entries) + len(families)), dtype=np.float32)
    lacking = np.empty((len(families), inside.shape[1]), dtype=np.float32)
    for session, in_universe in enumerate(inside):  # one at a time the transposed copy stays in the cache
        today = scores[:, session]
        x[session, :, : len(entries)] = np.clip(np.where(np.isnan(today), np.float32(0), today), -clip, clip).T
        _missing_shares(scores, session, in_universe, family, lacking)
        x[session, :, len(entries) :] = lacking.T
    return x


@compiled
def _missing_shares(
    scores: Float32Array, session: int, in_universe: BoolArray, family: IntArray, lacking: Float32Array
) -> None:
    """Write the share of each family's features that each stock lacks, `(family, code)`, 0 outside the universe.

    A count, divided once: a matrix product rounds a stock's share by how many stocks there are beside it.

    Args:
        scores: `(feature, date, code)`.
        session: Position of the date.
        in_universe: `(code,)`.
        family: Row of each feature's family in the result, -1 for none.
        lacking: Result.
    """
    lacking[:] = 0
    size = np.zeros(len(lacking), np.float32)
    for feature in range(len(family)):
        row = family[feature]
        if row < 0:
            continue
        size[row] += 1
        for code in range(len(in_universe)):
            lacking[row, code] += np.isnan(scores[feature, session, code]) & in_universe[code]
    for row in range(len(lacking)):
        for code in range(len(in_universe)):
            lacking[row, code] /= size[row]


def _frame(raw: xr.Dataset, in_universe: xr.DataArray, manifest: Mapping[str, Any]) -> PanelFrame:
    coords = {name: raw[name].reset_coords(drop=True) for name in ("date", "code")}
    columns = manifest["columns"]
    coords["feature"] = xr.DataArray(np.asarray(columns, dtype=str), dims="feature")
    coords["channel"] = xr.DataArray(np.asarray(CHANNELS, dtype=str), dims="channel")
    dims = {"x": ("date", "code", "feature"), "levels": ("date", "code", "channel"), "in_universe": ("date", "code")}
    dtypes = {"x": np.float32, "levels": np.float32, "in_universe": np.bool_}
    chunks = {"date": DATES_PER_STORED_PIECE, "code": 512}
    return PanelFrame(coords, dims, dtypes, {"feature_hash": manifest["hash"]}, chunks)
