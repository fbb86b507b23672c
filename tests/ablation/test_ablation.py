"""Variants on one fold of a random market, trained for a moment: what they leave, and what is not done twice."""

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest

from gogooku_kedro.ablation import training as variant_training
from gogooku_kedro.ablation.ablation import run_ablation
from gogooku_kedro.ablation.gat_effect import VariantSeries, gat_effect
from gogooku_kedro.ablation.scores import ENSEMBLE, KINDS
from gogooku_kedro.ablation.training import DAILY, RESULTS, SCORES, SUMMARY, FoldMarket, Setting, VariantResult
from gogooku_kedro.ablation.variants import Training, Variant
from gogooku_kedro.baselines.neutral import neutralise_factors, neutralise_neighbours
from gogooku_kedro.metrics.daily import daily_metrics
from gogooku_kedro.training import fit_ensemble
from gogooku_kedro.walk_forward.refit import Fold
from tests.accidents import kill_at_writes
from tests.training.conftest import training_params
from tests.walk_forward.conftest import (
    another_future,
    evaluation_params,
    features_params,
    fold_settings,
    history_of,
)

SHORT = {"max_epochs": 1, "max_batches": 2, "chunk_days": 16, "seeds": [0, 1]}


class Finished(NamedTuple):
    variants: list[Variant]
    setting: Setting
    daily: pd.DataFrame
    runs: pd.DataFrame
    trained: list[bool]  # one entry a training: was it told that stocks hear nobody
    log: str


@pytest.fixture(scope="module")
def fold(history, splits) -> Fold:
    return history.fold(1, splits[0], features_params())


@pytest.fixture(scope="module")
def variants(tmp_path_factory) -> list[Variant]:
    on = fold_settings(tmp_path_factory.mktemp("unused")).model
    off = on.model_copy(update={"gat": on.gat.model_copy(update={"enabled": False})})
    return [
        Variant("on", Training(on, "as_is"), "raw"),
        Variant("off", Training(off, "as_is"), "raw"),
        Variant("identity", Training(on, "identity"), "raw"),
        Variant("same", Training(on, "as_is"), "raw"),
        Variant("pca_neutral", Training(off, "as_is"), "pca_neutral"),
    ]


def setting_in(folder: Path, history, **changes: Any) -> Setting:
    return Setting(history.panel, training_params(folder, **SHORT), evaluation_params(**changes), folder)


@pytest.fixture(scope="module")
def finished(history, fold, variants, tmp_path_factory) -> Finished:
    """All variants, finished."""
    setting, trained = setting_in(tmp_path_factory.mktemp("ablation"), history), []

    def counted(*arguments: Any, isolated: bool) -> Any:
        trained.append(isolated)
        return fit_ensemble(*arguments, isolated=isolated)

    records: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: records.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("gogooku_kedro.ablation.ablation")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(variant_training, "fit_ensemble", counted)
        patch.setattr(logger, "level", logging.INFO)
        logger.addHandler(handler)
        daily, runs = run_ablation(variants, [fold], 1, setting)
        logger.removeHandler(handler)
    return Finished(variants, setting, daily, runs, trained, "\n".join(records))


def seed_scores(root: Path, name: str, finished: Finished) -> pd.DataFrame:
    """Scores that a variant left below a folder."""
    training = next(variant.training for variant in finished.variants if variant.name == name)
    wanted = {"model": training.model.model_dump(mode="json"), "graph": training.graph}
    for folder in root.iterdir():
        if json.loads((folder / SUMMARY).read_text())["inputs"]["variant"] == wanted:
            return VariantResult.load(folder).seed_scores
    raise AssertionError(f"{name} is not finished")


def not_again(*_: Any, **__: Any) -> None:
    raise AssertionError("trained again")


def test_variants_that_are_equal_are_trained_once(finished):
    assert finished.trained == [False, False, True]
    assert finished.runs["variant"].tolist() == ["on", "same", "off", "pca_neutral", "identity"]
    of = finished.daily.set_index("variant").drop(columns="fold")
    pd.testing.assert_frame_equal(of.loc["on"].reset_index(drop=True), of.loc["same"].reset_index(drop=True))


def test_every_variant_is_measured_on_the_same_days_with_the_same_seeds(finished, fold):
    first, last = map(pd.Timestamp, fold.split["test"])
    days = set(fold.features.indexes["date"][fold.features.indexes["date"] >= first])
    assert max(days) == last
    for variant, rows in finished.daily.groupby("variant"):
        kinds = {"raw", "pca_neutral"} if variant == "pca_neutral" else set(KINDS)
        assert set(rows["scores"]) == kinds
        for _, own in rows.groupby(["scores", "horizon"]):
            assert set(own["seed"]) == {"0", "1", ENSEMBLE}
            assert all(set(dates) == days for _, dates in own.groupby("seed")["date"])


