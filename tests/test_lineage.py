"""What was made under other settings or from other inputs is refused before anything runs, and said in one sentence."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kedro.framework.project import configure_project, pipelines
from kedro.io import DataCatalog

from gogooku_kedro.datasets.integrity import CHECKSUMS, read_seal
from gogooku_kedro.desk_commands import MONITORED
from gogooku_kedro.hooks import FitsSettings, SettingsError
from gogooku_kedro.lineage import READS, Lineage, reasons
from gogooku_kedro.params import SECTIONS, Section
from gogooku_kedro.params.base import flatten
from gogooku_kedro.pipelines.stage import STAGES
from tests.conftest import entries_of, kedro, settings_of


@pytest.fixture(autouse=True, scope="module")
def _project():
    configure_project("gogooku_kedro")


class Root:
    """A data root in which a file of its name and origin stands for every artefact; nothing is computed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def lineage(self, env: str = "test", runtime: dict[str, Any] | None = None, **changes: Any) -> Lineage:
        """Return what a run under changed settings sees."""
        entries = entries_of(env, data_root=str(self.folder), **(runtime or {}))
        self.catalog = DataCatalog.from_config(entries)
        return Lineage(self.catalog, settings_of(env, **changes), env)

    def make(self, *stages: str, content: str = "", lineage: Lineage | None = None, **changes: Any) -> None:
        """Store what stages would."""
        lineage = lineage or self.lineage(**changes)
        for node in sum(pipelines[stage] for stage in stages).nodes:
            lineage.announce(node)
            for name in node.outputs:
                dataset = self.catalog[name]
                if not hasattr(dataset, "origin"):
                    continue
                dataset = getattr(dataset, "_wrapped", dataset)
                path = Path(dataset._filepath)
                path /= {"ensemble": "config.json"}.get(name, CHECKSUMS if path.suffix == ".zarr" else "")
                path.parent.mkdir(parents=True, exist_ok=True)
                held = [name, dataset.origin["made"], content]
                path.write_text(json.dumps({"checksums": {"c/0": held}} if path.name == CHECKSUMS else held))
                dataset._seal(Path(dataset._filepath))


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    root = Root(tmp_path_factory.mktemp("lineage") / "data")
    root.make("__default__", "tuning", "walk_forward", "ablation", "explanation", "inference")
    return root.folder


@pytest.fixture
def root(made, tmp_path) -> Root:
    return Root(Path(shutil.copytree(made, tmp_path / "data")))


def refused(lineage: Lineage, pipeline: str) -> str:
    """The sentence for a pipeline; empty where it may run."""
    try:
        assert lineage.check(lineage.read_by(pipelines[pipeline])) == []
    except ValueError as error:
        return str(error)
    return ""


FAMILIES = ["volume", "liquidity"]
CHANGES = [
    # setting, value, pipeline, the pipelines to run before it
    ("ingestion.max_move", 0.4, "graph", "ingestion"),
    ("ingestion.max_move", 0.4, "features", "ingestion,graph"),
    ("ingestion.max_move", 0.4, "training", "ingestion,graph,features"),
    ("ingestion.calendar", None, "walk_forward", "ingestion,graph,features"),
    ("features.clip", 5.0, "training", "features"),
    ("features.clip", 5.0, "inference", "features,training"),
    ("features.clip", 5.0, "walk_forward", "features"),
    ("features.min_history", 40, "training", "features"),
    ("features.min_history", 40, "walk_forward", ""),  # the folds choose their universe themselves
    ("features.families", FAMILIES, "ablation", "features"),
    ("features.families", FAMILIES, "graph", ""),
    ("labels.entry", "close", "training", "features"),
    ("labels.entry", "close", "graph", ""),
    ("labels.entry", "close", "evaluation", "features,training,baselines"),
    ("labels.entry", "close", "report", "features,training,baselines,evaluation"),
    ("labels.delisting", "last_price", "walk_forward", "features"),
    ("split.purge_sessions", 30, "training", "features"),
    ("split.purge_sessions", 30, "ablation", ""),  # it splits by itself
    ("graph.k", 9, "training", "graph,features"),
    ("graph.k", 9, "features", "graph"),
    ("graph.k", 9, "graph", ""),
    ("model.hidden_size", 32, "training", ""),
    ("model.hidden_size", 32, "evaluation", "training,baselines"),
    ("model.hidden_size", 32, "explanation", "training"),
    ("model.window", 10, "training", "features"),
    ("model.quantiles", [0.1, 0.5, 0.9], "baselines", "training"),
    ("training.max_epochs", 3, "training", ""),
    ("training.max_epochs", 3, "inference", "training"),
    ("training.max_epochs", 3, "report", "training,baselines,evaluation"),
    ("training.loss.ic_weight", 0.5, "evaluation", "training,baselines"),
    ("evaluation.cost_bps", 5.0, "evaluation", ""),
    ("evaluation.cost_bps", 5.0, "report", "evaluation"),
    ("evaluation.factors.number", 10, "evaluation", "baselines"),
    ("evaluation.seed", 1, "evaluation", "baselines"),
]


