"""The variants of the ablation as settings: whole models, and what is wrong with one is said before training."""

import pytest

from gogooku_kedro.ablation.variants import Variant, overlaid, resolve_variants, variant_problems
from gogooku_kedro.params import SECTIONS, AblationParams, ModelParams
from gogooku_kedro.validation import configuration_problems
from tests.conftest import ENVIRONMENTS, settings_of

VARIANTS = {
    *("on", "off", "identity", "permuted", "mean", "pca_neutral", "no_fan", "no_san", "no_vsn"),
    *("heads_1", "heads_2", "heads_4", "heads_8", "layers_1", "layers_2", "layers_3"),
    *("conv_gat", "conv_gatv2", "conv_sage", "conv_gin", "conv_transformer"),
}


def resolved(env: str | None = None, run: list[str] | None = None, **changes) -> dict[str, Variant]:
    if run is not None:
        changes["ablation__run"] = ["on", "off", *run]
    settings = settings_of(env, **changes)
    ablation, model = (SECTIONS[name].model_validate(settings[name]) for name in ("ablation", "model"))
    return {variant.name: variant for variant in resolve_variants(ablation, model)}


def problems_of(variant: dict, **changes) -> list[str]:
    written = {"model": {}, "graph": "as_is", "scores": "raw"} | variant
    variants = settings_of()["ablation"]["variants"] | {"mine": written}
    return variant_problems(settings_of(ablation__variants=variants, ablation__run=["on", "off", "mine"], **changes))


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_every_variant_of_the_table_is_a_model_in_every_environment(env):
    variants = resolved(env, run=sorted(VARIANTS - {"on", "off"}))
    assert set(variants) == VARIANTS == set(settings_of(env)["ablation"]["variants"])
    assert not variants["off"].training.model.gat.enabled
    assert variants["on"].training.model == SECTIONS["model"].model_validate(settings_of(env)["model"])


def test_an_variant_changes_what_it_writes_and_nothing_else():
    variants = resolved(run=["no_fan", "heads_8", "conv_sage"])
    on = variants["on"].training.model
    for name, section, change in [
        ("no_fan", "fan", {"enabled": False}),
        ("heads_8", "gat", {"heads": 8}),
        ("conv_sage", "gat", {"conv": "sage"}),
    ]:
        changed = getattr(on, section).model_copy(update=change)
        assert variants[name].training.model == on.model_copy(update={section: changed})
        assert variants[name].training.graph == "as_is"


def test_controls_are_the_same_network_on_another_graph():
    variants = resolved(run=["identity", "permuted", "mean"])
    for name in ("identity", "permuted", "mean"):
        assert variants[name].training.model == variants["on"].training.model
        assert variants[name].training.graph == name


def test_variants_that_are_one_training_are_equal():
    variants = resolved(run=["heads_4", "layers_1", "conv_gatv2", "pca_neutral", "identity"])
    on = variants["on"].training
    assert [name for name, variant in variants.items() if variant.training == on] == [
        *("on", "heads_4", "layers_1", "conv_gatv2")
    ]
    assert variants["pca_neutral"].training == variants["off"].training
    assert variants["pca_neutral"].scores == "pca_neutral"


def test_a_model_without_gat_hears_no_graph_whichever_is_written():
    settings = settings_of()["ablation"]["variants"]
    settings["deaf"] = settings["off"] | {"graph": "permuted"}
    variants = resolved(run=["deaf"], ablation__variants=settings)
    assert variants["deaf"].training == variants["off"].training


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        (
            {"model": {"gat": {"haeds": 4}}},
            "ablation.variants.mine.model.gat.haeds: unknown key; did you mean 'heads'? The keys of "
            "ablation.variants.mine.model.gat are enabled,",
        ),
        ({"model": {"gta": {}}}, "ablation.variants.mine.model.gta: unknown key; did you mean 'gat'?"),
        ({"model": {"gat": {"conv": "gcn"}}}, "ablation.variants.mine.model.gat.conv: 'gcn' is not possible"),
        ({"model": {"fan": False}}, "ablation.variants.mine.model.fan: False is not possible"),
        (
            {"model": {"gat": {"heads": 5}}},
            "ablation.variants.mine: model.gat.heads: 5 does not divide model.hidden_size (32); choose a divisor",
        ),
        (
            {"graph": "permuted", "model": {"gat": {"learned_graph": {"enabled": True}}}},
            "ablation.variants.mine.graph: permuted with model.gat.learned_graph.enabled: true, which finds the",
        ),
    ],
)
def test_an_variant_that_is_no_model_is_named_with_its_path(variant, message):
    (problem,) = problems_of(variant)
    assert problem.startswith(message)


def test_every_problem_is_told_at_once():
    two = {"gat": {"heads": "many", "convolution": "gat"}}
    assert len(problems_of({"model": two})) == 2


def test_an_variant_that_is_not_run_may_not_fit():
    variants = settings_of()["ablation"]["variants"]
    variants["mine"] = {"model": {"gat": {"heads": 5}}, "graph": "as_is", "scores": "raw"}
    assert variant_problems(settings_of(ablation__variants=variants)) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"ablation__run": ["on", "off", "idntity"]},
            "ablation.run: 'idntity' is no variant; did you mean 'identity'?",
        ),
        ({"ablation__run": ["on", "identity"]}, "ablation.run: ['on', 'identity'] must hold on and off"),
        ({"ablation__run": ["on", "off", "on"]}, "ablation.run: ['on', 'off', 'on'] must hold on and off"),
        ({"ablation__seeds": [1, 1]}, "ablation.seeds: [1, 1] must be different numbers"),
        ({"ablation__seeds": [-1]}, "ablation.seeds: [-1] must be different numbers, none negative"),
        ({"ablation__seeds": []}, "ablation.seeds: [] is not possible"),
        ({"ablation__goals__rank_ic": -0.1}, "ablation.goals.rank_ic: -0.1 is not possible"),
        ({"ablation__goals__sharpe": 0.1}, "ablation.goals.sharpe: unknown key; did you mean 'sharpe_net'?"),
        (
            {"ablation__variants__on__grph": "as_is"},
            "ablation.variants.on.grph: unknown key; did you mean 'graph'?",
        ),
        ({"ablation__variants__on__graph": "random"}, "ablation.variants.on.graph: 'random' is not possible"),
        (
            {"ablation__variants__mean__scores": ...},
            "ablation.variants.mean.scores: missing; write it in conf/base",
        ),
        (
            {"ablation__variants": {True: {}, False: {}}},
            'ablation.variants: YAML reads a bare on and off as true and false; write "on" and "off"',
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


def test_a_bare_on_in_a_list_is_the_variant_that_is_meant():
    # YAML 1.1 reads [on, off] as [true, false].
    settings = settings_of(ablation__run=[True, False, "mean"])["ablation"]
    assert AblationParams.model_validate(settings).run == ("on", "off", "mean")


def test_settings_are_laid_over_others_to_the_depth_that_is_written():
    base = {"a": {"b": 1, "c": [1, 2]}, "d": 3}
    assert overlaid(base, {"a": {"c": [5]}}) == {"a": {"b": 1, "c": [5]}, "d": 3}
    assert overlaid(base, {"a": 0}) == {"a": 0, "d": 3}
    assert base == {"a": {"b": 1, "c": [1, 2]}, "d": 3}


def test_the_model_of_an_variant_is_as_typed_as_the_section():
    variant = resolved()["on"]
    assert isinstance(variant.training.model, ModelParams)
    assert hash(variant.training) == hash(resolved()["on"].training)
