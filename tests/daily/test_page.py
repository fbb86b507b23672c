"""The page of a ranking."""

import pandas as pd
import pytest

from gogooku_kedro.daily.page import render_page

FACTS = {
    "before": None,
    "source": "prices.csv",
    "model": "0123456789abcdef",
    "scored_by": "trained last",
    "n_features": 3,
    "feature_hash": "fedcba9876543210",
}


@pytest.mark.parametrize("names", [["Alpha", ""], ["", ""]])
def test_names_are_a_column_where_the_source_has_some(names):
    ranking = pd.DataFrame({"date": pd.Timestamp("2021-03-30"), "code": ["13010", "13020"], "name": names})
    ranking = ranking.assign(sector="n/a", tradable=True, rank_5d=[1, 2], rank_change_5d=float("nan"))
    ranking = ranking.assign(**{f"score_{h}d": [1.0, -1.0] for h in (1, 5, 10, 20)})
    ranking = ranking.assign(**{f"reason_{n}": "" for n in (1, 2, 3)})
    page = render_page(ranking, FACTS, 5)
    assert page.count(">name</th>") == (2 if "Alpha" in names else 0)
    assert page.count(">13010</th>") == 1
