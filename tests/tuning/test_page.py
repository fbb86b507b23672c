"""The page and the summary of a study."""

import json
import math
import re

import pytest

from gogooku_kedro.report.figures.tuning import most_important, value_by_trial, value_over_two
from gogooku_kedro.report.tuning import render_tuning
from gogooku_kedro.tuning.store import trial_rows
from gogooku_kedro.tuning.summary import summarise, trial_table
from tests.tuning.conftest import SPLITS, FakeScore, tuning_params

NAMES = ("model.gat.enabled", "training.max_batches", "training.learning_rate")
SMALL = tuning_params().spaces["small"]
PLAN = {"study": "own_1", "objective": "rank_ic", "space": "small", "sampler": "grid", "folds": SPLITS}


def found_in(rows, counted=9):
    return PLAN | summarise(rows, counted, SMALL)


def page(rows, export_to="conf/tuned"):
    html = render_tuning(rows, found_in(rows), SMALL, export_to)
    body = re.sub(r"(?s)<script.*?</script>|<style.*?</style>", "", html)
    return html, " ".join(re.sub(r"<[^>]+>", " ", body).split())


@pytest.fixture
def rows(tune):
    return json.loads(json.dumps(trial_rows(tune(FakeScore(), trials=6, unpruned_trials=2))))


def test_the_summary_names_the_best_trial_and_what_matters(rows):
    found = found_in(rows)
    assert found["best"]["settings"] == {"model.gat.heads": 2, "model.dropout": 0.0}
    assert found["best"]["rank_ic"]["20d"] - found["best"]["rank_ic"]["1d"] == pytest.approx(0.003)
    states = found["trials"]
    assert states["counted"] == 9
    assert states["finished"] + states["pruned"] == 6
    assert sum(found["importance"].values()) == pytest.approx(1.0, abs=0.001)


def test_dropout_matters_more_than_heads_where_it_moves_the_value_more(tune):
    # 0.02 between the ends of dropout, 0.01 between the heads
    rows = trial_rows(tune(FakeScore(), trials=6, pruner="none"))
    shares = found_in(rows)["importance"]
    assert list(shares) == ["model.dropout", "model.gat.heads"]
    assert most_important(rows, shares) == ["model.dropout", "model.gat.heads"]


def test_the_page_shows_best_figures_and_every_trial_and_loads_nothing(rows):
    html, text = page(rows)
    assert "is the best of 6" in text
    assert "Its settings: conf/tuned" in text
    assert "Importance of the settings" in text
    assert "Value over model.dropout and model.gat.heads" in text
    assert "9 trials have ended on this data" in text
    assert "2020-07-01 to 2020-07-31, 2020-08-03 to 2020-08-31" in text
    assert len(re.findall(r'<tr( class="best")?><th scope="row">\d+</th>', html)) == 6
    assert re.findall(r'<tr class="best"><th scope="row">(\d+)', html) == [str(found_in(rows)["best"]["trial"])]
    assert html.count('class="plotly-graph-div"') == 3
    assert not re.search(r'(src|href)="http', re.sub(r"(?s)<script>.*?</script>", "", html))
    assert "default-src 'none'" in html


def test_a_study_of_one_trial_says_what_it_lacks(tune):
    rows = trial_rows(tune(FakeScore(), trials=1))
    html, text = page(rows, export_to=None)
    assert html.count('class="plotly-graph-div"') == 1
    assert "it takes 4 finished trials whose values differ" in text
    assert "fewer than two settings vary among the finished trials" in text
    assert "Its settings" not in text


def test_a_study_without_a_finished_trial_has_a_page(tune):
    class Nothing(FakeScore):
        def __call__(self, number, settings, name):
            found = super().__call__(number, settings, name)
            return found | dict.fromkeys(("rank_ic", "rank_icir"), dict.fromkeys(found["rank_ic"], float("nan")))

    rows = trial_rows(tune(Nothing(), trials=2))
    _, text = page(rows)
    assert "No best trial: none of 2 finished." in text
    assert "diverged" in text


def test_the_contour_lies_between_the_points_of_the_finished_trials(rows):
    contour, points, *_ = value_over_two(rows, SMALL, "model.dropout", "model.gat.heads", "rank_ic").data
    finished = [row for row in rows if row["state"] == "finished"]
    known = [value for line in contour.z for value in line if not math.isnan(value)]
    assert contour.type == "contour"
    assert sorted(known) == pytest.approx(sorted(row["value"] for row in finished))
    assert sorted(points.x) == sorted(row["settings"]["model.dropout"] for row in finished)


def test_settings_that_are_no_numbers_are_drawn_too():
    space = tuning_params(
        spaces={
            "mine": {
                "sampler": "tpe",
                "choices": {"model.gat.enabled": [True, False], "training.max_batches": [None, 5]},
                "ranges": {"training.learning_rate": {"low": 0.001, "high": 0.1, "scale": "log"}},
            }
        },
        space="mine",
    ).spaces["mine"]
    fold = {"rank_ic": {"1d": 0.1}, "rank_icir": {"1d": 0.1}, "seconds": 1.0}
    rows = [
        {
            "trial": n,
            "state": "finished",
            "value": 0.01 * n,
            "folds": [fold],
            "settings": dict(zip(NAMES, point, strict=True)),
        }
        for n, point in enumerate([(True, None, 0.01), (False, 5, 0.02), (True, 5, 0.05), (False, None, 0.1)])
    ]
    html = render_tuning(rows, PLAN | summarise(rows, 4, space), space, None)
    assert html.count('class="plotly-graph-div"') == 3
    for pair in (NAMES[:2], NAMES[1:]):
        assert value_over_two(rows, space, *pair, "rank_ic").data[0].type == "contour"


def test_trials_that_were_given_up_are_drawn_apart(rows):
    names = {trace.name: len(trace.x) for trace in value_by_trial(rows, "rank_ic").data}
    table = trial_table(rows)
    assert names["trial"] == (table["state"] == "finished").sum()
    assert names["given up"] == (table["state"] == "pruned").sum() > 0
