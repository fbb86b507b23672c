"""A blend averages ranks."""

import pandas as pd
import pytest

from gogooku_kedro.baselines.blend import mean_of_ranks

SCORES = [f"score_{h}d" for h in (1, 5, 10, 20)]


def one_date(values: list[float], codes: list[str]) -> pd.DataFrame:
    frame = pd.DataFrame({"date": pd.Timestamp("2020-01-06"), "code": codes, "split": "test"})
    return frame.assign(**dict.fromkeys(SCORES, values))


def test_ranks_are_averaged_over_the_rows_that_all_models_have():
    mixed = mean_of_ranks([one_date([1.0, 2.0, 9.0], ["a", "b", "c"]), one_date([5.0, 4.0], ["a", "b"])])
    assert mixed["code"].tolist() == ["a", "b"]
    assert mixed["score_1d"].tolist() == pytest.approx([(1 / 3 + 1) / 2, (2 / 3 + 0.5) / 2])


def test_weights_weigh_the_ranks():
    both = [one_date([1.0, 2.0], ["a", "b"]), one_date([5.0, 4.0], ["a", "b"])]
    mixed = mean_of_ranks(both, {name: [0.75, 0.25] for name in SCORES})
    assert mixed["score_5d"].tolist() == pytest.approx([0.75 * 0.5 + 0.25, 0.75 + 0.25 * 0.5])
