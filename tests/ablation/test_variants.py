"""The arms of the ablation as settings: whole models, and what is wrong with one is said before training."""

import pytest

from gogooku_kedro.ablation.variants import Arm, arm_problems, overlaid, resolve_arms
from gogooku_kedro.params import SECTIONS, AblationParams, ModelParams
from gogooku_kedro.validation import configuration_problems
from tests.conftest import ENVIRONMENTS, settings_of

ARMS = {
    *("on", "off", "identity", "permuted", "mean", "pca_neutral", "no_fan", "no_san", "no_vsn"),
    *("heads_1", "heads_2", "heads_4", "heads_8", "layers_1", "layers_2", "layers_3"),
    *("conv_gat", "conv_gatv2", "conv_sage", "conv_gin", "conv_transformer"),
}


def resolved(env: str | None = None, run: list[str] | None = None, **changes) -> dict[str, Arm]:
    if run is not None:
        changes["ablation__run"] = ["on", "off", *run]
    settings = settings_of(env, **changes)
    ablation, model = (SECTIONS[name].model_validate(settings[name]) for name in ("ablation", "model"))
    return {arm.name: arm for arm in resolve_arms(ablation, model)}


def problems_of(arm: dict, **changes) -> list[str]:
    written = {"model": {}, "graph": "as_is", "scores": "raw"} | arm
    arms = settings_of()["ablation"]["arms"] | {"mine": written}
    return arm_problems(settings_of(ablation__arms=arms, ablation__run=["on", "off", "mine"], **changes))


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_every_arm_of_the_table_is_a_model_in_every_environment(env):
    arms = resolved(env, run=sorted(ARMS - {"on", "off"}))
    assert set(arms) == ARMS == set(settings_of(env)["ablation"]["arms"])
    assert not arms["off"].training.model.gat.enabled
    assert arms["on"].training.model == SECTIONS["model"].model_validate(settings_of(env)["model"])


def test_an_arm_changes_what_it_writes_and_nothing_else():
    arms = resolved(run=["no_fan", "heads_8", "conv_sage"])
    on = arms["on"].training.model
    for name, section, change in [
        ("no_fan", "fan", {"enabled": False}),
        ("heads_8", "gat", {"heads": 8}),
        ("conv_sage", "gat", {"conv": "sage"}),
    ]:
        changed = getattr(on, section).model_copy(update=change)
        assert arms[name].training.model == on.model_copy(update={section: changed})
        assert arms[name].training.graph == "as_is"


def test_controls_are_the_same_network_on_another_graph():
    arms = resolved(run=["identity", "permuted", "mean"])
    for name in ("identity", "permuted", "mean"):
        assert arms[name].training.model == arms["on"].training.model
        assert arms[name].training.graph == name


def test_arms_that_are_one_training_are_equal():
    arms = resolved(run=["heads_4", "layers_1", "conv_gatv2", "pca_neutral", "identity"])
    on = arms["on"].training
    assert [name for name, arm in arms.items() if arm.training == on] == [
        *("on", "heads_4", "layers_1", "conv_gatv2")
    ]
    assert arms["pca_neutral"].training == arms["off"].training
    assert arms["pca_neutral"].scores == "pca_neutral"


def test_a_model_without_gat_hears_no_graph_whichever_is_written():
    settings = settings_of()["ablation"]["arms"]
    settings["deaf"] = settings["off"] | {"graph": "permuted"}
    arms = resolved(run=["deaf"], ablation__arms=settings)
    assert arms["deaf"].training == arms["off"].training


