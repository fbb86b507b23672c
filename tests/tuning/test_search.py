"""Trials of a fake score: none is repeated, lost or counted twice, and a weak one is given up."""

import logging

import pytest

from gogooku_kedro.training.train_seed import Diverged
from gogooku_kedro.tuning.store import FILE, Identity, StudyStore, trial_rows
from tests.tuning.conftest import OWN, FakeScore, base_settings, tuning_params


def rows_of(store):
    return [(row["trial"], row["state"], row["settings"]) for row in trial_rows(store)]


def test_a_grid_is_tried_point_by_point_and_its_best_is_found(tune, caplog):
    score = FakeScore()
    with caplog.at_level(logging.INFO):
        store = tune(score, trials=20, pruner="none")
    points = {(row["settings"]["model.gat.heads"], row["settings"]["model.dropout"]) for row in trial_rows(store)}
    assert points == {(heads, dropout) for heads in (1, 2) for dropout in (0.0, 0.1, 0.2)}
    assert len(trial_rows(store)) == 6
    assert len(score.asked) == 12  # two folds each
    assert store.study.best_params == {"model.gat.heads": 2, "model.dropout": 0.0}
    assert "every point of the grid is tried, 6 trials" in caplog.text


def test_the_value_is_the_mean_over_horizons_and_folds(tune):
    (row,) = trial_rows(tune(FakeScore(), trials=1))
    heads, dropout = row["settings"]["model.gat.heads"], row["settings"]["model.dropout"]
    rate = base_settings(tuning_params()).training.learning_rate
    of_folds = [0.01 * heads - 0.1 * dropout - abs(rate - 0.01) + 0.001 * number + 0.0015 for number in (1, 2)]
    assert row["value"] == pytest.approx(sum(of_folds) / 2)


def test_a_finished_study_trains_nothing_and_more_trials_go_on(tune):
    first = rows_of(tune(FakeScore(), trials=2))
    again = FakeScore()
    assert rows_of(tune(again, trials=2)) == first
    assert again.asked == []
    assert rows_of(tune(again, trials=3))[:2] == first
    assert len(again.asked) == 2


def test_a_trial_that_was_cut_off_goes_on_after_its_finished_folds(tune):
    def power_cut(number, settings):
        if number == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune(FakeScore(power_cut), trials=2)
    score = FakeScore()
    store = tune(score, trials=2, pruner="none")
    whole = trial_rows(store)
    first = whole[0]["settings"]
    assert score.asked[0] == (2, first["model.gat.heads"], first["model.dropout"])  # fold 1 is not trained again
    assert len(score.asked) == 1 + 2
    assert [len(row["folds"]) for row in whole] == [2, 2]
    assert store.counted() == 2


@pytest.mark.parametrize("space", ["small", "free"])
def test_a_study_in_two_runs_is_that_of_one(space, tune, tmp_path_factory, made):
    whole = FakeScore()
    in_one = [row[2] for row in rows_of(tune(whole, space=space, trials=4))]
    tune(FakeScore(), Identity("data", "hash", "other"), space=space, trials=2)
    in_two = [row[2] for row in rows_of(tune(FakeScore(), Identity("data", "hash", "other"), space=space, trials=4))]
    assert in_two == in_one
    assert len({repr(point) for point in in_one}) == 4


def test_a_weak_trial_is_given_up_after_a_fold_and_its_value_is_none(tune):
    store = tune(FakeScore(), trials=6, unpruned_trials=2)
    states = [row["state"] for row in trial_rows(store)]
    assert "pruned" in states[2:]
    assert "pruned" not in states[:2]
    weak = next(row for row in trial_rows(store) if row["state"] == "pruned")
    assert len(weak["folds"]) == 1
    assert weak["value"] is None
    assert store.counted() == 6  # it was looked at
    tried = {repr(row["settings"]) for row in trial_rows(store)}
    assert len(tried) == 6


def test_a_training_that_diverges_ends_its_trial_and_not_the_study(tune, caplog):
    def diverge(number, settings):
        if settings.model.gat.heads == 2:
            raise Diverged("the loss diverged")

    store = tune(FakeScore(diverge), trials=6, pruner="none")
    states = {row["settings"]["model.gat.heads"]: row["state"] for row in trial_rows(store)}
    assert states == {1: "finished", 2: "diverged"}
    assert "diverged on fold 1" in caplog.text


def test_a_fold_without_a_number_is_no_value(tune):
    class Nothing(FakeScore):
        def __call__(self, number, settings, name):
            found = super().__call__(number, settings, name)
            return found | {"rank_ic": dict.fromkeys(found["rank_ic"], float("nan"))}

    (row,) = trial_rows(tune(Nothing(), trials=1))
    assert row["state"] == "diverged"
    assert row["folds"][0]["rank_ic"]["5d"] is None


def test_other_data_or_settings_begin_anew_and_only_trials_of_the_data_count(tune, caplog):
    assert tune(FakeScore(), trials=2).counted() == 2
    with caplog.at_level(logging.INFO):
        other = tune(FakeScore(), Identity("later data", "another hash", "another"), trials=1)
    assert "its data or settings are others than before; it begins anew" in caplog.text
    assert len(trial_rows(other)) == 1
    assert other.counted() == 1
    # Another study of the same data: what it trains anew counts beside the first two, what they trained does not.
    score = FakeScore()
    store = tune(score, Identity("data", "hash", "wider"), trials=6, pruner="none")
    assert store.counted() == 6
    assert len(score.asked) == 2 * 4
    # The same prices under another training part.
    assert tune(FakeScore(), Identity("longer", "hash", "longer"), trials=1, space="free").counted() == 7


def test_the_time_of_a_run_ends_it_between_trials(tune, monkeypatch, caplog):
    from gogooku_kedro.tuning import search

    clock = iter(range(0, 1000, 40))
    monkeypatch.setattr(search.time, "monotonic", lambda: next(clock))
    with caplog.at_level(logging.INFO):
        store = tune(FakeScore(), trials=6, time_budget_minutes=1)
    assert len(trial_rows(store)) == 1
    assert "tuning.time_budget_minutes: 1 spent after 1 trials" in caplog.text


def test_a_file_that_is_no_database_is_named(folder):
    (folder / FILE).write_bytes(b"no database" * 100)
    with pytest.raises(ValueError, match=r"tuning\.walk_forward\.folder: .*studies\.db cannot be used \(.*remove it"):
        StudyStore(folder, "study", OWN)
