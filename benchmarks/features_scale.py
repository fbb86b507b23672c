"""Every feature of bars, sectors, index and graph for the whole Tokyo market, and how time grows with it.

Raw features and x go to zarr as their blocks finish, as in a run; each size is a process of its own, so
that its peak memory is its own.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from typing import Any

from benchmarks.market import bare_panel, with_peers
from benchmarks.measure import peak_gib, write
from gogooku_kedro.arrays.cross_section import universe_mask
from gogooku_kedro.datasets import ZarrDataset
from gogooku_kedro.features import FAMILIES, Execution, feature_manifest, normalise, stream_features

SESSIONS = 2_500
SIZES = (1_000, 2_000, 4_000)
FROM_BARS = [name for name in FAMILIES if name not in ("statements", "margin", "investor_flows")]
EXECUTION = Execution(workers=2, memory_mb=4_096)
SETTINGS = {"normalisation": "gaussian_rank", "normalisation_of": {}, "sector_neutral": (), "clip": 8.0}


def measure(stocks: int) -> dict[str, Any]:
    """Seconds of the raw features and of their normalisation, storing included, and the peak memory."""
    panel = with_peers(bare_panel(stocks, SESSIONS))
    manifest = feature_manifest(panel, FROM_BARS, **SETTINGS)
    with tempfile.TemporaryDirectory() as folder:
        raw_store = ZarrDataset(filepath=f"{folder}/raw.zarr", lazy=True)
        raw_seconds = _store(raw_store, stream_features(panel, FROM_BARS, EXECUTION))
        in_universe = universe_mask(panel, min_history=60)
        blocks = normalise(raw_store.load(), panel, in_universe, manifest, EXECUTION)
        rank_seconds = _store(ZarrDataset(filepath=f"{folder}/x.zarr"), blocks)
    return {
        "stocks": stocks,
        "sessions": SESSIONS,
        "features": manifest["n_features"],
        "raw_seconds": round(raw_seconds, 1),
        "normalise_seconds": round(rank_seconds, 1),
        "peak_gib": peak_gib(),
    }


def _store(store: ZarrDataset, blocks: Iterable[Any]) -> float:
    start = time.perf_counter()
    for block in blocks:
        store.save(block)
    return time.perf_counter() - start


def main() -> None:
    """Measure every size; `relative` is time per stock against the smallest size."""
    rows = []
    for stocks in SIZES:
        command = [sys.executable, "-m", "benchmarks.features_scale", str(stocks)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        rows.append(json.loads(done.stdout.splitlines()[-1]))
    per_stock = [(row["raw_seconds"] + row["normalise_seconds"]) / row["stocks"] for row in rows]
    write(
        "features_scale",
        [row | {"relative": round(each / per_stock[0], 2)} for row, each in zip(rows, per_stock, strict=True)],
    )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(int(sys.argv[1]))))
    else:
        main()
