"""LightGBM on every feature against LightGBM on 21 simple ones, on the validation part of a finished run.

    python -m benchmarks.features_value DATA_ROOT

Trained on the train part with a fixed number of trees, so that nothing is chosen by the part that is
measured; the test part is not read.
"""

import json
import sys
from pathlib import Path

import lightgbm as lgb
import numpy as np
import xarray as xr

from gogooku_kedro.baselines.lightgbm import SETTINGS
from gogooku_kedro.baselines.rows import LearningRows, learning_rows
from gogooku_kedro.metrics.rank_ic import rank_ic
from gogooku_kedro.metrics.significance import newey_west_lag, newey_west_t

SIMPLE = (
    *(f"return_{n}d" for n in (1, 2, 5, 10, 20, 60, 120)),
    "overnight_return_1d",
    "intraday_return_1d",
    *(f"volatility_{n}d" for n in (5, 20, 60)),
    "high_low_range_20d",
    "close_location_1d",
    *(f"volume_ratio_{short}_{long}" for short, long in ((1, 5), (5, 20), (5, 60))),
    "log_turnover_20d",
    "amihud_20d",
    "max_return_20d",
    "sma_gap_20d",
)
SEEDS = (0, 1, 2)
TREES, RATE, LEAVES = 100, 0.05, 31


def daily_rank_ic(rows: LearningRows, horizon: int, ret: np.ndarray) -> np.ndarray:
    """Rank IC of each validation date, scores averaged over the seeds, against the raw return."""
    train, valid = rows.parts["train"], rows.parts["valid"]
    kept = np.isfinite(train.target[:, horizon])
    learned = np.concatenate([train.x(block) for block in train.blocks])[kept]
    score = np.zeros(len(valid.day))
    for seed in SEEDS:
        settings = SETTINGS | {
            "feature_fraction": 0.8,
            "max_bin": 255,
            "learning_rate": RATE,
            "num_leaves": LEAVES,
            "min_data_in_leaf": 200,
            "seed": seed,
        }
        data = lgb.Dataset(learned, train.target[kept, horizon], params=settings)
        score += valid.scored(lgb.train(settings, data, num_boost_round=TREES).predict)
    grid = np.full(ret.shape[:2], np.nan)
    grid[valid.day, valid.stock] = score
    days = np.unique(valid.day)
    return rank_ic(grid[days], ret[days, :, horizon])


def main(data_root: Path) -> None:
    """Print rank IC and t of both, and the t of their daily difference."""
    features = xr.open_zarr(data_root / "05_model_input/features.zarr").load()
    labels = xr.open_zarr(data_root / "04_feature/labels.zarr").load()
    split = json.loads((data_root / "04_feature/split.json").read_text())
    manifest = json.loads((data_root / "05_model_input/feature_manifest.json").read_text())
    column = {entry["name"]: entry["column"] for entry in manifest["features"]}
    simple = features["x"].sel(feature=[column[name] for name in SIMPLE])
    print(f"validation {split['valid']}, {manifest['n_features']} features against {len(SIMPLE)}")
    print(f"dropped: {json.dumps(manifest['dropped'], indent=1)}")
    both = [learning_rows(x, features["in_universe"], labels["target"], split) for x in (features["x"], simple)]
    ret = labels["ret"].transpose("date", "code", "horizon").values
    for k, horizon in enumerate(labels["horizon"].values):
        daily = [daily_rank_ic(rows, k, ret) for rows in both]
        lag = newey_west_lag(int(horizon))
        figures = [f"{np.nanmean(d):+.4f} (t {newey_west_t(d, lag):.1f})" for d in (*daily, daily[0] - daily[1])]
        print(f"{horizon:>2}d  all {figures[0]}  simple {figures[1]}  difference {figures[2]}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
