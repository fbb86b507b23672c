import numpy as np
import pytest
from scipy import stats

from gogooku_kedro.graph import build_edges
from gogooku_kedro.graph.lead_lag import benjamini_hochberg, lead_lag_neighbours
from tests.graph.conftest import graph_params


def led(n_dates=200, n_codes=20, seed=0, strength=1.0) -> np.ndarray:
    """Noise in which stock 7 does today what stock 2 did yesterday, and stock 9 the opposite of it."""
    rng = np.random.default_rng(seed)
    returns = rng.standard_normal((n_dates, n_codes))
    returns[1:, 7] += strength * returns[:-1, 2]
    returns[1:, 9] -= strength * returns[:-1, 2]
    returns[rng.random(returns.shape) < 0.03] = np.nan
    return returns


def find(returns, **changes):
    settings = {"min_observations": 100, "fdr": 0.05, "k": 3, "negative_edges": True} | changes
    correlation, kept = lead_lag_neighbours(returns, **settings)
    return correlation, {(int(s), int(t)) for t, s in zip(*np.nonzero(kept), strict=True)}


def test_a_leader_points_at_its_followers_and_not_back():
    correlation, found = find(led())
    assert found == {(2, 7), (2, 9)}
    assert correlation[7, 2] > 0.5
    assert correlation[9, 2] < -0.5
    assert (np.diag(correlation) == 0).all()


def test_only_positive_leads_without_negative_edges():
    assert find(led(), negative_edges=False)[1] == {(2, 7)}


def test_the_correlation_is_the_rank_correlation_of_the_session_before():
    returns = np.nan_to_num(led())
    correlation, _ = find(returns)
    expected = np.corrcoef(stats.rankdata(returns[:, 7])[1:], stats.rankdata(returns[:, 2])[:-1])[0, 1]
    assert correlation[7, 2] == pytest.approx(expected, abs=1e-6)


def test_k_keeps_the_strongest_leaders_of_a_target():
    rng = np.random.default_rng(4)
    returns = rng.standard_normal((200, 12))
    returns[1:, 0] += 2.0 * returns[:-1, 5] + 1.2 * returns[:-1, 3]
    assert {(5, 0), (3, 0)} <= find(returns)[1]
    assert {source for source, target in find(returns, k=1)[1] if target == 0} == {5}


def test_pure_noise_and_heavy_tails_lead_nobody():
    found = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        returns = rng.standard_t(3, size=(120, 40))
        found.append(len(find(returns)[1]))
    assert np.mean(np.array(found) > 0) <= 0.1  # 5 % expected: all true is all null


def test_false_discoveries_stay_a_small_share():
    shares, true = [], 0
    for seed in range(40):
        _, found = find(led(seed=seed, strength=0.6), fdr=0.2)
        shares.append(len(found - {(2, 7), (2, 9)}) / max(len(found), 1))
        true += len(found & {(2, 7), (2, 9)})
    assert true == 80
    assert 0.02 < np.mean(shares) <= 0.2


def test_a_pair_needs_one_observation_less_than_without_a_lag():
    returns = np.nan_to_num(led(101))
    assert find(returns, min_observations=101)[1] == {(2, 7), (2, 9)}
    returns[50, 2] = np.nan
    correlation, found = find(returns, min_observations=101)
    assert found == set()
    assert correlation[7, 2] == 0


@pytest.mark.parametrize("fdr", [0.01, 0.1, 0.5])
def test_the_rule_is_that_of_scipy(fdr):
    rng = np.random.default_rng(8)
    correlation = np.clip(rng.normal(0, 0.15, (30, 30)), -0.99, 0.99)
    observations = rng.integers(20, 60, (30, 30)).astype(float)
    correlation[rng.random(correlation.shape) < 0.1] = np.nan
    correlation[0, 1] = 1.0
    tested = np.isfinite(correlation)
    r, n = correlation[tested], observations[tested]
    with np.errstate(divide="ignore"):
        p = 2 * stats.t.sf(np.abs(r) * np.sqrt((n - 2) / (1 - r**2)), n - 2)
    expected = np.zeros_like(tested)
    expected[tested] = stats.false_discovery_control(p, method="bh") <= fdr
    found = benjamini_hochberg(correlation, observations, fdr)
    np.testing.assert_array_equal(found, expected)
    assert 0 < found.sum() < tested.sum()


def test_the_step_up_rule_by_hand():
    """p = .01 .02 .03 .2 of four tests at 4 %: .03 <= 3/4 * .04 carries the two smaller ones."""
    n = 30.0
    p = np.array([0.02, 0.2, 0.01, 0.03 - 1e-6])
    t = stats.t.isf(p / 2, n - 2)
    correlation = t / np.sqrt(n - 2 + t**2)
    found = benjamini_hochberg(correlation, np.full(4, n), 0.04)
    assert found.tolist() == [True, False, True, True]
    assert not benjamini_hochberg(correlation, np.full(4, n), 0.02).any()


def test_nothing_tested_is_nothing_found():
    assert not benjamini_hochberg(np.full((3, 3), np.nan), np.zeros((3, 3)), 0.05).any()


def test_a_strong_leader_is_kept_under_the_cap(returns_panel):
    settings = {
        "window": 200,
        "min_observations": 150,
        "threshold": 0.05,
        "k": 1,
        "max_degree": 1,
        "lead_lag": {"enabled": True, "fdr": 0.01, "k": 1},
    }
    panel = returns_panel(np.nan_to_num(led(201)))
    edges = build_edges(panel, graph_params(**settings))
    code = panel["code"].values
    into = edges[(edges["target"] == code[7]) & (edges["is_self"] == 0)]
    assert into["source"].tolist() == [code[2]]
    assert into["abs_correlation"].item() < 0.2, "weaker than its nearest neighbour"


def test_lead_lag_edges_have_their_type_and_join_what_is_there(returns_panel):
    returns = np.nan_to_num(led(201))
    returns[:, 11] = returns[:, 2] + 0.5 * returns[:, 11]
    returns[1:, 11] += 0.8 * returns[:-1, 2]  # 2 both moves with 11 and leads it
    lead_lag = {"enabled": True, "fdr": 0.01, "k": 3}
    edges = build_edges(
        returns_panel(returns),
        graph_params(window=200, min_observations=150, threshold=0.4, lead_lag=lead_lag),
    )
    edges = edges.set_index(["source", "target"])
    code = edges.index.get_level_values(1).unique()
    both = edges.loc[(code[2], code[11])]
    assert (both["is_correlation"], both["is_lead_lag"]) == (1, 1)
    follower = edges.loc[(code[2], code[7])]
    assert (follower["is_correlation"], follower["is_lead_lag"]) == (0, 1)
    assert follower["lead_correlation"] > 0.5
    assert (code[7], code[2]) not in edges.index
    back = edges.loc[(code[11], code[2])]
    assert (back["is_correlation"], back["is_lead_lag"]) == (1, 0)
    assert abs(back["lead_correlation"]) < 0.3
