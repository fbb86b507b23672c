"""A user's own table of scores is read where its meaning is plain, and refused in one sentence where it is not."""

import numpy as np
import pandas as pd
import pytest

from gogooku_kedro.metrics.given_scores import given_scores, last_labelled, read_scores, scored_horizons

SCORES = ["score_1d", "score_5d", "score_10d", "score_20d"]


@pytest.fixture
def alpha(labels) -> pd.DataFrame:
    """A score of every stock on the sessions 10 to 49."""
    score = np.random.default_rng(1).normal(size=(60, 30))
    dates, codes = labels["date"].values, labels["code"].values
    frame = pd.DataFrame({"date": np.repeat(dates, 30), "code": np.tile(codes, 60), "score": score.ravel()})
    return frame.iloc[300:1500].reset_index(drop=True)


def test_one_score_serves_every_horizon(alpha, labels):
    read = given_scores(alpha, labels)
    assert list(read) == ["date", "code", *SCORES]
    assert scored_horizons(read, labels) == [1, 5, 10, 20]
    for name in SCORES:
        np.testing.assert_array_equal(read[name], alpha["score"])


def test_a_horizon_without_a_column_has_no_scores(alpha, labels):
    read = given_scores(alpha.rename(columns={"score": "score_5d"}), labels)
    assert scored_horizons(read, labels) == [5]
    assert read["score_1d"].isna().all()


@pytest.mark.parametrize(
    "rewrite",
    [
        lambda a: a.set_index(["date", "code"])["score"],
        lambda a: a.set_index(["date", "code"])["score"].rename(None),
        lambda a: a.rename(columns={"date": "Date", "code": "Ticker"}),
        lambda a: a.assign(code=a["code"].astype(int)),
        lambda a: a.assign(code=a["code"].astype(float)),
        lambda a: a.assign(date=a["date"].dt.tz_localize("Asia/Tokyo")),
        lambda a: a.assign(date=a["date"].dt.tz_localize("Asia/Tokyo").dt.tz_convert("UTC")),
        lambda a: a.assign(date=a["date"].dt.strftime("%Y%m%d").astype(int)),
        lambda a: a.sample(frac=1.0, random_state=0),
    ],
    ids=["index", "nameless", "aliases", "whole", "float", "tokyo", "utc", "yyyymmdd", "shuffled"],
)
def test_other_spellings_mean_the_same(rewrite, alpha, labels):
    pd.testing.assert_frame_equal(given_scores(rewrite(alpha), labels), given_scores(alpha, labels))


def test_tokyo_codes_and_lost_zeros_are_found(alpha, labels):
    tokyo = labels.assign_coords(code=[f"{code}0" for code in labels["code"].values])
    assert given_scores(alpha, tokyo)["code"].iloc[0] == "13010"
    padded = labels.assign_coords(code=[f"00{code}" for code in labels["code"].values])
    assert given_scores(alpha.assign(code=alpha["code"].astype(int)), padded)["code"].iloc[0] == "001301"


def test_a_row_without_a_score_is_left_out(alpha, labels):
    alpha.loc[3, "score"] = np.nan
    assert len(given_scores(alpha, labels)) == len(alpha) - 1


@pytest.mark.parametrize(
    ("rewrite", "sentence"),
    [
        (lambda a: a.assign(code=a["code"].replace("1303", "9999")), "1 codes are not of the market (9999)"),
        (lambda a: a.assign(date=a["date"] + pd.Timedelta(days=364)), "are no sessions of the market"),
        (lambda a: pd.concat([a, a.iloc[:2]]), "2 rows have the date and code of another row, the first 1301 on"),
        (lambda a: a.assign(score=1.0), "the same for all stocks on every date"),
        (lambda a: a.assign(score=a.groupby("date")["score"].transform("mean")), "the same for all stocks on every"),
        (lambda a: a.assign(score=np.inf), "column score has inf, which is no finite number"),
        (lambda a: a.assign(score="high"), "column score has high, which is no finite number"),
        (lambda a: a.assign(score=np.nan), "every score is missing"),
        (lambda a: a.rename(columns={"score": "alpha"}), "no column of scores among alpha; call it score"),
        (lambda a: a.rename(columns={"score": "score_3d"}), "score_3d: 3 sessions are no horizon here"),
        (lambda a: a.assign(score_5d=0.0), "score is for every horizon, and score_5d is there too"),
        (lambda a: a.drop(columns="date"), "one column must be date, among code, score"),
        (lambda a: a.iloc[:0], "no rows"),
        (lambda a: a.assign(code=np.nan), "have no code"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_sentence(rewrite, sentence, alpha, labels):
    with pytest.raises(ValueError, match="scores: ") as refusal:
        given_scores(rewrite(alpha), labels)
    assert sentence in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_the_last_session_with_a_label_is_that_of_the_shortest_scored_horizon(alpha, labels):
    longer = labels.assign(ret=labels["ret"].where((labels["horizon"] == 1) | (labels["date"] < labels["date"][-6])))
    assert last_labelled(given_scores(alpha, longer), longer) == pd.Timestamp("2024-03-26")
    of_five = given_scores(alpha.rename(columns={"score": "score_5d"}), longer)
    assert last_labelled(of_five, longer) == labels["date"].values[-7]


def test_a_file_keeps_its_codes_and_is_named(alpha, labels, tmp_path):
    alpha.assign(code="0" + alpha["code"]).to_csv(tmp_path / "alpha.csv", index=False)
    padded = labels.assign_coords(code=[f"0{code}" for code in labels["code"].values])
    assert given_scores(read_scores(tmp_path / "alpha.csv"), padded)["code"].iloc[0] == "01301"
    alpha.to_parquet(tmp_path / "alpha.parquet")
    assert len(given_scores(read_scores(tmp_path / "alpha.parquet"), labels)) == len(alpha)
    with pytest.raises(ValueError, match=r"nothing\.csv does not exist"):
        read_scores(tmp_path / "nothing.csv")
    (tmp_path / "broken.parquet").write_text("no table")
    with pytest.raises(ValueError, match=r"broken\.parquet cannot be read"):
        read_scores(tmp_path / "broken.parquet")