@pytest.mark.parametrize(
    ("arm", "message"),
    [
        (
            {"model": {"gat": {"haeds": 4}}},
            "ablation.arms.mine.model.gat.haeds: unknown key; did you mean 'heads'? The keys of "
            "ablation.arms.mine.model.gat are enabled,",
        ),
        ({"model": {"gta": {}}}, "ablation.arms.mine.model.gta: unknown key; did you mean 'gat'?"),
        ({"model": {"gat": {"conv": "gcn"}}}, "ablation.arms.mine.model.gat.conv: 'gcn' is not possible"),
        ({"model": {"fan": False}}, "ablation.arms.mine.model.fan: False is not possible"),
        (
            {"model": {"gat": {"heads": 5}}},
            "ablation.arms.mine: model.gat.heads: 5 does not divide model.hidden_size (32); choose a divisor",
        ),
        (
            {"graph": "permuted", "model": {"gat": {"learned_graph": {"enabled": True}}}},
            "ablation.arms.mine.graph: permuted with model.gat.learned_graph.enabled: true, which finds the",
        ),
    ],
)
def test_an_arm_that_is_no_model_is_named_with_its_path(arm, message):
    (problem,) = problems_of(arm)
    assert problem.startswith(message)


def test_every_problem_is_told_at_once():
    two = {"gat": {"heads": "many", "convolution": "gat"}}
    assert len(problems_of({"model": two})) == 2


def test_an_arm_that_is_not_run_may_not_fit():
    arms = settings_of()["ablation"]["arms"]
    arms["mine"] = {"model": {"gat": {"heads": 5}}, "graph": "as_is", "scores": "raw"}
    assert arm_problems(settings_of(ablation__arms=arms)) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"ablation__run": ["on", "off", "idntity"]},
            "ablation.run: 'idntity' is no arm; did you mean 'identity'?",
        ),
        ({"ablation__run": ["on", "identity"]}, "ablation.run: ['on', 'identity'] must hold on and off"),
        ({"ablation__run": ["on", "off", "on"]}, "ablation.run: ['on', 'off', 'on'] must hold on and off"),
        ({"ablation__seeds": [1, 1]}, "ablation.seeds: [1, 1] must be different numbers"),
        ({"ablation__seeds": [-1]}, "ablation.seeds: [-1] must be different numbers, none negative"),
        ({"ablation__seeds": []}, "ablation.seeds: [] is not possible"),
        ({"ablation__goals__rank_ic": -0.1}, "ablation.goals.rank_ic: -0.1 is not possible"),
        ({"ablation__goals__sharpe": 0.1}, "ablation.goals.sharpe: unknown key; did you mean 'sharpe_net'?"),
        ({"ablation__arms__on__grph": "as_is"}, "ablation.arms.on.grph: unknown key; did you mean 'graph'?"),
        ({"ablation__arms__on__graph": "random"}, "ablation.arms.on.graph: 'random' is not possible"),
        ({"ablation__arms__mean__scores": ...}, "ablation.arms.mean.scores: missing; write it in conf/base"),
        (
            {"ablation__arms": {True: {}, False: {}}},
            'ablation.arms: YAML reads a bare on and off as true and false; write "on" and "off"',
        ),
        (
            {"ablation__walk_forward__fold": 2},
            "ablation.walk_forward.fold: unknown key; did you mean 'folds'?",
        ),
    ],
)
def test_a_wrong_setting_of_the_ablation_is_named(changes, message):
    problem, *_ = configuration_problems(settings_of(**changes))
    assert problem.startswith(message)


def test_a_bare_on_in_a_list_is_the_arm_that_is_meant():
    # YAML 1.1 reads [on, off] as [true, false].
    settings = settings_of(ablation__run=[True, False, "mean"])["ablation"]
    assert AblationParams.model_validate(settings).run == ("on", "off", "mean")


def test_settings_are_laid_over_others_to_the_depth_that_is_written():
    base = {"a": {"b": 1, "c": [1, 2]}, "d": 3}
    assert overlaid(base, {"a": {"c": [5]}}) == {"a": {"b": 1, "c": [5]}, "d": 3}
    assert overlaid(base, {"a": 0}) == {"a": 0, "d": 3}
    assert base == {"a": {"b": 1, "c": [1, 2]}, "d": 3}


def test_the_model_of_an_arm_is_as_typed_as_the_section():
    arm = resolved()["on"]
    assert isinstance(arm.training.model, ModelParams)
    assert hash(arm.training) == hash(resolved()["on"].training)
