"""Run every benchmark: `make bench`."""

from benchmarks import features_ratio, features_scale, graph_snapshot, token_once, training_step


def main() -> None:
    """Measure speed as ratios against a reference in the same run."""
    for benchmark in (graph_snapshot, features_ratio, features_scale, token_once, training_step):
        benchmark.main()


if __name__ == "__main__":
    main()
