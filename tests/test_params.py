"""Settings: what is possible, what is not, and what the message says."""

import pytest
from pydantic import ValidationError

from gogooku_kedro.params import SECTIONS, GatParams, ModelParams, check_top_level
from gogooku_kedro.validation import configuration_problems
from tests.conftest import settings_of

OFF = {"enabled": False, "edge_weight_penalty": 0, "attention_entropy_penalty": 0}


def problems(**changes) -> list[str]:
    return configuration_problems(settings_of(**changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"model__gat__haeds": 4},
            "model.gat.haeds: unknown key; did you mean 'heads'? The keys of model.gat are",
        ),
        ({"graph__treshold": 0.1}, "graph.treshold: unknown key; did you mean 'threshold'?"),
        (
            {"training__loss__zzz": 1},
            "training.loss.zzz: unknown key; The keys of training.loss are mse_weight",
        ),
        ({"model__window": ...}, "model.window: missing; write it in conf/base/parameters*.yml"),
        ({"model__fan__top_k": ...}, "model.fan.top_k: missing"),
        ({"evaluation": ...}, "evaluation: the section is missing; write it in conf/base/parameters*.yml"),
        ({"labels": None}, "labels: None is not possible"),
        ({"modle": {}}, "unknown top-level parameter 'modle' (did you mean 'model'?)"),
        (
            {"training__device": "gpu"},
            "training.device: 'gpu' is not possible: Input should be 'auto', 'cpu' or",
        ),
        (
            {"labels__entry": "open"},
            "labels.entry: 'open' is not possible: Input should be 'next_open' or 'close'",
        ),
        (
            {"labels__residual": "size"},
            "labels.residual: 'size' is not possible; write one of none, market, sector, pca, or a list of 4 "
            "for the horizons 1, 5, 10, 20",
        ),
        (
            {"labels__residual": ["pca", "none"]},
            "labels.residual: ['pca', 'none'] is not possible; write one",
        ),
        (
            {"labels__residual": ["pca", "none", "none", ["none"]]},
            "labels.residual: ['pca', 'none', 'none', ['none']] is not possible; write one",
        ),
        ({"labels__residual": ...}, "labels.residual: missing; write it in"),
        (
            {"labels__pca_factors": 61},
            "labels.pca_factors: 61 exceeds half of labels.residual_window (120); lower it or widen",
        ),
        (
            {"model__gat__heads": 7, "model__hidden_size": 16},
            "model.gat.heads: 7 does not divide model.hidden_size (16); choose a divisor such as 8",
        ),
        (
            {"model__temporal__heads": 5},
            "model.temporal.heads: 5 does not divide model.hidden_size (32); choose a divisor such as 4",
        ),
        ({"model__gat__regularization": ...}, "model.gat.regularization is missing: write it out"),
        ({"model__gat__regularization": None}, "model.gat.regularization is missing: write it out"),
        (
            {"model__gat__use_in_training": False},
            "model.gat.use_in_training: false while model.gat.enabled is true",
        ),
        (
            {"model__gat__regularization__edge_weight_penalty": 0},
            "model.gat.regularization.edge_weight_penalty: 0 with regularization enabled; set a positive "
            "value, or model.gat.regularization.enabled: false",
        ),
        (
            {"model__gat__regularization__attention_entropy_penalty": 0.0},
            "model.gat.regularization.attention_entropy_penalty: 0 with regularization enabled",
        ),
        ({"model__san__slices": 3}, "model.san.slices: 3 must divide model.window (20)"),
        ({"model__san__slices": 20}, "model.san.slices: 20 must divide model.window (20) into slices of two"),
        (
            {"model__fan__top_k": 11},
            "model.fan.top_k: 11 leaves no residual in a window of 20 sessions; choose at most 10",
        ),
        (
            {"model__window": 60, "model__fan__top_k": 11},
            "model.fan.top_k: 11 leaves no residual in the coming 20 sessions; choose at most 10",
        ),
        (
            {"model__window": 60, "model__san__slices": 2},
            "model.san.slices: slices of 30 sessions are longer than the 20 sessions ahead",
        ),
        (
            {"model__gat__learned_graph__enabled": True, "model__gat__learned_graph__penalty": 0},
            "model.gat.learned_graph.penalty: 0 with the learned graph enabled; set a positive value",
        ),
        (
            {
                "model__gat__learned_graph__enabled": True,
                "model__gat__conv": "sage",
                "model__gat__difference": False,
                "model__gat__neutralise_scores": False,
            },
            "model.gat.learned_graph.enabled: true with model.gat.conv: sage, which reads no edge attributes",
        ),
        ({"debug__gat_verbos": True}, "debug.gat_verbos: unknown key; did you mean 'gat_verbose'?"),
        (
            {"model__quantiles": [0.5, 0.25]},
            "model.quantiles: [0.5, 0.25] must increase strictly inside (0, 1)",
        ),
        ({"model__quantiles": [0.5, 0.5]}, "model.quantiles"),
        ({"model__quantiles": [0.0, 0.5]}, "model.quantiles"),
        ({"model__quantiles": [0.5, 1.0]}, "model.quantiles"),
        (
            {"split__train_end": "tomorrow"},
            "split.train_end: 'tomorrow' is neither a date such as 2021-06-30 nor auto",
        ),
        ({"split__valid_end": 2021}, "split.valid_end: 2021 is neither a date"),
        (
            {"graph__min_observations": 121},
            "graph.min_observations: 121 exceeds graph.window (120); lower it or widen",
        ),
        (
            {"graph__residual": "pca", "graph__pca_factors": 89},
            "graph.pca_factors: 89 cannot be taken out of graph.min_observations (90) returns; use at most 8",
        ),
        (
            {"graph__max_degree": 7},
            "graph.max_degree: 7 is below graph.k (8), which could never be reached; raise it",
        ),
        (
            {"graph__checks__degree_min": 40},
            "graph.checks.degree_min: 40 is not below graph.checks.degree_max (40); lower it or raise",
        ),
        (
            {"walk_forward__scheme": "rolling"},
            "walk_forward.train_sessions: null with walk_forward.scheme: rolling; write the sessions",
        ),
        (
            {"walk_forward__train_sessions": 500},
            "walk_forward.train_sessions: 500 with walk_forward.scheme: expanding, which trains on all",
        ),
        ({"graph__symmetric": True}, "graph.symmetric: unknown key; The keys of graph are window,"),
        ({"graph__cache_dir": ...}, "graph.cache_dir: missing; write it in conf/base/parameters*.yml"),
    ],
)
def test_a_wrong_setting_is_named_with_its_path_and_the_fix(changes, message):
    (problem,) = problems(**changes)
    assert problem.startswith(message)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("model__hidden_size", 0),
        ("model__window", 1),
        ("model__dropout", 1.0),
        ("model__dropout", -0.1),
        ("model__quantiles", []),
        ("model__gat__edge_attributes", []),
        ("model__gat__edge_dropout", 1.0),
        ("model__gat__conv", "gcn"),
        ("model__gat__layers", 0),
        ("model__gat__layers", 4),
        ("model__gat__norm", "batch"),
        ("model__gat__diffusion__hops", 1),
        ("model__gat__diffusion__restart", 1.0),
        ("model__gat__learned_graph__k", 0),
        ("model__market_gate__temperature", 0),
        ("model__temporal__local_encoder", "gru"),
        ("model__gat__regularization__edge_weight_penalty", -0.01),
        ("model__san__slices", 1),
        ("features__families", []),
        ("features__normalisation", "z"),
        ("features__clip", 0),
        ("features__min_history", 0),
        ("features__leak_cap", 0),
        ("features__leak_cap", 1.01),
        ("labels__limit_entry", "never"),
        ("labels__delisting", "zero"),
        ("labels__residual_window", 19),
        ("labels__pca_factors", 0),
        ("labels__pca_cadence", 0),
        ("split__purge_sessions", 0),
        ("graph__threshold", 1.0),
        ("graph__threshold", -0.1),
        ("graph__k", 0),
        ("graph__cadence", 0),
        ("graph__residual", "size"),
        ("graph__window", 2),
        ("graph__min_observations", 2),
        ("graph__pca_factors", 0),
        ("graph__correlation", "kendall"),
        ("graph__half_life", 0),
        ("graph__join", "both"),
        ("graph__max_degree", 0),
        ("graph__sector_nearest", -1),
        ("graph__lead_lag__fdr", 0),
        ("graph__lead_lag__fdr", 1),
        ("graph__lead_lag__k", 0),
        ("graph__checks__degree_min", -1),
        ("graph__checks__isolates_max", 0),
        ("ingestion__max_move", 0),
        ("training__precision", "16"),
        ("training__seed", -1),
        ("training__max_epochs", 0),
        ("training__patience", 0),
        ("training__chunk_days", 0),
        ("training__learning_rate", 0),
        ("training__weight_decay", -1e-9),
        ("training__gradient_clip", 0),
        ("training__ema_decay", 1.0),
        ("training__loss__ic_weight", -1),
        ("evaluation__cost_bps", -1),
        ("evaluation__sessions_per_year", 0),
        ("evaluation__bootstrap_samples", 0),
        ("walk_forward__scheme", "sliding"),
        ("walk_forward__folds", 0),
        ("walk_forward__test_sessions", 19),
        ("walk_forward__valid_sessions", 19),
        ("walk_forward__train_sessions", 19),
        ("walk_forward__embargo_sessions", -1),
    ],
)
def test_a_value_out_of_range_is_named_with_its_path(path, value):
    (problem,) = problems(**{path: value})
    assert problem.startswith(path.replace("__", "."))
    assert " is not possible: " in problem