def test_a_setting_of_every_section_that_another_stage_reads_is_tried():
    tried = {setting.partition(".")[0] for setting, *_ in CHANGES}
    others = {"debug", "walk_forward", "ablation", "tuning", "explanation", "inference", "jquants", "daily"}
    assert tried == SECTIONS.keys() - others


@pytest.mark.parametrize(("setting", "value", "pipeline", "stages"), CHANGES)
def test_a_changed_setting_is_refused_until_the_named_pipelines_ran(root, setting, value, pipeline, stages):
    changes = {setting.replace(".", "__"): value}
    sentence = refused(root.lineage(**changes), pipeline)
    if not stages:
        assert sentence == ""
        return
    section = setting.partition(".")[0]
    of_section = SECTIONS[section].model_validate(settings_of("test")[section])
    before = flatten({section: of_section.identity()})[setting]
    assert f"{setting} was {json.dumps(before)} then and is {json.dumps(value)} now" in sentence
    assert f": kedro run --pipelines={stages} --env test; or insist with --params stale=allow" in sentence
    assert "\n" not in sentence
    insisting = root.lineage(**changes, stale="allow")
    assert insisting.check(insisting.read_by(pipelines[pipeline]))
    root.make(*stages.split(","), **changes)
    assert refused(root.lineage(**changes), pipeline) == ""
    assert setting in refused(root.lineage(), pipeline)  # and back


NO_EFFECT = {
    "training__checkpoint_dir": "/elsewhere",
    "training__keep_checkpoints": 9,
    "training__device": "auto",
    "training__compile": True,
    "graph__cache_dir": None,
    "graph__checks__degree_min": 9.0,
    "features__workers": 7,
    "features__engine": "dask",
    "debug__gat_verbose": True,
    "walk_forward__folder": "/elsewhere",
}


@pytest.mark.parametrize("pipeline", STAGES)
def test_settings_without_effect_and_those_of_the_studies_make_nothing_stale(root, pipeline):
    studies = {"ablation__seeds": [7], "explanation__seed": 3, "walk_forward__folds": 3, "tuning__trials": 9}
    assert refused(root.lineage(**NO_EFFECT, **studies), pipeline) == ""


def test_trials_that_were_counted_make_nothing_stale(root):
    root.make("tuning", "evaluation", tuning__trials=2)
    assert refused(root.lineage(tuning__trials=9), "report") == ""
    root.make("tuning", content="newer", tuning__trials=9)
    assert refused(root.lineage(tuning__trials=9), "report") == ""


def test_a_run_of_everything_reads_nothing_that_is_stored(root):
    lineage = root.lineage(features__clip=5.0, labels__entry="close", ingestion__max_move=0.4)
    assert lineage.read_by(pipelines["__default__"]) == set()


def test_a_run_from_a_node_on_is_held_against_what_that_node_reads(root):
    later = pipelines["training"].from_nodes("training.predict_scores")
    lineage = root.lineage(training__max_epochs=3)
    with pytest.raises(ValueError, match=r"training\.max_epochs was 2 then and is 3 now.*--pipelines=training --env"):
        lineage.check(lineage.read_by(later))
    assert refused(root.lineage(training__max_epochs=3), "training") == ""


def test_a_trained_model_ranks_newer_data_and_old_predictions_are_not_measured_on_them(root):
    root.make("data", content="newer")
    assert refused(root.lineage(), "inference") == ""
    assert refused(root.lineage(), "explanation") == ""
    sentence = refused(root.lineage(), "evaluation")
    assert "; predictions was made from another feature_manifest, features, " in sentence
    assert "kedro run --pipelines=training,baselines --env test;" in sentence


