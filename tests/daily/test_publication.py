"""A published ranking is there whole or not at all, and stays what it was."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from pandera.errors import SchemaError

from gogooku_kedro.columns import HORIZONS, SCORES, quantile_column
from gogooku_kedro.daily.publication import KINDS, LATEST, REASONS, Publications
from gogooku_kedro.daily.ranking import make_ranking
from gogooku_kedro.schemas import Ranking

CODES = ["10010", "10020", "10030"]
MONDAY, TUESDAY = pd.Timestamp("2020-11-02"), pd.Timestamp("2020-11-04")


def predicted(session: pd.Timestamp, scores: list[float]) -> pd.DataFrame:
    table = pd.DataFrame({"date": session, "code": CODES, "split": "latest"})
    table[list(SCORES)] = np.tile(np.array(scores)[:, None], len(SCORES))
    table[[quantile_column(0.05, h) for h in HORIZONS]] = -1.0
    return table


def ranking_of(session: pd.Timestamp, scores: list[float], before: pd.DataFrame | None = None) -> pd.DataFrame:
    flat = {"high": [10.0, 10.0, 12.0], "low": [9.0, 10.0, 9.0]}
    flags = {"limit_up": [False, True, True], "limit_down": [False] * 3, "traded": [True] * 3}
    today = xr.Dataset({name: ("code", values) for name, values in (flat | flags).items()}, {"code": CODES})
    today = today.assign_coords(sector=("code", ["Foods", "n/a", "Steel"]))
    reasons = pd.DataFrame({name: ["r"] for name in REASONS}, index=["10010"])
    return make_ranking(predicted(session, scores), today, pd.Series({"10010": "One"}), reasons, before, 5)


def test_a_ranking_is_in_the_order_of_its_horizon_and_knows_the_one_before():
    monday = ranking_of(MONDAY, [0.1, 0.3, 0.2])
    assert monday["code"].tolist() == ["10020", "10030", "10010"]
    assert monday["rank_change_5d"].isna().all()
    tuesday = ranking_of(TUESDAY, [0.9, 0.3, 0.2], monday.iloc[:2])
    assert tuesday["rank_5d"].tolist() == [1, 2, 3]
    assert tuesday["rank_change_5d"].tolist() == [pd.NA, -1, -1]
    assert tuesday["name"].tolist() == ["One", "", ""]
    assert tuesday["reason_1"].tolist() == ["r", "", ""]


def test_a_stock_locked_at_its_limit_is_not_tradable():
    ranking = ranking_of(MONDAY, [0.3, 0.2, 0.1])
    assert dict(zip(ranking["code"], ranking["tradable"], strict=True)) == {
        "10010": True,
        "10020": False,
        "10030": True,
    }


def test_files_come_back_and_the_pointer_never_goes_back(tmp_path):
    published = Publications(tmp_path)
    assert published.latest() is None
    for session in (TUESDAY, MONDAY):
        published.publish(ranking_of(session, [0.1, 0.3, 0.2]), "<p>page</p>", {"known_at": 1.5})
        published.point(session)
    assert published.latest() == TUESDAY
    assert published.sessions() == [MONDAY, TUESDAY]
    assert published.before(TUESDAY) == MONDAY
    expected = Ranking.validate(ranking_of(MONDAY, [0.1, 0.3, 0.2]))
    pd.testing.assert_frame_equal(published.ranking(MONDAY), expected, check_exact=True)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {f"ranking_{d:%Y-%m-%d}.{k}" for d in (MONDAY, TUESDAY) for k in (*KINDS, "json")} | {LATEST}


def test_a_ranking_without_facts_counts_as_not_published_and_another_file_is_refused(tmp_path):
    published = Publications(tmp_path)
    published.publish(ranking_of(MONDAY, [0.1, 0.3, 0.2]), "", {})
    published.path(MONDAY, "parquet").write_bytes(b"another")
    with pytest.raises(ValueError, match="is not the file that was published"):
        published.ranking(MONDAY)
    published.path(MONDAY, "json").unlink()
    assert published.sessions() == []
    with pytest.raises(ValueError, match="was not published"):
        published.ranking(MONDAY)


def test_a_ranking_of_two_sessions_or_without_a_rank_is_refused(tmp_path):
    published = Publications(tmp_path)
    both = pd.concat([ranking_of(MONDAY, [0.1, 0.3, 0.2]), ranking_of(TUESDAY, [0.1, 0.3, 0.2])])
    for wrong in (both, ranking_of(MONDAY, [0.1, np.inf, 0.2]), ranking_of(MONDAY, [1, 2, 3]).drop(columns="tradable")):
        with pytest.raises(SchemaError):
            published.publish(wrong, "", {})
    assert list(tmp_path.glob("ranking*")) == []
