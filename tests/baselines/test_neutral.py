import numpy as np
import pandas as pd
import pytest
import xarray as xr

from gogooku_kedro.baselines.neutral import (
    neutral_versions,
    neutralise_factors,
    neutralise_neighbours,
    neutralise_sectors,
)

DAYS = pd.to_datetime(["2024-01-09", "2024-01-10", "2024-01-11"])


def predictions(scores: dict[str, list[float]], dates: pd.DatetimeIndex = DAYS) -> pd.DataFrame:
    rows = [
        {"date": day, "code": code, "split": "test", "score_1d": value, "score_5d": 2 * value}
        for code, values in scores.items()
        for day, value in zip(dates, values, strict=True)
    ]
    return pd.DataFrame(rows)


def edges(*rows: tuple[str, str, str, float]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["asof", "source", "target", "correlation"])
    frame["asof"] = pd.to_datetime(frame["asof"])
    return frame


SCORES = {"A": [1.0] * 3, "B": [4.0] * 3, "C": [7.0] * 3}
GRAPH = edges(
    ("2024-01-01", "B", "A", 0.3),
    ("2024-01-01", "C", "A", -0.6),
    ("2024-01-01", "A", "B", 0.5),
    ("2024-01-01", "A", "A", 1.0),
    ("2024-01-01", "C", "C", 1.0),
)


def by_code(frame: pd.DataFrame, day: int, column: str = "score_1d") -> dict[str, float]:
    return frame[frame["date"] == DAYS[day]].set_index("code")[column].round(5).to_dict()


def test_score_is_in_excess_of_the_weighted_peers() -> None:
    neutral = neutralise_neighbours(predictions(SCORES), GRAPH)
    # A: 1 - (0.3*4 + 0.6*7)/0.9 = -5; B: 4 - 1 = 3; C has only itself: 7 - mean 4 = 3
    assert by_code(neutral, 0) == {"A": -5.0, "B": 3.0, "C": 3.0}
    assert by_code(neutral, 0, "score_5d") == {"A": -10.0, "B": 6.0, "C": 6.0}
    assert list(neutral) == ["date", "code", "split", "score_1d", "score_5d"]


def test_messages_flow_from_source_to_target_only() -> None:
    neutral = neutralise_neighbours(predictions(SCORES), edges(("2024-01-01", "C", "B", 1.0)))
    assert by_code(neutral, 0) == {"A": -3.0, "B": -3.0, "C": 3.0}


def test_day_uses_the_last_graph_known_on_that_day() -> None:
    graph = edges(("2024-01-10", "B", "A", 1.0), ("2024-01-11", "C", "A", 1.0))
    neutral = neutralise_neighbours(predictions(SCORES), graph)
    assert [by_code(neutral, day)["A"] for day in range(3)] == [-3.0, -3.0, -6.0]
    assert [by_code(neutral, day)["B"] for day in range(3)] == [0.0, 0.0, 0.0]
    before_any_graph = neutralise_neighbours(predictions({"A": [1.0] * 3, "B": [5.0] * 3}), graph)
    assert by_code(before_any_graph, 0) == {"A": -2.0, "B": 2.0}
    assert by_code(before_any_graph, 1)["A"] == -4.0


def test_peer_without_a_score_is_left_out_of_the_mean() -> None:
    scores = {**SCORES, "C": [7.0, np.nan, 7.0]}
    neutral = neutralise_neighbours(predictions(scores), GRAPH)
    assert by_code(neutral, 1)["A"] == pytest.approx(-3.0)
    assert np.isnan(by_code(neutral, 1)["C"])


def test_missing_column_is_named() -> None:
    with pytest.raises(ValueError, match="graph_edges lacks the column 'correlation'"):
        neutralise_neighbours(predictions(SCORES), GRAPH.drop(columns="correlation"))


def factor_market(sessions: int = 80, codes: int = 40) -> xr.Dataset:
    """Returns of two factors with known exposures and a little noise."""
    rng = np.random.default_rng(0)
    exposure = rng.normal(size=(2, codes))
    returns = 0.02 * rng.normal(size=(sessions, 2)) @ exposure + 0.0005 * rng.normal(size=(sessions, codes))
    dates = pd.bdate_range("2024-01-01", periods=sessions)
    names = [f"{code:04d}" for code in range(codes)]
    panel = xr.Dataset({"ret_1d": (("date", "code"), returns)}, {"date": dates, "code": names})
    return panel.assign(exposure=(("factor", "code"), exposure))


def long_scores(panel: xr.Dataset, score: np.ndarray, days: range) -> pd.DataFrame:
    rows = [
        {"date": panel.indexes["date"][d], "code": code, "split": "test", "score_1d": score[i]}
        for d in days
        for i, code in enumerate(panel.indexes["code"])
    ]
    return pd.DataFrame(rows)


def test_what_the_factors_explain_is_gone_and_the_rest_stays() -> None:
    panel = factor_market()
    exposure = panel["exposure"].values
    own = np.random.default_rng(1).normal(size=40)
    design = np.column_stack([np.ones(40), exposure.T])
    own -= design @ np.linalg.lstsq(design, own, rcond=None)[0]
    predictions = long_scores(panel, own + 3 * exposure[0] - 2 * exposure[1] + 5, range(70, 80))
    neutral = neutralise_factors(predictions, panel, factors=2, window=60, cadence=10)
    left = neutral["score_1d"].to_numpy().reshape(10, 40)
    assert np.abs(left - own).max() < 0.1
    assert predictions["score_1d"].std() > 3