def test_a_ranking_that_ships_the_blend_is_held_against_its_settings(root):
    assert refused(root.lineage(evaluation__blend="valid"), "inference") == ""
    sentence = refused(root.lineage(evaluation__blend="valid", inference__scores="blend"), "inference")
    assert 'evaluation.blend was "equal" then and is "valid" now' in sentence
    assert "--pipelines=baselines --env test;" in sentence


def test_new_predictions_are_not_measured_before_they_are_stacked(root):
    root.make("training", content="newer")
    assert "--pipelines=baselines --env test;" in refused(root.lineage(), "evaluation")
    root.make("baselines", content="newer")
    assert refused(root.lineage(), "evaluation") == ""


def test_what_was_made_by_insisting_is_refused_until_it_is_made_anew(root):
    root.make("training", lineage=root.lineage(features__clip=5.0, stale="allow"))
    assert "features.clip was 8.0 then and is 5.0 now" in refused(root.lineage(features__clip=5.0), "inference")


def test_the_strength_of_the_planted_signal_is_a_setting(root):
    sentence = refused(root.lineage(runtime={"signal_strength": 0}), "training")
    assert "sample_market.signal_strength was 1.0 then and is 0.0 now" in sentence
    assert "--pipelines=ingestion,graph,features --env test;" in sentence


@pytest.fixture
def prices(tmp_path) -> Callable[..., dict[str, str]]:
    def write(text: str = "date,code\n") -> dict[str, str]:
        (tmp_path / "prices.csv").write_text(text)
        return {"ohlcv_path": str(tmp_path / "prices.csv")}

    return write


def test_a_root_of_the_sample_market_is_not_read_as_one_of_a_price_file(root, prices):
    sentence = refused(root.lineage("ohlcv", prices()), "graph")
    assert 'raw_bars.type was "SampleMarketDataset" then and is "OhlcvFileDataset" now' in sentence
    assert "--pipelines=ingestion --env ohlcv;" in sentence


def test_a_price_file_that_changed_is_ingested_again_and_one_that_is_not_named_is_not_missed(root, prices):
    root.make("data", lineage=root.lineage("ohlcv", prices()))
    assert refused(root.lineage("ohlcv", prices()), "training") == ""
    assert refused(root.lineage("ohlcv"), "training") == ""
    assert "raw_bars.content was " in refused(root.lineage("ohlcv", prices("date,code\n1,1\n")), "training")


def test_a_morning_is_monitored_with_what_was_made_of_fewer_sessions_and_not_of_other_settings(root, prices):
    root.make("__default__", lineage=root.lineage("ohlcv", prices()))
    longer = prices("date,code\n1,1\n")
    with pytest.raises(ValueError, match=r"raw_bars\.content was "):
        root.lineage("ohlcv", longer).check(MONITORED)
    assert root.lineage("ohlcv", longer).check(MONITORED, applied=MONITORED) == []
    with pytest.raises(ValueError, match=r"features.clip was 8.0 then and is 5.0 now"):
        root.lineage("ohlcv", longer, features__clip=5.0).check(MONITORED, applied=MONITORED)


def test_what_does_not_say_of_what_it_is_is_refused(root):
    dataset = root.lineage() and root.catalog["features"]
    dataset._seal(Path(dataset._filepath))
    assert "features does not say of what it is: " in refused(root.lineage(), "training")


def test_the_hook_refuses_before_the_run_and_lets_an_insisting_one_pass(root):
    def begin(**changes):
        root.lineage()
        settings = settings_of("test", labels__entry="close", **changes)
        root.catalog["parameters"] = {
            name: SECTIONS[name].model_validate(value) if name in SECTIONS else value
            for name, value in settings.items()
        }
        FitsSettings().before_pipeline_run(
            run_params={"env": "test"}, pipeline=pipelines["evaluation"], catalog=root.catalog
        )

    with pytest.raises(SettingsError, match=r"labels\.entry was \"next_open\" then and is \"close\" now"):
        begin()
    begin(stale="allow")


