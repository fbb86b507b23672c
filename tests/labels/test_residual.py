import numpy as np
import pytest
import statsmodels.api as sm
import xarray as xr
from sklearn.linear_model import LinearRegression

from gogooku_kedro.labels import residual as label_residual
from gogooku_kedro.labels.residual import market_beta, pca_loadings, refits, residual_target
from gogooku_kedro.labels.returns import forward_returns
from gogooku_kedro.labels.target import make_labels

WINDOW, FACTORS, CADENCE = 40, 2, 7
FIT = {"window": WINDOW, "factors": FACTORS, "cadence": CADENCE}
HORIZONS = [1, 5]
RESIDUALS = ["market", "sector", "pca"]
ENTRIES = ["next_open", "close"]

each_residual = pytest.mark.parametrize("residual", RESIDUALS)
each_entry = pytest.mark.parametrize("entry", ENTRIES)


@pytest.fixture(scope="module")
def panel(panel_factory):
    return panel_factory(n_dates=120, n_codes=15, seed=5)


def labels_of(panel, residual, entry="next_open", horizons=HORIZONS):
    return make_labels(
        panel,
        horizons,
        entry,
        residual=residual,
        residual_window=WINDOW,
        pca_factors=FACTORS,
        pca_cadence=CADENCE,
    )


def bits(array):
    return np.ascontiguousarray(array.values).view(np.uint32)


def cross_section(panel, ret, t):
    """Returns of the stocks that traded on t, NaN for the others."""
    return np.where(panel["traded"].values[t], ret.values[t], np.nan).astype(float)


def three_stocks(beta, ret):
    """Past returns that are beta times the index; one forward return per stock on the last session."""
    rng = np.random.default_rng(0)
    index = 0.01 * rng.standard_normal(30)
    index[0] = np.nan
    shape = (30, len(beta))
    panel = xr.Dataset(
        {
            "ret_1d": (("date", "code"), index[:, None] * np.array(beta)),
            "index_return": ("date", index),
            "traded": (("date", "code"), np.ones(shape, bool)),
        },
        coords={"code": list("abcdefgh"[: len(beta)]), "sector": ("code", ["Foods"] * len(beta))},
    )
    values = np.full((*shape, 1), np.nan, np.float32)
    values[-1, :, 0] = ret
    return panel, xr.DataArray(values, {"horizon": [1]}, ("date", "code", "horizon"))


def test_market_residual_by_hand():
    panel, ret = three_stocks(beta=[1.0, 2.0, 0.0], ret=[0.03, 0.05, 0.01])  # the mean is 0.03
    target = residual_target(ret, panel, ["market"], window=20, factors=1, cadence=5)
    np.testing.assert_allclose(target[-1, :, 0], [0.0, -0.01, 0.01], atol=1e-8)
    assert target.dtype == np.float32
    assert target.name == "target"
    assert np.isnan(target[:-1]).all()


def test_sector_residual_by_hand():
    panel, ret = three_stocks(beta=[0.0] * 5, ret=[0.01, 0.02, 0.06, 0.04, 0.05])
    panel = panel.assign_coords(sector=("code", ["Foods", "Foods", "Foods", "Banks", "n/a"]))
    target = residual_target(ret, panel, ["sector"], window=20, factors=1, cadence=5)
    # less the mean of the others: (0.02 + 0.06) / 2, (0.01 + 0.06) / 2, (0.01 + 0.02) / 2
    expected = [-0.03, -0.015, 0.045, np.nan, np.nan]  # alone in its sector; of unknown sector
    np.testing.assert_allclose(target[-1, :, 0], expected, atol=1e-8)


@each_entry
def test_market_residual_equals_statsmodels(panel, entry):
    labels = labels_of(panel, "market", entry)
    returns, index = panel["ret_1d"].values.astype(float), panel["index_return"].values.astype(float)
    compared = 0
    for t in range(35, 110, 6):
        for k in range(len(HORIZONS)):
            ret = cross_section(panel, labels["ret"][..., k], t)
            for code in range(panel.sizes["code"]):
                y, x = returns[t + 1 - WINDOW : t + 1, code], index[t + 1 - WINDOW : t + 1]
                both = np.isfinite(y) & np.isfinite(x) if t + 1 >= WINDOW else np.zeros(0, bool)
                found = labels["target"].values[t, code, k]
                if both.sum() < 0.8 * WINDOW or np.isnan(ret[code]):
                    assert np.isnan(found) or t + 1 < WINDOW
                    continue
                beta = sm.OLS(y[both], sm.add_constant(x[both])).fit().params[1]
                np.testing.assert_allclose(found, ret[code] - beta * np.nanmean(ret), atol=1e-7)
                compared += 1
    assert compared > 200


@each_entry
def test_sector_residual_is_the_market_residual_less_its_mean_over_the_others(panel, entry):
    market = labels_of(panel, "market", entry)["target"].values.astype(float)
    found = labels_of(panel, "sector", entry)["target"].values
    sector = panel["sector"].values
    for t in (50, 77, 101):
        for code in range(panel.sizes["code"]):
            others = (sector == sector[code]) & (np.arange(len(sector)) != code)
            expected = market[t, code] - np.nanmean(market[t, others], axis=0)
            np.testing.assert_allclose(found[t, code], expected, atol=1e-7)