@pytest.mark.parametrize(
    "changes",
    [
        {"model__gat__heads": 1},
        {"model__gat__heads": 32},
        {"model__gat__heads": 8, "model__hidden_size": 64},
        {"model__gat__regularization": OFF},
        {"model__gat__enabled": False, "model__gat__use_in_training": False},
        {"model__san__slices": 10},
        {"model__san__slices": 3, "model__san__enabled": False},
        {"model__fan__top_k": 10},
        {"model__fan__top_k": 11, "model__fan__enabled": False},
        {"model__quantiles": [0.5]},
        {"model__dropout": 0.0},
        {"model__gat__norm": "none", "model__temporal__local_encoder": "none"},  # of earlier versions
        {"graph__min_observations": 120},
        {"graph__threshold": 0},
        {"graph__residual": "pca", "graph__pca_factors": 88},
        {"graph__pca_factors": 89},
        {"graph__max_degree": 8},
        {"graph__cache_dir": None},
        {"features__leak_cap": 1},
        {"labels__pca_factors": 60},
        {"labels__residual": "pca"},
        {"labels__residual": ["pca", "market", "sector", "none"]},
        {"split__train_end": "auto", "split__valid_end": "auto"},
        {"split__train_end": "2021-06-30"},
        {"training__ema_decay": 0},
        {"evaluation__cost_bps": 0},
        {"ingestion__calendar": None},
        {"walk_forward__scheme": "rolling", "walk_forward__train_sessions": 20},
        {"data_root": "/elsewhere", "ohlcv_path": "prices.csv", "signal_strength": 0.5},
    ],
)
def test_what_lies_on_the_boundary_is_possible(changes):
    assert problems(**changes) == []


