"""Explanations of day t stay the same, to the last bit, whatever comes after t."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from gogooku_kedro.explanation import Subject, attention_pairs, daily_weights, edge_importance, explain_stock
from gogooku_kedro.explanation.features import Deal, _daily_rank_ic, _families
from tests.explanation.conftest import real_model, subject
from tests.explanation.test_why import panel
from tests.training.conftest import ring, tables

T = 33  # inside the chunk of sessions 5 to 36: what comes after lies in the same chunk
DAYS = list(range(27, T + 1))


def changed(of_graph: bool) -> tuple[xr.Dataset, xr.Dataset, pd.DataFrame]:
    """Everything after T is other: features, levels, members, labels, and a further graph."""
    features, labels, edges = tables()
    rng = np.random.default_rng(1)
    for name in ("x", "levels"):
        features[name][T + 1 :] = rng.normal(size=features[name][T + 1 :].shape)
    features["in_universe"][T + 1 :, 4:9] = False
    for name in ("ret", "target"):
        labels[name][T + 1 :] = rng.normal(size=labels[name][T + 1 :].shape)
    if of_graph:
        later = ring(features.indexes["date"][T + 1], features.indexes["code"].to_numpy(), 5)
        edges = pd.concat([edges, later])
    return features, labels, edges


@pytest.fixture(scope="module", params=[False, True], ids=["data", "data_and_graph"])
def both(request) -> tuple[Subject, Subject]:
    model = real_model()
    return subject(model), subject(model, data=changed(request.param))


def test_tables_up_to_t_do_not_change_with_what_comes_after(both):
    before, after = both
    for table in (
        lambda of: attention_pairs(of, DAYS, pd.Series(dtype=str)),
        lambda of: daily_weights(of, DAYS),
        lambda of: edge_importance(of, DAYS, 2, 8, 2, 0),
    ):
        pd.testing.assert_frame_equal(table(before), table(after), check_exact=True)
    late = list(range(T + 1, T + 5))
    assert not daily_weights(before, late).equals(daily_weights(after, late))


def test_a_prediction_is_explained_by_its_past(both):
    one, two = (explain_stock(of, panel(of), (0.1, 0.5, 0.9), "13050", of.dates[T], 5, 8) for of in both)
    assert one.as_dict(100) == two.as_dict(100)


def test_permuted_scores_of_day_t_know_nothing_of_later_absences(both):
    before, after = both
    returns = np.random.default_rng(2).normal(size=(len(DAYS), 20, 4)).astype(np.float32)
    for family, columns in _families(before).items():
        change = Deal(columns, family not in set(before.features["family"]), (0, 0))
        one, two = (_daily_rank_ic(of, DAYS, returns, change) for of in (before, after))
        np.testing.assert_array_equal(one, two)
