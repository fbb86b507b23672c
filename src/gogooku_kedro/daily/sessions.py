"""Features of single sessions on disk: a new session costs itself and its look-back, not the history."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from gogooku_kedro.arrays.cross_section import past_z, universe_mask
from gogooku_kedro.arrays.groups import group_ids
from gogooku_kedro.artifacts import key, read_arrays, remove_leftovers, remove_unused, write_arrays
from gogooku_kedro.daily.chains import first_listed, input_chains
from gogooku_kedro.features import Execution, compute_last
from gogooku_kedro.features.feature import Feature
from gogooku_kedro.features.normalise import CHANNELS, block_scores, model_columns, price_channels
from gogooku_kedro.features.registry import find_feature
from gogooku_kedro.graph import SnapshotCache, build_edges, neighbour_panel
from gogooku_kedro.graph.neighbours import VARIABLES
from gogooku_kedro.params import FeaturesParams, GraphParams
from gogooku_kedro.typing import Array

FORMAT = 2
"""To be raised whenever a change of the code changes a value, or what a file holds."""

CHANNEL_LOOKBACK = 60
"""Sessions before today that the raw price channels read."""

KEEP_DAYS = 400
"""Days after its last use at which the file of a session is deleted."""

LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True)
class Extension:
    """The last sessions of a market as a model reads them, and how they came about.

    Attributes:
        features: `x`, `levels`, `in_universe` of the last sessions on the codes of the panel, and `raw`
            `(date, code, raw_feature)`, the features before they are normalised.
        edges: Graphs in force on these sessions.
        chains: Hash of the inputs of each of the sessions and of all before.
        computed: Sessions that were not stored, in order.
    """

    features: xr.Dataset
    edges: pd.DataFrame
    chains: tuple[str, ...]
    computed: tuple[pd.Timestamp, ...]


@dataclass(frozen=True)
class _Session:
    """What is stored of a session.

    Attributes:
        codes: Codes of the panel on the morning that computed it.
        raw: `(code, raw_feature)`, NaN before a code's first row.
        x: `(code, feature)`.
        levels: `(code, channel)`.
        in_universe: `(code,)`.
        market: `(market feature, date)`: the raw series up to the session, which its deviation from its own past needs.
    """

    codes: Array
    raw: Array
    x: Array
    levels: Array
    in_universe: Array
    market: Array


class SessionStore:
    """A folder with one file per session, named by its date and the hash of all inputs up to it.

    What changes the past (a late filing, a factor that is restated, a corrected price) changes the hashes from there
    on, and with them the files that are looked for: the sessions are computed again. Files are there whole or not at
    all; deleting any costs only the time to compute it again.

    Args:
        folder: Made when something is stored.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, date: pd.Timestamp, chain: str) -> Path:
        """Return where a session lies, or would."""
        return self.folder / f"{date:%Y-%m-%d}.{chain[:16]}.npz"

    def load(self, date: pd.Timestamp, chain: str) -> _Session | None:
        """Return a stored session, None where there is none; one that cannot be read is named in a warning."""
        path = self.path(date, chain)
        if not path.exists():
            return None
        try:
            return _Session(**read_arrays(path, chain))
        except (ValueError, TypeError) as error:
            LOGGER.warning("%s is damaged (%s); the session is computed again", path, error)
            return None

    def save(self, date: pd.Timestamp, chain: str, session: _Session) -> None:
        """Store a session."""
        write_arrays(self.path(date, chain), chain, vars(session))

    def prune(self, keep_days: float = KEEP_DAYS) -> int:
        """Delete what was not used for `keep_days` days or left unfinished; return how many files that were."""
        return remove_leftovers(self.folder) + remove_unused(self.folder, "*.npz", keep_days * 86_400)