def test_all_problems_are_told_at_once():
    found = problems(model__gat__haeds=4, graph__k=0, training__device="gpu", modle={})
    assert [problem.split(":")[0] for problem in found] == [
        "unknown top-level parameter 'modle' (did you mean 'model'?)",
        "graph.k",
        "model.gat.haeds",
        "training.device",
    ]


def test_a_gat_section_without_regularization_is_refused_wherever_it_is_built():
    section = settings_of()["model"]["gat"]
    del section["regularization"]
    with pytest.raises(ValidationError, match=r"model\.gat\.regularization is missing: write it out"):
        GatParams.model_validate(section)


@pytest.mark.parametrize(("hidden_size", "heads", "near"), [(16, 7, 8), (32, 5, 4), (30, 4, 3), (7, 3, 1)])
def test_the_divisor_that_is_proposed_is_the_nearest_one(hidden_size, heads, near):
    settings = settings_of(model__hidden_size=hidden_size, model__gat__heads=heads, model__temporal__heads=1)
    with pytest.raises(ValidationError, match=rf"choose a divisor such as {near}\b"):
        ModelParams.model_validate(settings["model"])


def test_settings_cannot_be_changed_after_validation():
    model = ModelParams.model_validate(settings_of()["model"])
    with pytest.raises(ValidationError, match="frozen"):
        model.hidden_size = 64


def test_no_field_has_a_default():
    def sections(section):
        yield section
        for field in section.model_fields.values():
            if hasattr(field.annotation, "model_fields"):
                yield from sections(field.annotation)

    for section in SECTIONS.values():
        for part in sections(section):
            assert all(field.is_required() for field in part.model_fields.values()), part


def test_a_section_is_shown_as_a_short_digest_that_follows_its_values():
    one, same, other = (
        ModelParams.model_validate(settings_of(model__dropout=rate)["model"]) for rate in (0.1, 0.1, 0.2)
    )
    assert str(one) == str(same) != str(other)
    assert len(str(one)) == len("ModelParams ") + 12


def test_top_level_names():
    check_top_level({*SECTIONS, "data_root", "ohlcv_path", "signal_strength"})
    with pytest.raises(ValueError, match=r"'data_rot' \(did you mean 'data_root'\?\), 'qqq': the sections"):
        check_top_level({"qqq", "data_rot"})
