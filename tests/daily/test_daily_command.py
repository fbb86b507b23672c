"""The command of the morning on a finished run: its refusal, and a replay that has the scores of the test part."""

import shutil
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import kedro
from tests.daily.mornings import scores_of

pytestmark = pytest.mark.pipeline


@pytest.fixture(scope="module")
def root(finished_run: Path, tmp_path_factory) -> Path:
    return Path(shutil.copytree(finished_run, tmp_path_factory.mktemp("desk") / "data"))


def daily(root: Path, *arguments: str, code: int = 0, more: str = "") -> str:
    run = kedro("daily", "--env", "test", *arguments, "--params", f"data_root={root}{more}", expect=(code,))
    assert "Traceback" not in run.stdout
    return " ".join(run.stdout.split())


def test_prices_of_another_session_than_the_newest_are_refused_with_exit_code_3(root):
    said = daily(root, code=3)
    assert "no ranking: the newest prices are of 2021-03-31, and the newest session of the exchange is 20" in said
    assert not (root / "07_model_output/rankings").exists()


def test_a_replay_has_the_scores_of_the_test_part_in_every_bit(root):
    said = daily(root, "--as-of", "2021-03-30")
    assert "ranking of 2021-03-30: replayed, " in said
    folder = root / "07_model_output/rankings/replays"
    ranking = pd.read_parquet(folder / "ranking_2021-03-30.parquet")
    predictions = pd.read_parquet(root / "07_model_output/predictions.parquet")
    expected = scores_of(predictions[predictions["date"] == "2021-03-30"])
    pd.testing.assert_frame_equal(scores_of(ranking), expected, check_exact=True)
    assert "<title>Ranking after 2021-03-30</title>" in (folder / "ranking_2021-03-30.html").read_text()


def test_a_day_without_a_session_is_refused(root):
    said = daily(root, "--as-of", "2021-03-28", code=3)
    assert "2021-03-28 is no session of the prices, and the last one before it is 2021-03-26" in said


def test_settings_other_than_those_of_the_training_are_refused_before_anything_is_read(root):
    said = daily(root, "--as-of", "2021-03-30", code=1, more=",model.hidden_size=8")
    assert "model.hidden_size was 16 then and is 8 now" in said
