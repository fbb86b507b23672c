"""A formula reads what its feature declares, or is refused in a sentence that names both."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from gogooku_kedro.features import engine, registry
from gogooku_kedro.features.declared import DeclaredPanel, UndeclaredColumnError
from gogooku_kedro.features.feature import Family
from gogooku_kedro.refusals import sentence_of

DATES = pd.bdate_range("2024-01-04", periods=4)
PANEL = xr.Dataset(
    {name: (("date", "code"), np.ones((4, 2))) for name in ("adj_close", "ret_1d")},
    {"date": DATES, "code": ["13010", "13020"]},
)


@pytest.mark.parametrize("read", [lambda p: p["date"], lambda p: p.date, lambda p: p.code, lambda p: p["ret_1d"]])
def test_what_is_not_declared_is_refused(read):
    with pytest.raises(UndeclaredColumnError, match=r"feature twice: its formula reads '\w+', which the feature"):
        read(DeclaredPanel.of(PANEL, ("adj_close",)).for_formula("twice"))


def test_what_is_declared_is_there():
    view = DeclaredPanel.of(PANEL, ("adj_close", "date"))
    assert set(view.data_vars) == {"adj_close"}
    assert (view["date"].values == DATES.values).all()
    assert dict(view.sizes) == {"date": 4, "code": 2}


def test_a_feature_with_such_a_formula_is_named_with_the_column_and_the_remedy(monkeypatch):
    """xarray by itself gives such a formula row numbers in place of dates."""
    own = Family("returns")
    (january,) = own.feature(
        "january", ("adj_close",), 0, "1 in January", lambda p: p["adj_close"] * p["date"].dt.month
    )
    monkeypatch.setitem(registry.FEATURES, "january", january)
    with pytest.raises(UndeclaredColumnError) as refused:
        list(engine.stream_selected(PANEL, [january]))
    assert sentence_of(refused.value) == (
        "feature january: its formula reads 'date', which the feature does not declare; add 'date' to its `needs`"
    )
