"""Peak memory of a run from raw bars to the report, node by node, on a made-up market or an own price file.

    python -m benchmarks.memory                                 two sizes: what a stock day costs
    python -m benchmarks.memory --stocks 4000 --sessions 2500   one size
    python -m benchmarks.memory --file FILE --seeds 3           an own file
    python -m benchmarks.memory --file FILE --batches 20 --trees 20 --lstm-epochs 1    the same, trained briefly

Every run is a process of its own. The kernel's high-water mark of resident memory is set back before every
node (Linux), so a node's figure is what the process held while it loaded, computed and saved.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.pipeline.node import Node

from benchmarks.features_scale import FROM_BARS
from benchmarks.market import bare_panel
from benchmarks.measure import write
from gogooku_kedro.baselines import lightgbm, lstm

SIZES = ((400, 900), (800, 900))
BARS = ["open", "high", "low", "close", "volume"]


class PeakOfNodes:
    """Note seconds and peak memory (GiB) of every node, from its first input to its last output.

    Every look goes to stderr too, so that a run which is killed has said what it knew.
    """

    def __init__(self) -> None:
        self.rows: dict[str, dict[str, float]] = {}
        self._node, self._start = "", 0.0

    @hook_impl
    def before_dataset_loaded(self, node: Node) -> None:
        """Set the mark back at a node's first input."""
        if node.name != self._node:
            self._node, self._start = node.name, time.perf_counter()
            Path("/proc/self/clear_refs").write_text("5")

    @hook_impl
    def after_node_run(self, node: Node) -> None:
        """Look after the computation."""
        self._look(node)

    @hook_impl
    def after_dataset_saved(self, node: Node) -> None:
        """Look after an output, in which a node that yields blocks is still computing."""
        self._look(node)

    def _look(self, node: Node) -> None:
        seconds = round(time.perf_counter() - self._start, 1)
        fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        peak, now = (int(fields[name].split()[0]) / 2**20 for name in ("VmHWM", "VmRSS"))
        self.rows[node.name] = {"seconds": seconds, "peak_gib": round(peak, 2), "left_gib": round(now, 2)}
        print(node.name, self.rows[node.name], file=sys.stderr, flush=True)


def made_up_file(path: Path, stocks: int, sessions: int) -> None:
    """Write a market of `bare_panel` as the bars of a file with sectors."""
    bars = bare_panel(stocks, sessions)[BARS].to_dataframe().reset_index().dropna()
    bars.to_parquet(path, index=False)


def run(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Run the pipelines in this process and return what its nodes took."""
    file = arguments.file or folder / "bars.parquet"
    if arguments.file is None:
        made_up_file(file, arguments.stocks, arguments.sessions)
    root = Path(__file__).parents[1]
    training = {"device": "cpu", "processes": 1, "max_epochs": arguments.epochs, "max_batches": arguments.batches}
    settings: dict[str, Any] = {
        "ohlcv_path": str(file),
        "data_root": str(arguments.data_root or folder / "data"),
        "training": training | {"seeds": list(range(arguments.seeds))},
    }
    lightgbm.fit_trees = partial(lightgbm.fit_trees, max_rounds=arguments.trees)
    lstm.fit = partial(lstm.fit, max_epochs=arguments.lstm_epochs)
    if arguments.families == "all":
        settings["features"] = {"families": FROM_BARS}
    bootstrap_project(root)
    nodes = PeakOfNodes()
    with KedroSession.create(project_path=root, env="ohlcv", runtime_params=settings) as session:
        session._hook_manager.register(nodes)
        session.run(pipeline_names=arguments.pipelines)
    return {"nodes": nodes.rows, "peak_gib": max(row["peak_gib"] for row in nodes.rows.values())}


def main() -> None:
    """Run in processes of their own and print a table of each."""
    arguments = _arguments()
    if arguments.child:
        with tempfile.TemporaryDirectory() as folder:
            result = run(arguments, Path(folder))
        print("\n" + json.dumps(result))
        return
    one = arguments.file is not None or "--stocks" in sys.argv
    rows = []
    for stocks, sessions in [(arguments.stocks, arguments.sessions)] if one else SIZES:
        size = ["--stocks", str(stocks), "--sessions", str(sessions)]
        command = [sys.executable, "-m", "benchmarks.memory", *sys.argv[1:], *size, "--child"]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        result = json.loads(done.stdout.splitlines()[-1])
        of = {"file": str(arguments.file)} if arguments.file else {"stocks": stocks, "sessions": sessions}
        rows += [of | {"node": name} | row for name, row in result["nodes"].items()]
        rows.append(of | {"node": "whole run", "peak_gib": result["peak_gib"]})
    write("memory", rows)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--file", type=Path)
    parser.add_argument("--stocks", type=int, default=SIZES[0][0])
    parser.add_argument("--sessions", type=int, default=SIZES[0][1])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batches", type=int, help="training.max_batches")
    parser.add_argument("--trees", type=int, default=300, help="most trees of a LightGBM model")
    parser.add_argument("--lstm-epochs", type=int, default=lstm.MAX_EPOCHS)
    parser.add_argument("--families", choices=["ohlcv", "all"], default="ohlcv")
    parser.add_argument("--pipelines", nargs="+")
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--child", action="store_true")
    return parser.parse_args()


if __name__ == "__main__":
    main()
