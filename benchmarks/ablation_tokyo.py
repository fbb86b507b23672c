"""The ablation on a file of real prices at a size that two cores train in an hour.

    OMP_NUM_THREADS=1 python -m benchmarks.ablation_tokyo FILE FOLDER

`conf/ohlcv` with a smaller network, fewer features and fewer epochs: 3 seeds, 2 folds, the variants on, off,
identity and permuted. Data, finished variants and reports stay in FOLDER; a second call goes on where it was.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

from benchmarks.kedro_run import kedro_run
from benchmarks.measure import write

SETTINGS: dict[str, Any] = {
    "features": {"families": ["returns", "volume", "liquidity", "regime"]},
    "model": {"hidden_size": 16, "window": 4, "dropout": 0.1, "san": {"slices": 2}, "fan": {"top_k": 1}},
    "training": {"max_epochs": 4, "chunk_days": 8, "learning_rate": 0.003, "ema_decay": 0.99},
}
PARAMS = "labels.entry=close,split.train_end=2015-12-31,split.valid_end=2016-12-30"


def main() -> None:
    """Run data and ablation, print and keep the effect of the graph network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path, help="daily prices, as for kedro run --env ohlcv")
    parser.add_argument("folder", type=Path, help="for data, trained models and reports")
    where = parser.parse_args()
    started = time.monotonic()
    params = f"ohlcv_path={where.file.resolve()},{PARAMS}"
    folder = where.folder.resolve()
    reports = kedro_run(folder, "ohlcv", {"parameters.yml": SETTINGS}, "data,ablation", params)
    effect = json.loads((reports / "gat_effect.json").read_text())
    rows = [
        {"scores": kind, "horizon": horizon, "figure": name} | found
        for kind, table in (("raw", effect), ("pca_neutral", effect["neutral"]))
        for horizon in ("1d", "5d", "10d", "20d")
        for name, found in table[horizon].items()
    ]
    head = {"seconds": round(time.monotonic() - started), "seeds": effect["seeds"], "folds": effect["folds"]}
    write("ablation_tokyo", [head, *rows])


if __name__ == "__main__":
    main()