def test_the_numbers_are_those_of_the_evaluation(finished, fold, history):
    scores = seed_scores(finished.setting.folder, "on", finished)
    one = scores[scores["seed"] == 1].drop(columns="seed")
    factors, panel = finished.setting.evaluation.factors, history.panel.sel(date=fold.features["date"])
    expected = {
        "raw": one,
        "peer_neutral": neutralise_neighbours(one, fold.graph_edges),
        "pca_neutral": neutralise_factors(one, panel, factors.number, factors.window, factors.cadence),
    }
    for kind, predictions in expected.items():
        plain = daily_metrics(predictions, fold.labels, 10.0).set_index(["horizon", "date"])
        rows = finished.daily.query("variant == 'on' and scores == @kind and seed == '1'")
        found = rows.set_index(["horizon", "date"])
        for column in ("rank_ic", "long_short_net"):
            np.testing.assert_array_equal(found[column], plain[column].loc[found.index], err_msg=kind)


def test_the_peers_of_a_control_are_those_of_the_market_and_not_of_its_own_graph(finished, fold):
    scores = seed_scores(finished.setting.folder, "identity", finished)
    one = scores[scores["seed"] == 0].drop(columns="seed")
    expected = daily_metrics(neutralise_neighbours(one, fold.graph_edges), fold.labels, 10.0)
    found = finished.daily.query("variant == 'identity' and scores == 'peer_neutral' and seed == '0'")
    for column in ("rank_ic", "long_short_net"):
        np.testing.assert_array_equal(found[column], expected[column])
    own_graph = fold.graph_edges[fold.graph_edges["source"] == fold.graph_edges["target"]]
    other = daily_metrics(neutralise_neighbours(one, own_graph), fold.labels, 10.0)
    assert not np.array_equal(found["rank_ic"], other["rank_ic"], equal_nan=True)


def test_controls_have_the_parameters_of_the_model(finished):
    parameters = finished.runs.set_index("variant")["n_parameters"]
    assert parameters["identity"] == parameters["on"] > parameters["off"]


def test_the_neutral_variant_is_the_neutral_score_of_the_model_without_graph(finished):
    daily = finished.daily.drop(columns=["variant", "fold"])
    off, neutral = (daily[finished.daily["variant"] == variant] for variant in ("off", "pca_neutral"))
    expected = off[off["scores"] == "pca_neutral"].drop(columns="scores").reset_index(drop=True)
    for kind in ("raw", "pca_neutral"):
        found = neutral[neutral["scores"] == kind].drop(columns="scores").reset_index(drop=True)
        pd.testing.assert_frame_equal(found, expected)


def test_one_line_for_every_variant_with_the_time_that_is_left(finished):
    first, *_, last = finished.log.splitlines()
    assert len(finished.log.splitlines()) == 3
    assert first.startswith("ablation 1/3: on, same, fold 1 of 1 | test rank IC 1d ")
    assert last.startswith("ablation 3/3: identity, fold 1 of 1")
    assert last.endswith("about 0 min left")


def test_a_finished_variant_is_not_trained_again(finished, fold, monkeypatch, caplog):
    monkeypatch.setattr(variant_training, "fit_ensemble", not_again)
    monkeypatch.setattr(variant_training, "predict_parts", not_again)
    elsewhere = finished.setting.training.model_copy(update={"checkpoint_dir": "elsewhere", "seed": 9})
    with caplog.at_level(logging.INFO):
        daily, runs = run_ablation(finished.variants, [fold], 1, replace(finished.setting, training=elsewhere))
    pd.testing.assert_frame_equal(daily, finished.daily)
    pd.testing.assert_frame_equal(runs, finished.runs)
    assert caplog.text.count("finished before") == 3


def test_what_changes_a_result_is_computed_anew(finished, fold, monkeypatch, history):
    monkeypatch.setattr(variant_training, "fit_ensemble", not_again)
    setting, on = finished.setting, finished.variants[:1]
    longer = setting.training.model_copy(update={"max_epochs": 2})
    more = setting.training.model_copy(update={"seeds": (0, 1, 2)})
    dearer = setting.evaluation.model_copy(update={"cost_bps": 20.0})
    other = replace(fold, labels=fold.labels.assign(ret=fold.labels["ret"] * 2))
    wider = on[0].training.model.model_copy(update={"dropout": 0.3})
    for variants, folds, changed in [
        (on, fold, replace(setting, training=longer)),
        (on, fold, replace(setting, training=more)),
        (on, fold, replace(setting, evaluation=dearer)),
        (on, other, setting),
        ([replace(on[0], training=Training(wider, "as_is"))], fold, setting),
        ([replace(on[0], training=Training(on[0].training.model, "permuted"))], fold, setting),
    ]:
        with pytest.raises(AssertionError, match="trained again"):
            run_ablation(variants, [folds], 1, changed)