def svd_loadings(returns):
    """Loadings of the stocks with enough returns by numpy's SVD, and which stocks these are."""
    enough = np.isfinite(returns).sum(axis=0) >= 0.8 * len(returns)
    r = returns[:, enough]
    std = np.nanstd(r, axis=0, ddof=1)
    z = np.nan_to_num((r - np.nanmean(r, axis=0)) / std)
    _, _, v = np.linalg.svd(z, full_matrices=False)
    return v[:FACTORS].T * std[:, None], enough


@each_entry
def test_pca_residual_equals_svd_and_least_squares(panel, entry):
    labels = labels_of(panel, "pca", entry)
    returns = panel["ret_1d"].values.astype(float)
    for t in (40, 46, 47, 60, 100):
        refit = WINDOW + (t - WINDOW) // CADENCE * CADENCE
        loadings, enough = svd_loadings(returns[refit + 1 - WINDOW : refit + 1])
        for k in range(len(HORIZONS)):
            ret = cross_section(panel, labels["ret"][..., k], t)[enough]
            there = np.isfinite(ret)
            fit = LinearRegression().fit(loadings[there], ret[there])
            expected = np.full(panel.sizes["code"], np.nan)
            expected[enough] = np.where(there, ret - fit.predict(loadings), np.nan)
            np.testing.assert_allclose(labels["target"].values[t, :, k], expected, atol=1e-7)
    assert np.isnan(labels["target"][:WINDOW]).all()


def test_pca_takes_a_planted_factor_out():
    rng = np.random.default_rng(1)
    exposure = rng.uniform(0.2, 3.0, 60)
    factor = 0.02 * rng.standard_normal(101)
    own = 0.004 * rng.standard_normal((101, 60))
    loadings = pca_loadings(factor[:100, None] * exposure + own[:100], 1)
    assert abs(np.corrcoef(loadings[:, 0], exposure)[0, 1]) > 0.99
    np.testing.assert_allclose((loadings**2).mean(axis=0), 1)
    ret = 0.05 * exposure + own[100]
    (left,) = label_residual._regress(ret[None, :, None], loadings)
    assert np.corrcoef(left[:, 0], own[100])[0, 1] > 0.95
    assert abs(np.corrcoef(left[:, 0], exposure)[0, 1]) < 0.2


def test_stocks_without_returns_or_without_variation_have_no_loadings():
    rng = np.random.default_rng(2)
    returns = rng.standard_normal((20, 12))
    returns[:5, 3] = np.nan  # 75% present
    returns[:4, 4] = np.nan  # 80% present
    returns[:, 7] = 0.01
    missing = np.isnan(pca_loadings(returns, 2)).all(axis=1)
    assert np.flatnonzero(missing).tolist() == [3, 7]
    assert np.isnan(pca_loadings(returns[:, :9], 2)).all()  # 7 stocks for a constant, 2 factors and 5 more
    assert np.isfinite(pca_loadings(returns[:, :10], 2)).any()


def test_a_date_with_few_stocks_has_no_pca_target():
    rng = np.random.default_rng(3)
    loadings, ret = rng.standard_normal((12, 2)), rng.standard_normal((2, 12, 1))
    ret[0, :4] = ret[1, :5] = np.nan  # 8 and 7 stocks, 3 coefficients
    left = label_residual._regress(ret, loadings)
    assert np.isfinite(left[0]).sum() == 8
    assert np.isnan(left[1]).all()


def test_refits_are_counted_from_the_first_session_and_see_nothing_later():
    found = [(range(50)[days], range(50)[past]) for days, past in refits(18, window=8, cadence=4)]
    assert [(days[0], days[-1]) for days, _ in found] == [(8, 11), (12, 15), (16, 17)]
    assert all(past[-1] == days[0] and len(past) == 8 for days, past in found)


@each_residual
def test_a_missing_beta_or_loading_is_a_missing_target_never_zero(panel, residual):
    labels = labels_of(panel, residual, "close")
    ret, target = labels["ret"], labels["target"]
    assert (target.isnull() | ret.notnull()).all()
    assert not (target == 0).any()
    young = {"date": slice(40, 40 + 20), "code": 0}  # listed on session 40: under 80% of 40 returns
    assert ret[young].notnull().any()
    assert target[young].isnull().all()
    if residual != "pca":  # whose regression also needs loadings of the last refit
        assert target[{"date": 80, "code": 0}].notnull().all()


@each_residual
def test_the_cross_section_of_t_are_the_stocks_that_traded_on_t(panel, residual):
    changed = panel.copy(deep=True)
    changed["traded"][70, 4] = False
    labels = labels_of(changed, residual, "next_open")
    assert labels["ret"][70, 4, 1].notnull()
    assert labels["target"][70, 4].isnull().all()