def test_seals_hold_settings_and_the_hashes_of_inputs(root):
    features = root.folder / "05_model_input/features.zarr"
    seal = read_seal(features)
    assert seal["origin"]["inputs"].keys() == {"raw_features", "panel", "feature_manifest"}
    assert seal["origin"]["inputs"]["panel"] == read_seal(root.folder / "03_primary/panel.zarr")["sha256"]
    assert seal["origin"]["made"]["features.normalise_features"] == {"features.min_history": 30}
    assert seal["origin"]["made"]["ingestion.standardise_bars"]["sample_market.n_codes"] == 60


def test_every_difference_is_listed_for_verifying(root):
    lineage = root.lineage(features__clip=5.0, labels__entry="close", graph__k=9, model__hidden_size=32)
    listed = " ".join(reasons(lineage.mismatches(pipelines["__default__"].all_outputs())))
    assert all(name in listed for name in ("features.clip", "labels.entry", "graph.k", "model.hidden_size"))
    more = root.lineage(
        features__clip=5.0,
        graph__k=9,
        labels__entry="close",
        labels__delisting="last_price",
        model__hidden_size=32,
        training__max_epochs=3,
    )
    assert "; and 1 more. Make it anew" in refused(more, "evaluation")


def given(root, name, settings):
    """A section of the settings, what is stored under a name, or what its node makes of what is stored."""
    section = name.removeprefix("params:")
    if section != name:
        return SECTIONS[section].model_validate(settings[section])
    if root.catalog.exists(name):
        return root.catalog.load(name)
    (node,) = {node for node in sum(pipelines.values()).nodes if name in node.outputs}
    made = node.func(*(given(root, each, settings) for each in node.inputs))
    return made[node.outputs.index(name)] if len(node.outputs) > 1 else made


@pytest.mark.pipeline
@pytest.mark.parametrize("name", sorted(READS.keys() - {"train_model"}))
def test_a_node_reads_no_setting_beyond_what_its_line_says(finished_run, monkeypatch, name):
    lineage_root = Root(finished_run)
    lineage_root.lineage()
    (node,) = (node for node in sum(pipelines.values()).nodes if node.short_name == name)
    settings = settings_of("test", data_root=str(finished_run))
    inputs, read = [given(lineage_root, each, settings) for each in node.inputs], set()
    paths = {id(value): key.removeprefix("params:") for key, value in zip(node.inputs, inputs, strict=True)}
    plain = Section.__getattribute__

    def recorded(section, field):
        value = plain(section, field)
        if field in type(section).model_fields and id(section) in paths:
            path = f"{paths[id(section)]}.{field}"
            if isinstance(value, Section):
                paths[id(value)] = path
            else:
                read.add(path)
        return value

    monkeypatch.setattr(Section, "__getattribute__", recorded)
    result = node.func(*inputs)
    if hasattr(result, "__next__"):
        next(block for block in result if read)
    monkeypatch.undo()
    without_effect = {f"features.{field}" for field in ("engine", "scheduler", "workers", "memory_mb")}
    without_effect |= {"training.device"}
    allowed = (*READS[name], *without_effect)
    assert read
    assert {path for path in read if not any(path == a or path.startswith(f"{a}.") for a in allowed)} == set()


@pytest.mark.pipeline
def test_a_false_label_is_refused_in_one_line_or_shown_in_metrics_report_and_card(finished_run, tmp_path):
    data = Path(shutil.copytree(finished_run, tmp_path / "data"))
    record = (data / "08_reporting/run_record.json").read_bytes()

    def run(name: str, *more: str, expect: int = 0) -> str:
        params = ",".join((f"data_root={data}", "labels.limit_entry=traded", *more))
        return kedro("run", "--env", "test", f"--pipelines={name}", "--params", params, expect=[expect]).stdout

    reason = 'labels.limit_entry was "missing" then and is "traded" now'
    lines = [line for line in run("evaluation", expect=1).splitlines() if "No nodes ran" not in line and line.strip()]
    assert len(lines) == 1
    assert reason in lines[0]
    assert (data / "08_reporting/run_record.json").read_bytes() == record
    assert reason in run("evaluation", "stale=allow")
    run("report", "stale=allow")
    metrics = json.loads((data / "08_reporting/metrics.json").read_text())
    assert metrics["run"]["stale"] == [reason]
    for page in ("report.html", "model_card.md"):
        assert "Made with stale=allow" in (data / "08_reporting" / page).read_text()
    found = kedro("verify", "--env", "test", "--params", f"data_root={data},labels.limit_entry=traded", expect=[1])
    assert reason in found.stdout