def test_an_ablation_that_was_cut_off_goes_on_where_it_was(finished, fold, history, tmp_path, monkeypatch):
    setting, two = setting_in(tmp_path, history), finished.variants[:2]
    calls: list[str] = []

    def cut_off(*arguments: Any, **keywords: Any) -> Any:
        calls.append("trained")
        if len(calls) == 2:
            raise KeyboardInterrupt
        return fit_ensemble(*arguments, **keywords)

    monkeypatch.setattr(variant_training, "fit_ensemble", cut_off)
    with pytest.raises(KeyboardInterrupt):
        run_ablation(two, [fold], 1, setting)
    measure = variant_training.measure_variant
    monkeypatch.setattr(variant_training, "measure_variant", not_again)  # the second cut, after the training
    with pytest.raises(AssertionError):
        run_ablation(two, [fold], 1, setting)
    assert len(calls) == 3
    monkeypatch.setattr(variant_training, "measure_variant", measure)
    daily, _ = run_ablation(two, [fold], 1, setting)
    assert len(calls) == 3
    expected = finished.daily[finished.daily["variant"].isin(["on", "off"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(daily, expected)


def test_what_comes_after_a_fold_changes_no_score_of_an_variant(finished, history, splits, tmp_path):
    after = int(history.panel.indexes["date"].get_loc(splits[0]["test"][1])) + 1
    later = history_of(another_future(history.panel, after))
    variant = next(variant for variant in finished.variants if variant.name == "identity")
    setting = replace(finished.setting, panel=later.panel, folder=tmp_path)
    run_ablation([variant], [later.fold(1, splits[0], features_params())], 1, setting)
    scores = (seed_scores(root, "identity", finished) for root in (tmp_path, finished.setting.folder))
    pd.testing.assert_frame_equal(*scores, check_exact=True)


@pytest.mark.parametrize("name", [DAILY, SCORES, SUMMARY])
def test_a_damaged_variant_is_named(name, finished, tmp_path):
    source = next(finished.setting.folder.iterdir())
    for file in (DAILY, SCORES, SUMMARY):
        (tmp_path / file).write_bytes((source / file).read_bytes())
    (tmp_path / name).write_bytes(b"{" if name == SUMMARY else b"PAR1")
    with pytest.raises(ValueError, match=rf"ablation\.walk_forward\.folder: .*{tmp_path} .*remove"):
        VariantResult.load(tmp_path)


def test_an_variant_without_a_summary_is_not_finished(tmp_path):
    assert not RESULTS.is_finished(tmp_path)


def test_the_fingerprints_of_two_graphs_differ(finished, fold):
    market, model = FoldMarket(fold, finished.setting), finished.variants[0].training.model
    kinds = ("as_is", "identity", "permuted", "mean")
    markets = [market._market(Training(model, kind)) for kind in kinds]
    assert len({m.fingerprint() for m in markets}) == 4
    assert all(m.x is markets[0].x for m in markets)


def test_the_effect_is_computed_from_what_the_variants_leave(finished):
    effect = gat_effect(VariantSeries(finished.daily, 245, replications=20), {"rank_ic": 0.05, "sharpe_net": 0.1})
    assert set(effect["controls"]) == {"identity", "pca_neutral"}
    assert set(effect["neutral"]["controls"]) == {"identity"}
    assert list(effect)[:4] == ["1d", "5d", "10d", "20d"]
    assert effect["1d"]["rank_ic"]["days"] <= 30


@pytest.mark.parametrize("step", [9, pytest.param(1, marks=pytest.mark.slow)], ids=["some", "every"])
def test_an_ablation_that_is_killed_at_a_write_ends_as_if_it_had_not_been(history, fold, variants, tmp_path, step):
    root, given = tmp_path / "variants", {}
    setting = setting_in(root, history)

    def fit(market: Any, *arguments: Any, **named: Any) -> Any:
        key = (market.fingerprint(), arguments[3].gat.enabled)
        return given[key] if key in given else given.setdefault(key, fit_ensemble(market, *arguments, **named))

    def work() -> None:
        run_ablation(variants[:2], [fold], 1, setting)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(variant_training, "fit_ensemble", fit)
        patch.setattr(variant_training.time, "monotonic", lambda: 0.0)
        kill_at_writes(work, root, step, least=20)
