"""Errors that have ruined evaluations elsewhere, made on purpose: a test must turn red for each of them.

Every case changes one line in a copy of the source and runs the tests that are to notice it. A line that is
no longer there fails here by name: move the mutation to where its number is computed now.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]


class Mutation(NamedTuple):
    """One line of `file` below the package, what it becomes, and the test that must notice."""

    file: str
    line: str
    becomes: str
    noticed_by: str


MUTATIONS = {
    "rank IC with the sign flipped": Mutation(
        "metrics/rank_ic.py",
        "bounded: FloatArray = np.clip(correlation, -1.0, 1.0)",
        "bounded: FloatArray = np.clip(-correlation, -1.0, 1.0)",
        "tests/metrics/test_rank_ic.py::test_high_score_on_high_return_is_plus_one",
    ),
    "the portfolio buys what it should sell": Mutation(
        "metrics/decile_portfolios.py",
        "targets = long_short_targets(row_ranks(scores))",
        "targets = -long_short_targets(row_ranks(scores))",
        "tests/metrics/test_daily.py::test_perfect_foresight_reaches_every_maximum",
    ),
    "labels shifted by one session": Mutation(
        "labels/returns.py",
        "lag = entry_lag(entry)",
        "lag = entry_lag(entry) + 1",
        "tests/labels/test_target.py::test_labels_equal_brute_force",
    ),
    "costs ignored": Mutation(
        "metrics/decile_portfolios.py",
        "cost = cost_bps * 1e-4 * traded",
        "cost = 0.0 * traded",
        "tests/metrics/test_decile_portfolios.py::test_three_sessions_by_hand_with_a_daily_portfolio",
    ),
    "no purge before labels of 20 sessions": Mutation(
        "labels/split.py",
        "if purge_sessions < needed:",
        "if purge_sessions < 0:",
        "tests/labels/test_split.py::test_impossible_splits_name_the_setting_the_span_and_the_fix",
    ),
    "test rows in the scaler": Mutation(
        "training/train_seed.py",
        "market.levels[slice(*job.train)]",
        "market.levels",
        "tests/training/test_fit.py::test_level_scales_and_gradients_come_from_the_training_part_alone",
    ),
    "the epoch is chosen on the test part": Mutation(
        "training/data.py",
        "cut_days(*self.valid, self.chunk_days, shift=0)",
        "cut_days(self.valid[1], self.market.x.size(0), self.chunk_days, shift=0)",
        "tests/training/test_fit.py::test_the_test_part_is_never_read_in_training",
    ),
    "extreme labels dropped when testing": Mutation(
        "metrics/align.py",
        "labels = {h: returns[k, span].astype(np.float64) for k, h in enumerate(horizons)}",
        "labels = {h: np.where(abs(returns[k, span]) > 0.5, np.nan, returns[k, span]) for k, h in enumerate(horizons)}",
        "tests/metrics/test_daily.py::test_an_extreme_label_counts_like_any_other",
    ),
}


@pytest.mark.parametrize("mutation", MUTATIONS.values(), ids=MUTATIONS.keys())
def test_a_test_turns_red(mutation: Mutation, tmp_path: Path):
    source = tmp_path / "src"
    shutil.copytree(ROOT / "src" / "gogooku_kedro", source / "gogooku_kedro")
    file = source / "gogooku_kedro" / mutation.file
    text = file.read_text()
    assert text.count(mutation.line) == 1, f"{mutation.file} holds {mutation.line!r} not exactly once"
    file.write_text(text.replace(mutation.line, mutation.becomes))
    options = ["--no-cov", "-x", "-p", "no:cacheprovider"]
    command = [sys.executable, "-m", "pytest", *options, mutation.noticed_by]
    result = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == pytest.ExitCode.TESTS_FAILED, result.stdout + result.stderr
    assert "1 failed" in result.stdout
