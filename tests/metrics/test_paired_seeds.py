"""What two variants differ by, how sure that is over days and seeds, and how many days would decide it."""

import math

import numpy as np
import pandas as pd
import pytest

from gogooku_kedro.metrics.paired import paired_difference
from gogooku_kedro.metrics.paired_seeds import SeedDifference, Statistic, days_to_decide, paired_seeds, seed_series
from gogooku_kedro.metrics.significance import icir

MEAN, ICIR = Statistic("rank_ic", "mean"), Statistic("rank_ic", "ratio")
DAYS = 240


def table(values: np.ndarray, folds: int = 2) -> pd.DataFrame:
    """Daily values (day, seed) on business days that fall into equal folds."""
    days = len(values)
    dates = pd.bdate_range("2020-01-06", periods=days)
    fold = np.repeat(np.arange(1, folds + 1), days // folds)
    index = pd.MultiIndex.from_arrays([fold, dates], names=["fold", "date"])
    return pd.DataFrame(values, index=index, columns=[str(seed) for seed in range(values.shape[1])])


def variants(seed: int, gain: float = 0.0, between: float = 0.0, days: int = DAYS, seeds: int = 3):
    """Two variants: what the days do to both, what they do to each, to each model, and what training adds."""
    rng = np.random.default_rng(seed)
    common = 0.03 + 0.1 * rng.standard_normal((days, 1))
    fold = np.repeat([0, 1], days // 2)
    pair = []
    for mean in (gain, 0.0):
        own = 0.02 * rng.standard_normal((days, 1)) + 0.02 * rng.standard_normal((days, seeds))
        trained = between * rng.standard_normal((2, seeds))[fold]
        pair.append(table(mean + common + own + trained))
    return pair


def compare(first: pd.DataFrame, second: pd.DataFrame, statistic=MEAN, **settings) -> SeedDifference:
    return paired_seeds(first, second, statistic, **({"horizon": 1, "replications": 200} | settings))


def test_one_seed_gives_the_statistics_of_its_series():
    one, two = (variant.iloc[:, :1] for variant in variants(0))
    found = compare(one, two)
    plain = paired_difference(one["0"], two["0"], horizon=1, replications=200)
    assert (found.first, found.second) == pytest.approx((plain.first, plain.second))
    assert found.interval == pytest.approx((plain.low, plain.high), abs=2e-3)  # another kind of interval
    ratio = compare(one, two, ICIR)
    assert ratio.first == pytest.approx(icir(one["0"]))
    plain = paired_difference(one["0"], two["0"], horizon=1, replications=200, statistic=icir)
    assert ratio.interval == pytest.approx((plain.low, plain.high), abs=1e-9)


def test_several_seeds_are_pooled_and_not_averaged_into_an_ensemble():
    one, two = variants(0)
    ratio = compare(one, two, ICIR).first
    assert ratio == pytest.approx(icir(one.to_numpy().ravel()), rel=0.01)
    assert ratio < icir(one.mean(axis=1))


def test_a_sharpe_ratio_is_scaled_to_a_year():
    one, two = variants(0)
    yearly = compare(one, two, Statistic("net", "ratio", math.sqrt(245)))
    daily = compare(one, two, ICIR)
    assert yearly.difference == pytest.approx(daily.difference * math.sqrt(245))
    assert yearly.relative == pytest.approx(daily.relative)


def test_the_interval_of_a_planted_gain_holds_it_and_excludes_0():
    found = compare(*variants(1, gain=0.02))
    assert 0 < found.interval[0] < 0.02 < found.interval[1]
    assert found.relative == pytest.approx(found.difference / found.second)
    assert found.relative_interval[0] > 0


def test_days_that_both_variants_share_cancel():
    # The common part of a day has a standard deviation of 0.1, a variant's own 0.02.
    found = compare(*variants(1))
    assert found.standard_error < 0.003 < 0.1 / math.sqrt(DAYS)


def test_in_19_of_20_markets_without_a_difference_the_interval_covers_0():
    covered = {MEAN: 0, ICIR: 0}
    for seed in range(200):
        pair = variants(seed, between=0.003, days=160)
        for statistic in covered:
            low, high = compare(*pair, statistic, replications=100, seed=seed).interval
            covered[statistic] += low <= 0 <= high
    # 190 +- 3 by chance alone; 200 draws and three seeds a fold cost a little.
    assert all(178 <= count <= 198 for count in covered.values()), covered


def test_the_reported_error_is_the_one_that_repeated_markets_show():
    for between in (0.0, 0.006):
        found = [compare(*variants(seed, between=between), replications=50) for seed in range(60)]
        shown = np.std([f.difference for f in found])
        assert np.mean([f.standard_error for f in found]) == pytest.approx(shown, rel=0.25), between


def test_seeds_that_differ_widen_the_interval_by_their_variance():
    # Offsets -d, 0, d in every fold: the mean of three seeds has variance d^2 / 3 in each of two folds.
    one, two = variants(2)
    offsets = 0.02 * np.array([-1.0, 0.0, 1.0])
    calm, wide = compare(one, two), compare(one + offsets, two - offsets, replications=2000)
    assert wide.difference == pytest.approx(calm.difference)
    by_seeds = 2 * 0.02**2 / 3 / 2
    assert wide.standard_error**2 - calm.standard_error**2 == pytest.approx(by_seeds, rel=0.2)
    assert wide.day_deviation == pytest.approx(calm.day_deviation, rel=0.1)


def test_one_seed_has_an_interval_over_days_alone():
    one, two = (variant.iloc[:, :1] for variant in variants(3, between=0.01))
    found = compare(one, two)
    assert found.standard_error == pytest.approx(found.day_deviation / math.sqrt(DAYS), rel=1e-6)


def test_variants_are_paired_by_date_whatever_the_order_of_the_rows():
    one, two = variants(4)
    shuffled = compare(one, two.sample(frac=1.0, random_state=0))
    assert shuffled == compare(one, two)


def test_a_day_that_one_model_lacks_counts_for_no_variant():
    one, two = variants(5)
    gap = one.copy()
    gap.iloc[10, 0] = np.nan
    short = two.drop(index=two.index[50:60])
    assert compare(gap, two) == compare(one.drop(index=one.index[10]), two)
    assert compare(gap, short).days == DAYS - 11


def test_equal_seeds_give_equal_intervals():
    pair = variants(6)
    assert compare(*pair, seed=1) == compare(*pair, seed=1) != compare(*pair, seed=2)


@pytest.mark.parametrize(("days", "horizon"), [(10, 1), (18, 1), (40, 20)])
def test_too_few_days_give_a_difference_and_no_interval(days, horizon):
    found = compare(*variants(7, days=days), horizon=horizon)
    assert math.isfinite(found.difference)
    assert np.isnan([*found.interval, *found.relative_interval, found.standard_error]).all()


def test_a_few_blocks_are_trusted_less_than_many():
    # 60 days hold three blocks of 20 sessions: two degrees of freedom, a quantile of 4.3 in place of 1.96.
    pair = variants(8, days=60)
    widths = [np.diff(compare(*pair, horizon=horizon).interval) for horizon in (1, 20)]
    assert widths[1] > 1.7 * widths[0]


@pytest.mark.parametrize("statistic", [MEAN, ICIR])
def test_days_are_drawn_in_blocks_of_the_horizon(statistic):
    one, two = (variant.iloc[:60] for variant in variants(0, gain=0.01))
    far, near = (compare(one, two, statistic, horizon=h, replications=500) for h in (20, 1))
    assert far.interval[1] - far.interval[0] > 1.5 * (near.interval[1] - near.interval[0])
    assert far.standard_error > near.standard_error


def test_a_draw_takes_the_same_days_of_both_variants():
    """The day moves both series together: drawn apart, its noise alone would make the interval ten times as wide."""
    rng = np.random.default_rng(1)
    day = rng.normal(0, 0.1, (DAYS, 1))
    one, two = table(day + 0.01 + rng.normal(0, 0.005, (DAYS, 1))), table(day + rng.normal(0, 0.005, (DAYS, 1)))
    found = compare(one, two)
    assert found.interval[1] - found.interval[0] < 0.004
    assert found.interval[0] < 0.01 < found.interval[1]


def test_nothing_is_known_of_one_day():
    one, two = (variant.iloc[:1] for variant in variants(9))
    assert math.isnan(compare(one, two).difference)


def test_days_to_decide_by_hand():
    # model_and_quant.md, section 5: 5% of a rank IC of 0.04 with a daily deviation of 0.06.
    assert days_to_decide(0.06, 0.002) == round((2.8 * 0.06 / 0.002) ** 2) == 7056
    assert days_to_decide(0.015, 0.002) == 441
    assert days_to_decide(0.06, 0.0) is None
    assert days_to_decide(math.nan, 0.002) is None


def test_the_deviation_of_a_day_is_that_of_the_daily_difference_and_counts_its_persistence():
    one, two = variants(10)
    daily = one.mean(axis=1) - two.mean(axis=1)
    assert compare(one, two).day_deviation == pytest.approx(daily.std(), rel=0.2)
    # A difference that stays for ten days: as many days hold a tenth of the evidence.
    rng = np.random.default_rng(0)
    lasting = np.repeat(0.02 * rng.standard_normal((DAYS // 10, 1)), 10, axis=0)
    found = compare(two + lasting, two, horizon=10)
    assert found.day_deviation > 2 * lasting.std()


def test_the_series_of_an_variant_is_a_table_of_its_seeds():
    dates = pd.to_datetime(["2024-01-04", "2024-01-05"])
    rows = pd.DataFrame(
        {
            "fold": 1,
            "seed": ["0", "0", "1", "1"],
            "date": [*dates, *dates],
            "rank_ic": [0.1, 0.2, 0.3, 0.4],
        }
    )
    series = seed_series(rows, "rank_ic")
    assert series.to_numpy().tolist() == [[0.1, 0.3], [0.2, 0.4]]
    assert series.index.names == ["fold", "date"]
    with pytest.raises(ValueError, match="several values of rank_ic of one seed on one date"):
        seed_series(pd.concat([rows, rows]), "rank_ic")
