"""How often is something found where nothing is? Ablations of twenty markets without any signal.

    OMP_NUM_THREADS=1 python -m benchmarks.false_alarms

Every market is a sample market of its own seed with `signal_strength: 0`, run by the command line through
`data` and `ablation` with the settings of `conf/test`, longer: two seeds, two folds. A figure whose 95%
interval does not hold 0 is a false alarm; of 20 there is 1 to be expected, and more than 2 in 8 % of cases.
"""

import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks.kedro_run import kedro_run
from benchmarks.measure import write
from gogooku_kedro.metrics.significance import mean_p_value, newey_west_lag, newey_west_t

SEEDS = range(20)
ALLOWED = 2
HORIZONS = (1, 5, 10, 20)
MARKET = {"n_codes": 60, "start": "2019-01-04", "end": "2021-12-30", "signal_strength": 0.0}
SETTINGS: dict[str, Any] = {
    "features": {"checks": {"on_failure": "drop"}},
    "training": {"max_epochs": 3},
    "ablation": {"seeds": [0, 1], "walk_forward": {"folds": 2, "test_sessions": 120, "valid_sessions": 60}},
    "evaluation": {"bootstrap_samples": 1000},
}
LEVEL, NORMAL = 0.05, 1.96


def run(seed: int, folder: Path) -> Path:
    """Run the flow on the market of a seed and return the folder of its reports."""
    changes = {"globals.yml": {"sample_market": MARKET | {"seed": seed}}, "parameters.yml": SETTINGS}
    return kedro_run(folder, "test", changes, "data,ablation")


def alarms(reports: Path) -> Iterator[tuple[str, bool]]:
    """Yield every figure of a run that has an interval, and whether the interval leaves 0 out."""
    effect = json.loads((reports / "gat_effect.json").read_text())
    for kind, table in (("", effect), (", pca neutral", effect["neutral"])):
        for horizon in HORIZONS:
            for name, found in table[f"{horizon}d"].items():
                low, high = found["ci95"]
                if low is not None:
                    yield f"on - off, {name} {horizon}d{kind}", not low <= 0 <= high
    daily = pd.read_parquet(reports / "ablation_daily_metrics.parquet")
    models = daily[(daily["scores"] == "raw") & (daily["seed"] == "ensemble")]
    for (variant, name), rows in models.groupby(["variant", "horizon"], sort=False):
        series, horizon = rows.sort_values("date")["rank_ic"], int(str(name)[:-1])
        yield f"rank_ic of {variant} {name}", bool(mean_p_value(series, horizon) < LEVEL)
        t = newey_west_t(series, newey_west_lag(horizon))
        yield f"rank_ic of {variant} {name}, Newey-West", bool(abs(t) > NORMAL)


def main() -> None:
    """Run all markets, count the false alarms of every figure, print and keep the table."""
    started = time.monotonic()
    tried: dict[str, list[int]] = {}
    for seed in SEEDS:
        with tempfile.TemporaryDirectory() as folder:
            found = dict(alarms(run(seed, Path(folder))))
        for name, alarm in found.items():
            tried.setdefault(name, []).extend([seed] * alarm)
        print(f"seed {seed}: {[name for name, alarm in found.items() if alarm]}", flush=True)
    rows = [
        {"figure": name, "false_alarms": len(seeds), "of": len(SEEDS), "met": len(seeds) <= ALLOWED}
        for name, seeds in tried.items()
    ]
    head = {"markets": len(SEEDS), "figures": len(rows), "seconds": round(time.monotonic() - started)}
    head["share"] = round(sum(len(seeds) for seeds in tried.values()) / len(SEEDS) / max(1, len(rows)), 3)
    write("false_alarms", [head, *rows])


if __name__ == "__main__":
    main()
