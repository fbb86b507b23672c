"""Run every benchmark: ``make bench``."""

from benchmarks import graph_snapshot, panel_features, token_once


def main() -> None:
    """Measure speed as ratios against a reference in the same run."""
    for benchmark in (graph_snapshot, panel_features, token_once):
        benchmark.main()


if __name__ == "__main__":
    main()
