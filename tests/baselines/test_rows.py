import pytest

from gogooku_kedro.baselines.rows import learning_rows
from tests.baselines.conftest import SPLIT


def test_arrays_from_different_panels_are_refused(market) -> None:
    x, in_universe, ret = market
    with pytest.raises(ValueError, match="labels target and features x differ in date"):
        learning_rows(x, in_universe, ret[1:], SPLIT)


def test_empty_part_is_named(market) -> None:
    x, in_universe, ret = market
    with pytest.raises(ValueError, match=r"split\.valid"):
        learning_rows(x, in_universe, ret, {**SPLIT, "valid": ["2030-01-01", "2030-02-01"]})
