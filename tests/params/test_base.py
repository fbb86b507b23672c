"""Which settings change a result is said at the field, and names of earlier versions go on working."""

import logging
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Annotated, Any, Literal, get_args, get_origin

import pytest
import yaml
from click.testing import CliRunner
from kedro.config import OmegaConfigLoader
from pydantic import BaseModel

from gogooku_kedro.ablation.variants import variant_problems
from gogooku_kedro.cli import cli
from gogooku_kedro.params import SECTIONS, AblationParams, FeaturesParams, GraphParams, TrainingParams
from gogooku_kedro.params.base import Section, say_renamed
from gogooku_kedro.settings import CONFIG_LOADER_ARGS
from gogooku_kedro.validation import configuration_problems
from tests.conftest import ROOT, settings_of

MARKED = {
    *("features.engine", "features.scheduler", "features.workers", "features.memory_mb"),
    *("graph.checks", "graph.cache_dir", "training.checkpoint_dir", "training.keep_checkpoints"),
    *("training.market_memory", "training.cuda_graphs", "training.processes"),
    *("debug.gat_verbose", "walk_forward.folder", "ablation.walk_forward.folder"),
    *("tuning.walk_forward.folder", "tuning.export_to"),
    *("daily.rankings", "daily.sessions"),
    "evaluation.monitoring",
}
"""Places, portions, logs and reports; whoever marks another field has to defend it here."""


SAMPLES = {str: "x", int: 7, float: 0.5, date: date(2021, 6, 30)}
ANOTHER = {
    bool: lambda value: not value,
    int: lambda value: value + 1,
    float: lambda value: value + 1,
    str: lambda value: f"{value}x",
    date: lambda value: value + timedelta(days=1),
    dict: lambda value: value | {"another": "robust_z"},
}


def another(value: Any, annotation: Any) -> Any:
    """A value of the same type that differs from `value`."""
    choices = get_args(annotation)
    if value is None or value is ...:
        return SAMPLES[plain_type(choices[0] if choices else annotation)]
    if get_origin(annotation) is Literal:
        return next(choice for choice in choices if choice != value)
    if isinstance(value, tuple):
        return (another(value[0] if value else ..., choices[0]), *value[1:])
    return ANOTHER[type(value)](value)


def plain_type(annotation: Any) -> type:
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def changes(section: Section, path: str) -> Iterator[tuple[str, Section]]:
    """Every field below a section: its path, and the section with this field changed and nothing else."""
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        for below, update in inner(value, f"{path}.{name}", field.annotation):
            yield below, section.model_copy(update={name: update})


def inner(value: Any, path: str, annotation: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, BaseModel):
        yield from changes(value, path)
    elif isinstance(value, tuple) and value and isinstance(value[0], BaseModel):
        yield from ((below, (first, *value[1:])) for below, first in changes(value[0], path))
        yield path, value[:-1]
    elif isinstance(value, dict) and value and isinstance(next(iter(value.values())), BaseModel):
        name = next(iter(value))
        yield from ((below, value | {name: entry}) for below, entry in changes(value[name], f"{path}.*"))
        yield path, {key: entry for key, entry in value.items() if key != name}
    else:
        yield path, another(value, annotation)


def is_marked(path: str) -> bool:
    return any(path == marked or path.startswith(f"{marked}.") for marked in MARKED)


def sections() -> dict[str, Section]:
    settings = settings_of()
    return {name: section.model_validate(settings[name]) for name, section in SECTIONS.items()}


EVERY = [pytest.param(name, *change, id=change[0]) for name, own in sections().items() for change in changes(own, name)]


@pytest.mark.parametrize(("name", "path", "changed"), EVERY)
def test_every_field_is_marked_or_changes_the_identity(name, path, changed):
    section = sections()[name]
    assert changed != section
    assert (changed.identity() == section.identity()) == is_marked(path)


def test_every_class_of_settings_is_among_those_that_were_changed():
    def classes(of: type) -> set[type]:
        return {of}.union(*map(classes, of.__subclasses__()))

    def reached(value: Any) -> set[type]:
        if isinstance(value, BaseModel):
            return {type(value)}.union(*(reached(getattr(value, name)) for name in type(value).model_fields))
        entries = value.values() if isinstance(value, dict) else value if isinstance(value, tuple) else ()
        return set().union(*map(reached, entries))

    of_the_package = {of for of in classes(Section) if of.__module__.startswith("gogooku_kedro.params.")}
    assert set().union(*map(reached, sections().values())) >= of_the_package - {Section}


def test_an_identity_is_made_of_json_types_at_every_depth():
    identity = sections()["ablation"].identity()
    assert identity["seeds"] == [0, 1, 2]
    assert identity["variants"]["pca_neutral"] == settings_of()["ablation"]["variants"]["pca_neutral"]
    assert "folder" not in identity["walk_forward"]
    assert sections()["split"].identity()["train_end"] == "2021-06-30"
    assert sections()["debug"].identity() == {}


def test_the_seeds_of_an_ensemble_take_the_place_of_the_seed():
    training = sections()["training"]
    assert training.identity()["seeds"] == [training.seed]
    ensemble = training.model_copy(update={"seeds": (0, 1)})
    assert ensemble.identity()["seeds"] == [0, 1]
    assert ensemble.model_copy(update={"seed": 9}).identity() == ensemble.identity()
    assert isinstance(training, TrainingParams)