def test_without_residual_the_target_is_the_return(panel):
    labels = labels_of(panel, "none")
    np.testing.assert_array_equal(bits(labels["target"]), bits(labels["ret"].astype(np.float32)))
    assert labels["target"].dims == labels["ret"].dims


def test_every_horizon_has_its_own_choice(panel):
    mixed = labels_of(panel, ["pca", "none", "market"], horizons=[1, 5, 10])
    assert mixed.attrs["residual"] == ["pca", "none", "market"]
    for k, residual in enumerate(mixed.attrs["residual"]):
        alone = labels_of(panel, residual, horizons=[1, 5, 10])
        np.testing.assert_array_equal(bits(mixed["target"][..., k]), bits(alone["target"][..., k]))
        np.testing.assert_array_equal(bits(mixed["ret"]), bits(alone["ret"]))


def other_future(panel, first):
    """Other numbers on every session from `first` on, and other halts, limits and jumps."""
    rng = np.random.default_rng(9)
    changed = panel.copy(deep=True)
    for variable in changed.data_vars.values():
        late = variable.values[first:]
        if late.dtype.kind == "f":
            late *= rng.lognormal(0, 0.5, late.shape).astype(late.dtype)
        elif variable.name != "listed":
            late ^= rng.random(late.shape) < 0.2
    return changed


@each_entry
@each_residual
def test_a_target_reads_nothing_beyond_its_exit(panel, residual, entry):
    before = labels_of(panel, residual, entry)
    t, lag = 80, ENTRIES.index("close") - ENTRIES.index(entry)
    for k, horizon in enumerate(HORIZONS):
        first = t + horizon + lag + 1
        for later in (other_future(panel, first), panel.isel(date=slice(first))):
            after = labels_of(later, residual, entry)
            for name in ("ret", "target"):
                np.testing.assert_array_equal(bits(before[name][: t + 1, :, k]), bits(after[name][: t + 1, :, k]))
        assert not np.array_equal(
            bits(before["target"][t + 1, :, k]),
            bits(labels_of(other_future(panel, first), residual, entry)["target"][t + 1, :, k]),
        )


@each_entry
@each_residual
def test_betas_and_loadings_read_nothing_after_t(panel, residual, entry):
    """Between t and the exit one-day returns and index change, the prices of entry and exit do not."""
    before = labels_of(panel, residual, entry)["target"]
    for t in (75, 82):  # 75 = 40 + 5 * 7 is a refit itself
        changed = other_future(panel, t + 1)
        held = panel.assign({name: changed[name] for name in ("ret_1d", "index_return")})
        after = labels_of(held, residual, entry)["target"]
        np.testing.assert_array_equal(bits(before[: t + 1]), bits(after[: t + 1]))
        later = slice(t + 1, t + 1 + CADENCE)  # who reads them says so
        assert not np.array_equal(bits(before[later]), bits(after[later]))


@each_entry
@each_residual
def test_a_code_listed_later_changes_no_bit_of_earlier_targets(panel_factory, residual, entry):
    panel = panel_factory(n_dates=120, n_codes=15, seed=6)
    young, born = 7, 90
    for name in ("traded", "listed"):
        panel[name][:born, young] = False
    for variable in panel.data_vars.values():
        if variable.dims == ("date", "code") and variable.dtype.kind == "f":
            variable[:born, young] = np.nan
    others = [code for code in range(15) if code != young]
    with_it = labels_of(panel, residual, entry)["target"].isel(code=others)
    without = labels_of(panel.isel(code=others), residual, entry)["target"]
    np.testing.assert_array_equal(bits(with_it[:born]), bits(without[:born]))


@each_residual
def test_blocks_change_no_bit(panel, residual, monkeypatch):
    whole = labels_of(panel, residual)["target"]
    monkeypatch.setattr(label_residual, "BLOCK", 7)
    np.testing.assert_array_equal(bits(labels_of(panel, residual)["target"]), bits(whole))


def test_beta_follows_the_window_alone(panel):
    beta = market_beta(panel, WINDOW)
    assert beta.dims == ("date", "code")
    cut = market_beta(panel.isel(date=slice(30, None)), WINDOW)
    np.testing.assert_array_equal(beta[30 + WINDOW :], cut[WINDOW:])


def test_settings_that_leave_nothing_are_named(panel):
    ret = forward_returns(panel, HORIZONS, "close")["ret"]
    with pytest.raises(ValueError, match=r"labels\.residual = \['size', 'none'\]: give one of"):
        residual_target(ret, panel, ["size", "none"], **FIT)
    with pytest.raises(ValueError, match=r"for each of the horizons \[1, 5\]"):
        residual_target(ret, panel, ["market"], **FIT)
    nameless = panel.assign_coords(sector=("code", ["n/a"] * 15))
    with pytest.raises(ValueError, match="no stock of the panel has a known sector"):
        residual_target(ret, nameless, ["sector", "none"], **FIT)
    for residual in ("market", "pca"):
        with pytest.raises(ValueError, match=r"labels\.residual_window = 500 does not fit 120 sessions"):
            residual_target(ret, panel, ["none", residual], **(FIT | {"window": 500}))
