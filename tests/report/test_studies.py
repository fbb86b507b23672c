"""What a pipeline beside the default one left stands in the report as it was measured, or is named as not run."""

import json

import pandas as pd
import plotly.graph_objects as go
import pytest

from gogooku_kedro.ablation.gat_effect import gat_effect
from gogooku_kedro.datasets import StudyDataset
from gogooku_kedro.report.page import study_group
from gogooku_kedro.report.results import GatEffect, RunFacts
from gogooku_kedro.report.studies import Study, read_study, stored_study
from gogooku_kedro.report.tables import effect_tables
from tests.ablation.test_gat_effect import GAINS, GOALS, ablation_daily, series_of, table_of
from tests.report.report_run import text_rows

RUN = RunFacts(config_hash="c0ffee", data_hash="da7a")
OF = {"data_hash": "da7a", "config_hash": "c0ffee"}


def written(stored: dict) -> Study | None:
    """A study as it comes back from its file."""
    return read_study(json.loads(json.dumps(stored)))


def test_an_ablation_comes_back_with_its_numbers_its_table_and_its_figures() -> None:
    daily = ablation_daily(GAINS)
    variants = table_of(daily)
    variants.loc[0, "rank_ic_less_on"] = float("nan")
    figure = go.Figure(go.Bar(y=[1.0]), layout={"title": {"text": "Bars"}})
    found = gat_effect(series_of(daily), GOALS) | {"run": OF}
    group = study_group("ablation", written(stored_study(found, [figure], variants)), RUN)
    assert group.remark is None
    assert [drawn.layout.title.text for drawn in group.figures] == ["Bars"]
    assert len(group.cards) == 2
    for shown, measured in zip(group.tables, effect_tables(GatEffect.of(found), variants), strict=True):
        assert (shown.caption, text_rows(shown)) == (measured.caption, text_rows(measured))


@pytest.mark.parametrize(
    ("stored", "remark"),
    [
        (None, "Not run for this data: kedro run --pipelines=explanation"),
        (stored_study({"run": OF | {"data_hash": "beef"}}, [go.Figure()]), "Not shown: the explanation found is of"),
    ],
)
def test_a_study_that_is_not_of_this_data_leaves_a_remark_alone(stored, remark) -> None:
    group = study_group("explanation", read_study(stored), RUN)
    assert group.remark.startswith(remark)
    assert [*group.figures, *group.cards, *group.tables] == []


def test_a_study_is_previewed_as_its_first_figure(tmp_path) -> None:
    dataset = StudyDataset(filepath=str(tmp_path / "study.json"))
    dataset.save(stored_study({"run": OF}, [go.Figure(go.Bar(y=[1])), go.Figure()], pd.DataFrame({"a": [1.0]})))
    assert json.loads(json.dumps(dataset.preview()))["data"][0]["type"] == "bar"