def test_a_field_that_has_no_effect_on_one_result_can_be_left_out():
    graph = sections()["graph"]
    left = graph.identity().keys() - graph.identity(without={"cadence"}).keys()
    assert left == {"cadence"}


@pytest.fixture
def warnings_told(caplog) -> pytest.LogCaptureFixture:
    say_renamed.cache_clear()
    caplog.set_level(logging.WARNING, logger="gogooku_kedro.params.base")
    return caplog


RENAMED = [(AblationParams, "arms", "variants"), (FeaturesParams, "gates", "checks"), (GraphParams, "gates", "checks")]


@pytest.mark.parametrize(("section", "old", "new"), RENAMED)
def test_a_key_of_an_earlier_version_is_read_and_the_new_name_told_once(section, old, new, warnings_told):
    name = next(name for name, of in SECTIONS.items() if of is section)
    today = settings_of()[name]
    before = {key: value for key, value in today.items() if key != new} | {old: today[new]}
    assert section.model_validate(before) == section.model_validate(today) == section.model_validate(before)
    told = [record.getMessage() for record in warnings_told.records]
    assert told.count(f"{section.__name__}: {old!r} is called {new!r} now; rename it") == 1


def environment(folder, **parameters: Any) -> dict[str, Any]:
    """Merged parameters of the project's `base` and an environment that holds `parameters` alone."""
    (folder / "mine").mkdir()
    (folder / "base").symlink_to(ROOT / "conf" / "base")
    (folder / "mine" / "parameters.yml").write_text(yaml.safe_dump(parameters))
    return dict(OmegaConfigLoader(str(folder), env="mine", **CONFIG_LOADER_ARGS)["parameters"])


def test_an_environment_may_change_one_variant_under_the_earlier_name(tmp_path, warnings_told):
    written = environment(tmp_path, ablation={"arms": {"heads_8": {"model": {"gat": {"heads": 16}}}}})
    assert configuration_problems(written) == []
    ablation = AblationParams.model_validate(written["ablation"])
    base = sections()["ablation"]
    assert ablation.variants["heads_8"].model == {"gat": {"heads": 16}}
    others = ablation.variants.keys() - {"heads_8"}
    assert {name: ablation.variants[name] for name in others} == {name: base.variants[name] for name in others}
    assert variant_problems(written) == []
    assert warnings_told.text.count("'arms' is called 'variants' now; rename it") == 1


def test_an_environment_may_change_one_check_under_the_earlier_name(tmp_path, warnings_told):
    written = environment(tmp_path, features={"gates": {"on_failure": "fail"}}, graph={"gates": {"degree_min": 2}})
    assert configuration_problems(written) == []
    features, graph = (
        of.model_validate(written[name]) for name, of in (("features", FeaturesParams), ("graph", GraphParams))
    )
    assert features.checks == sections()["features"].checks.model_copy(update={"on_failure": "fail"})
    assert graph.checks == sections()["graph"].checks.model_copy(update={"degree_min": 2.0})
    assert warnings_told.text.count("'gates' is called 'checks' now") == 2


def test_a_family_of_an_earlier_version_is_read_under_its_name_of_today(tmp_path, warnings_told):
    families = {
        "families": ["returns", "peers"],
        "sector_neutral": ["peers"],
        "normalisation_of": {"peers": "robust_z"},
    }
    written = environment(tmp_path, features=families)
    assert configuration_problems(written) == []
    features = FeaturesParams.model_validate(written["features"])
    assert features.families == ("returns", "neighbours")
    assert features.sector_neutral == ("neighbours",)
    assert features.normalisation_of == {"neighbours": "robust_z"}
    assert [record.getMessage() for record in warnings_told.records] == [
        f"features.{field}: 'peers' is called 'neighbours' now; rename it"
        for field in ("families", "normalisation_of", "sector_neutral")
    ]


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (
            {"features": {"gates": {"constant_shar": 0.1}}},
            "features.checks.constant_shar: unknown key; did you mean 'constant_share'? The keys of features.checks "
            "are on_failure, constant_share, duplicate_correlation",
        ),
        (
            {"ablation": {"arms": {"heads_8": {"grph": "identity"}}}},
            "ablation.variants.heads_8.grph: unknown key; did you mean 'graph'? The keys of ablation.variants.heads_8 "
            "are model, graph, scores",
        ),
        (
            {"ablation": {"variants": {"graph": {"model": {}, "graph": "as_is", "scores": "raw", "grph": 1}}}},
            "ablation.variants.graph.grph: unknown key; did you mean 'graph'? The keys of ablation.variants.graph are",
        ),
        ({"graph": {"checkz": {}}}, "graph.checkz: unknown key; did you mean 'checks'?"),
    ],
)
def test_an_unknown_key_below_an_earlier_name_is_told_under_the_new_one(tmp_path, parameters, message):
    (problem,) = configuration_problems(environment(tmp_path, **parameters))
    assert problem.startswith(message)


def test_the_command_accepts_an_earlier_name(tmp_path, warnings_told):
    environment(tmp_path, ablation={"arms": {"heads_8": {"model": {"gat": {"heads": 16}}}}})
    found = CliRunner().invoke(cli, ["validate-config", "--conf-source", str(tmp_path), "--env", "mine"])
    assert found.exit_code == 0
    assert "configuration of environment mine is valid" in found.output
    assert "'arms' is called 'variants' now; rename it" in warnings_told.text