@dataclass(frozen=True)
class Extender:
    """Brings the sessions of a market up to date, bit for bit as the stages `graph` and `features` would.

    Attributes:
        store: Sessions computed before.
        manifest: Of the model: the features it reads.
        features: Section `features`.
        graph: Section `graph`.
    """

    store: SessionStore
    manifest: Mapping[str, Any]
    features: FeaturesParams
    graph: GraphParams

    def extend(self, panel: xr.Dataset, events: xr.Dataset, sessions: int) -> Extension:
        """Return the last sessions of a market; those that are stored are read, the others computed.

        Look-backs are those that the features declare; there is no recursion over the whole history beside the
        deviation of a market feature from its own past, whose series every session stores, and the count of
        sessions on which a stock has traded, which the panel has.

        Args:
            panel: Market panel, whole.
            events: Events on its grid.
            sessions: How many; a market that has fewer gives all.
        """
        dates = pd.DatetimeIndex(panel["date"].values)
        start = max(len(dates) - sessions, 0)
        chains = input_chains(panel, events, self._needs(), self._root())
        found = [self.store.load(dates[t], chains[t]) for t in range(start, len(dates))]
        first = next((start + n for n, session in enumerate(found) if session is None), len(dates))
        edges = self._edges(panel, dates[max(min(start, first - self._lookback(VARIABLES)), 0)])
        fresh: list[_Session] = []
        if first < len(dates):
            past = self.store.load(dates[first - 1], chains[first - 1]) if first else None
            fresh = self._compute(panel, events, edges, first, None if past is None else past.market)
            for t, session in zip(range(first, len(dates)), fresh, strict=True):
                self.store.save(dates[t], chains[t], session)
            self.store.prune()
        kept = [session for session in found[: first - start] if session is not None]
        features = self._assembled([*kept, *fresh], panel, start)
        return Extension(features, edges, tuple(chains[start:]), tuple(dates[first:]))

    def _compute(
        self, panel: xr.Dataset, events: xr.Dataset, edges: pd.DataFrame, first: int, market: Array | None
    ) -> list[_Session]:
        n_dates = panel.sizes["date"]
        count, low = n_dates - first, max(first - self._lookback(), 0)
        part = {"date": slice(low, n_dates)}
        near = panel.isel(part)
        joined = near.assign({**neighbour_panel(near, edges).data_vars, **events.isel(part).data_vars})
        execution = Execution(workers=self.features.workers)
        own, over_time = self._own(), self._over_time()
        values = compute_last(joined, own, count, execution)
        series = self._series(panel, events, joined, count, market, execution)
        deviation = {f.name: past_z(series[row])[first:] for row, f in enumerate(over_time)}
        inside = universe_mask(panel, min_history=self.features.min_history).values[first:]
        raw = xr.Dataset({name: (("date", "code"), v) for name, v in values.items()})
        ids, rows = group_ids(panel["sector"].values), slice(0, count)
        entries = self.manifest["features"]
        scores = block_scores(raw, rows, inside, ids, entries, deviation, execution.threads)
        x = model_columns(scores, inside, self.manifest)
        levels = price_channels(near.isel(date=slice(max(first - low - CHANNEL_LOOKBACK, 0), None))).values[-count:]
        listed = first_listed(panel)[None, :] <= np.arange(first, n_dates)[:, None]
        stacked = _stack([values[f.name] for f in own], inside.shape)
        stacked[~listed] = np.nan
        codes = panel["code"].values.astype(str)
        return [
            _Session(codes, stacked[n], x[n], levels[n], inside[n], series[:, : first + n + 1]) for n in range(count)
        ]

    def _series(
        self,
        panel: xr.Dataset,
        events: xr.Dataset,
        near: xr.Dataset,
        count: int,
        before: Array | None,
        execution: Execution,
    ) -> Array:
        """Raw series of the market features up to the last session, `(market feature, date)`."""
        features, n_dates = self._over_time(), panel.sizes["date"]
        if before is None:
            near, count = panel.assign(events.data_vars), n_dates
            before = np.empty((len(features), 0), np.float32)
        values = compute_last(near, features, count, execution) if features else {}
        fresh = [values[feature.name] for feature in features]
        return np.concatenate([before, np.array(fresh, np.float32).reshape(len(features), count)], axis=1)

    def _edges(self, panel: xr.Dataset, since: pd.Timestamp) -> pd.DataFrame:
        cache = SnapshotCache(self.graph.cache_dir) if self.graph.cache_dir is not None else None
        return build_edges(panel, self.graph, cache=cache, start_asof=since)

    def _assembled(self, stored: Sequence[_Session], panel: xr.Dataset, start: int) -> xr.Dataset:
        """Sessions on the codes of the panel; a code that a session does not know yet was not listed."""
        codes, dates = pd.Index(panel["code"].values.astype(str)), panel["date"].values[start:]
        raw_names = [feature.name for feature in self._own()]
        absent = {"raw": np.nan, "x": 0.0, "levels": np.nan, "in_universe": False}
        last = {"raw": raw_names, "x": self.manifest["columns"], "levels": list(CHANNELS), "in_universe": None}
        arrays = {}
        for name, names in last.items():
            dtype = bool if name == "in_universe" else np.float32
            shape = (len(dates), len(codes)) if names is None else (len(dates), len(codes), len(names))
            arrays[name] = np.full(shape, absent[name], dtype)
        for row, session in enumerate(stored):
            where = codes.get_indexer(pd.Index(session.codes))
            for name, array in arrays.items():
                array[row, where[where >= 0]] = getattr(session, name)[where >= 0]
        dims = {"raw": "raw_feature", "x": "feature", "levels": "channel"}
        return xr.Dataset(
            {name: (("date", "code", *((dims[name],) if name in dims else ())), a) for name, a in arrays.items()},
            {
                "date": dates,
                "code": codes.to_numpy(dtype=str),
                **{dims[n]: np.array(names) for n, names in last.items() if names is not None},
            },
            {"feature_hash": self.manifest["hash"]},
        )

    def _own(self) -> list[Feature]:
        return [find_feature(e["name"]) for e in self.manifest["features"] if e["kind"] != "market"]

    def _over_time(self) -> list[Feature]:
        return [find_feature(e["name"]) for e in self.manifest["features"] if e["kind"] == "market"]

    def _needs(self) -> set[str]:
        return {need for entry in self.manifest["features"] for need in entry["needs"]}

    def _lookback(self, of: Collection[str] | None = None) -> int:
        """Sessions before today that are read: all in all, or by the features that need some variables."""
        read = [
            int(e["lookback"]) for e in self.manifest["features"] if of is None or not set(of).isdisjoint(e["needs"])
        ]
        return max(read if of else [CHANNEL_LOOKBACK, *read], default=0)

    def _root(self) -> str:
        return key(
            format=FORMAT,
            manifest=self.manifest["hash"],
            min_history=self.features.min_history,
            graph=self.graph.identity(),
            normalised=[[e["normalisation"], e["sector_neutral"]] for e in self.manifest["features"]],
        )


def _stack(values: Sequence[Array], shape: tuple[int, ...]) -> Array:
    return np.stack(values, axis=-1) if values else np.empty((*shape, 0), np.float32)