def test_without_loadings_a_score_is_in_excess_of_the_mean_of_its_date() -> None:
    panel = factor_market()
    predictions = long_scores(panel, np.arange(40.0), range(5))  # before the first window is full
    neutral = neutralise_factors(predictions, panel, factors=2, window=60, cadence=10)
    assert neutral["score_1d"].to_numpy()[:40].tolist() == (np.arange(40.0) - 19.5).tolist()


def test_factor_neutral_scores_do_not_see_later_returns() -> None:
    panel = factor_market()
    predictions = long_scores(panel, np.arange(40.0) ** 2, range(60, 80))
    later = panel.copy(deep=True)
    later["ret_1d"].values[75:] = np.random.default_rng(2).normal(size=(5, 40))
    first, changed = (neutralise_factors(predictions, p, 2, 60, 5)["score_1d"] for p in (panel, later))
    assert first[: 15 * 40].equals(changed[: 15 * 40])
    assert not first.equals(changed)


def test_scores_of_another_market_are_an_error() -> None:
    panel = factor_market()
    predictions = long_scores(panel, np.arange(40.0), range(70, 71))
    with pytest.raises(ValueError, match="dates or codes that the panel has not"):
        neutralise_factors(predictions, panel.isel(code=slice(30)), 2, 60, 10)


def sector_panel(**sectors: str) -> xr.Dataset:
    coords = {"date": DAYS, "code": list(sectors), "sector": ("code", list(sectors.values()))}
    return xr.Dataset({"ret_1d": (("date", "code"), np.zeros((3, len(sectors))))}, coords)


def test_score_is_in_excess_of_the_mean_of_its_sector() -> None:
    scores = {**SCORES, "D": [10.0, np.nan, 10.0]}
    panel = sector_panel(A="banks", B="banks", C="steel", D="n/a")
    neutral = neutralise_sectors(predictions(scores), panel)
    # banks 2.5; steel has one stock; D is of no known sector: 10 less the date's mean 5.5
    assert by_code(neutral, 0) == {"A": -1.5, "B": 1.5, "C": 0.0, "D": 4.5}
    assert by_code(neutral, 0, "score_5d") == {"A": -3.0, "B": 3.0, "C": 0.0, "D": 9.0}
    assert np.isnan(by_code(neutral, 1)["D"])


def test_every_model_has_its_neutral_versions() -> None:
    panel = factor_market().assign_coords(sector=("code", ["banks", "steel"] * 20))
    own = long_scores(panel, np.arange(40.0) ** 2, range(70, 75)).assign(score_5d=1.0, model="model")
    own["score_5d"] = -own["score_1d"]
    rule = own.assign(score_5d=own["score_1d"], model="reversal_1d")  # one score for all horizons
    graph = edges(("2024-01-01", "0001", "0000", 1.0))
    settings = {"factors": 2, "window": 60, "cadence": 10}
    stacked = pd.concat([own, rule, own.assign(model="random")], ignore_index=True)
    neutral = neutral_versions(stacked, graph, panel, **settings)
    versions = ["neutral", "pca_neutral", "sector_neutral"]
    names = [f"{model}_{version}" for model in ("model", "reversal_1d") for version in versions]
    assert neutral["model"].unique().tolist() == names
    assert list(neutral) == ["date", "code", "split", "score_1d", "score_5d", "model"]
    by_model = dict(list(neutral.groupby("model")))
    for model, rows in (("model", own), ("reversal_1d", rule)):
        peers = neutralise_neighbours(rows, graph)
        expected = {
            "neutral": peers,
            "pca_neutral": neutralise_factors(peers, panel, **settings),
            "sector_neutral": neutralise_sectors(rows, panel),
        }
        for version, frame in expected.items():
            found = by_model[f"{model}_{version}"].drop(columns="model").reset_index(drop=True)
            pd.testing.assert_frame_equal(found, frame.reset_index(drop=True))


def test_without_sectors_there_is_no_sector_neutral_score_and_the_log_says_so(caplog) -> None:
    panel = factor_market().assign_coords(sector=("code", ["n/a"] * 40))
    rows = long_scores(panel, np.arange(40.0), range(70, 71)).assign(model="model")
    graph = edges(("2024-01-01", "0001", "0000", 1.0))
    with caplog.at_level("INFO"):
        neutral = neutral_versions(rows, graph, panel, factors=2, window=60, cadence=10)
    assert set(neutral["model"]) == {"model_neutral", "model_pca_neutral"}
    assert "no sector-neutral scores" in caplog.text


def test_models_in_frames_have_the_neutral_versions_that_they_have_in_one_table() -> None:
    panel = factor_market().assign_coords(sector=("code", ["banks", "steel"] * 20))
    own = long_scores(panel, np.arange(40.0) ** 2, range(65, 80)).assign(model="ridge")  # across a refit
    frames = [own, own.assign(score_1d=own["score_1d"] % 7, model="lstm")]
    graph = edges(("2024-01-01", "0001", "0000", 1.0))
    settings = {"factors": 2, "window": 60, "cadence": 10}
    together = neutral_versions(frames, graph, panel, **settings)
    alone = pd.concat([neutral_versions(frame, graph, panel, **settings) for frame in frames], ignore_index=True)
    pd.testing.assert_frame_equal(together, alone)
