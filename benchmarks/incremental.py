"""A new session appended against the whole history rebuilt: graph, features and normalisation, equal in every bit.

`python -m benchmarks.incremental [STOCKS SESSIONS]` builds everything once, then appends the last session to a store
that holds those before, in the same process. Panel and events are given to both.
"""

import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import xarray as xr

from benchmarks.market import bare_panel
from benchmarks.measure import write
from gogooku_kedro.arrays.cross_section import universe_mask
from gogooku_kedro.config_files import ConfigLoader
from gogooku_kedro.daily.chains import input_chains
from gogooku_kedro.daily.sessions import Extender, SessionStore
from gogooku_kedro.features import FAMILIES, Execution, compute_features, feature_manifest, normalise
from gogooku_kedro.graph import build_edges, neighbour_panel
from gogooku_kedro.market.blocks import PanelBlock
from gogooku_kedro.params import FeaturesParams, GraphParams
from gogooku_kedro.settings import CONFIG_LOADER_ARGS

SIZES = ((1_000, 1_000),)
READ = 48  # sessions that a morning holds ready, as a window of 8 in chunks of 32 may ask for
REPEATS = 3


def settings(folder: Path) -> tuple[FeaturesParams, GraphParams]:
    """Those of base, with the workers of this machine."""
    base = ConfigLoader("conf", env="base", **CONFIG_LOADER_ARGS)["parameters"]
    features = FeaturesParams.model_validate(base["features"] | {"workers": 2})
    return features, GraphParams.model_validate(base["graph"] | {"cache_dir": str(folder / "graphs")})


def rebuild(panel: xr.Dataset, features: FeaturesParams, graph: GraphParams) -> tuple[dict[str, Any], PanelBlock]:
    """Graph, what the neighbours did, features and normalisation of all sessions; the manifest and the last block."""
    joined = panel.assign(neighbour_panel(panel, build_edges(panel, graph)).data_vars)
    execution = Execution(workers=features.workers, memory_mb=features.memory_mb)
    manifest = feature_manifest(
        joined, tuple(FAMILIES), normalisation=features.normalisation, normalisation_of={}, sector_neutral=(), clip=8.0
    )
    raw = compute_features(joined, tuple(FAMILIES), execution)
    inside = universe_mask(panel, min_history=features.min_history)
    block = None
    for each in normalise(raw, panel, inside, manifest, execution):
        block = each
    assert block is not None
    return manifest, block


def measure(stocks: int, sessions: int) -> dict[str, Any]:
    """Seconds of both ways, and of what the second way always does."""
    panel = bare_panel(stocks, sessions)
    nothing = xr.Dataset(coords={name: panel[name] for name in ("date", "code")})
    with tempfile.TemporaryDirectory() as folder:
        features, graph = settings(Path(folder))
        seconds, (manifest, block) = timed(lambda: rebuild(panel, features, graph))
        store = SessionStore(Path(folder) / "sessions")
        extender = Extender(store, manifest, features, graph)
        extender.extend(panel.isel(date=slice(None, -1)), nothing.isel(date=slice(None, -1)), READ)
        known, times = set(store.folder.iterdir()), []
        for _ in range(REPEATS):
            once, extension = timed(lambda: extender.extend(panel, nothing, READ))
            assert len(extension.computed) == 1
            times.append(once)
            for path in set(store.folder.iterdir()) - known:
                path.unlink()
        last = np.asarray(block.values["x"])[-1]
        np.testing.assert_array_equal(extension.features["x"].values[-1].view(np.uint32), last.view(np.uint32))
        needs = {need for entry in manifest["features"] for need in entry["needs"]}
        hashing, _ = timed(lambda: input_chains(panel, nothing, needs, ""))
    return {
        "stocks": stocks,
        "sessions": sessions,
        "features": manifest["n_features"],
        "rebuild_seconds": round(seconds, 2),
        "append_seconds": round(median(times), 2),
        "of_it_hashing": round(hashing, 2),
        "times_faster": round(seconds / median(times), 1),
    }


def timed(function: Any) -> tuple[float, Any]:
    """Return the processor seconds of a call, which a shared machine does not change, and what it returns."""
    start = time.process_time()
    result = function()
    return time.process_time() - start, result


def main() -> None:
    sizes = (tuple(int(size) for size in sys.argv[1:3]),) if len(sys.argv) > 2 else SIZES
    write("incremental", [measure(*size) for size in sizes])


if __name__ == "__main__":
    main()
