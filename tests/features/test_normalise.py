import numpy as np
import pytest
import xarray as xr

from gogooku_kedro.features.normalise import model_columns, normalise
from gogooku_kedro.market.blocks import assemble


def features_of(raw, panel, in_universe, clip=8.0, masks=("f",)):
    entries = [
        {
            "name": str(name),
            "family": "f",
            "kind": "market" if raw[name].dims == ("date",) else "stock",
            "normalisation": "robust_z",
            "sector_neutral": False,
        }
        for name in raw.data_vars
    ]
    columns = [f"{e['name']}_z" for e in entries] + [f"missing_{family}" for family in masks]
    manifest = {"features": entries, "masks": list(masks), "columns": columns, "clip": clip, "hash": "h"}
    return assemble(normalise(raw, panel, in_universe, manifest))


def test_x_has_no_missing_value_and_a_mask_per_family_says_what_was_missing(panel_factory):
    panel = panel_factory(n_dates=130, n_codes=8, gaps=False)
    rng = np.random.default_rng(0)
    shape = (130, 8)
    raw = xr.Dataset(
        {
            "a": (("date", "code"), rng.standard_normal(shape).astype(np.float32)),
            "b": (("date", "code"), rng.standard_normal(shape).astype(np.float32)),
            "m": ("date", rng.standard_normal(130).astype(np.float32)),
        },
        coords={"date": panel["date"], "code": panel["code"].values},
    )
    raw["a"][100, 2] = np.nan
    raw["a"][100, 3] = 1e6
    in_universe = panel["traded"].copy()
    in_universe[100, 5] = False
    found = features_of(raw, panel, in_universe)
    assert found["x"].dims == ("date", "code", "feature")
    assert found["x"].dtype == np.float32
    assert bool(found["x"].notnull().all())
    day = found["x"].isel(date=100).sel(feature=["a_z", "b_z", "m_z"])
    assert day.values[2, 0] == 0
    assert day.values[3, 0] == 8.0  # clipped
    assert (day.values[5] == 0).all()  # none in the universe
    assert len(set(day.values[[0, 1, 2, 3, 4, 6, 7], 2])) == 1
    mask = found["x"].sel(feature="missing_f")
    assert mask.values[100].tolist() == pytest.approx([0, 0, 1 / 3, 0, 0, 0, 0, 0])
    assert mask.values[10].tolist() == pytest.approx([1 / 3] * 8)  # before the series has a past
    assert found.attrs["feature_hash"] == "h"


def test_the_share_that_a_stock_lacks_is_the_nearest_float_whatever_stocks_and_sessions_are_beside_it():
    sizes = {f"f{n}": n for n in range(3, 20)}
    families = [name for name, size in sizes.items() for _ in range(size)]
    manifest = {"features": [{"family": name} for name in families], "masks": list(sizes), "clip": 8.0}
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((len(families), 6, 24)).astype(np.float32)
    scores[rng.random(scores.shape) < 0.4] = np.nan
    scores[:, 2, 3] = np.nan
    inside = np.ones((6, 24), dtype=bool)
    inside[4, 5] = False
    x = model_columns(scores, inside, manifest)
    for column, (name, size) in enumerate(sizes.items(), start=len(families)):
        count = np.isnan(scores[np.array(families) == name]).sum(axis=0)
        np.testing.assert_array_equal(x[..., column], np.where(inside, count / size, 0).astype(np.float32))
    for dates, codes in ((slice(5, 6), slice(None)), (slice(1, 4), slice(0, 23)), (slice(None), slice(7, 18))):
        part = model_columns(np.ascontiguousarray(scores[:, dates, codes]), inside[dates, codes], manifest)
        np.testing.assert_array_equal(part, x[dates, codes])
