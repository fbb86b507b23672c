"""The pipelines as they are wired: typed settings, names, layers, and a registry that loads in no time."""

import inspect
import json
import re
import subprocess
import sys
from graphlib import TopologicalSorter

import pytest
from kedro.pipeline import Pipeline
from kedro.validation.type_extractor import TypeExtractor

from gogooku_kedro import params
from gogooku_kedro.pipeline_registry import register_pipelines
from tests.conftest import ENVIRONMENTS, ROOT, config_loader, entries_of

LAYERS = {"raw", "intermediate", "primary", "feature", "model_input", "models", "model_output", "reporting"}
VERBS = {
    *("standardise", "build", "compute", "describe", "normalise", "make", "split", "check", "summarise"),
    *("plot", "train", "predict", "fit", "stack", "measure", "write", "rank", "fetch"),
    *("gather", "append", "choose", "score", "publish"),
}
MEMORY = {
    *(
        "market_tensors",
        "ablation_settings",
        "tuning_settings",
        "baseline_settings",
        "fold_settings",
        "oracle_predictions",
    ),
    *("market_facts", "model_facts"),
    *("studies", "report_evidence", "ranking_section", "portfolio_section", "network_section"),
    *("daily_panel", "daily_raw_features"),
    *(f"daily_{name}" for name in ("tables", "market", "model", "sessions", "facts", "scores", "publication")),
}
"""Handed from node to node, made anew by every run that needs it: tensors, settings of several sections, parts of a
report."""

RESEARCH = {"walk_forward", "ablation", "tuning", "explanation"}  # settings of pipelines beside the default one

REPORTED = {"ablation_study", "explanation_study", "walk_forward_study"}
COUNTED = {"tuning_study"}  # of which the evaluation counts the trials


@pytest.fixture(scope="module")
def pipelines():
    return register_pipelines()


def test_every_section_reaches_its_nodes_as_a_typed_object(pipelines):
    expected = {
        "ingestion": params.IngestionParams,
        "features": params.FeaturesParams,
        "labels": params.LabelsParams,
        "split": params.SplitParams,
        "graph": params.GraphParams,
        "model": params.ModelParams,
        "training": params.TrainingParams,
        "debug": params.DebugParams,
        "evaluation": params.EvaluationParams,
        "inference": params.InferenceParams,
        "walk_forward": params.WalkForwardParams,
        "explanation": params.ExplanationParams,
        "ablation": params.AblationParams,
        "tuning": params.TuningParams,
        "jquants": params.JQuantsParams,
        "daily": params.DailyParams,
    }
    assert TypeExtractor(pipelines).extract_types_from_pipelines() == expected == params.SECTIONS


def test_no_hint_of_a_node_keeps_its_settings_from_being_validated(pipelines):
    # One hint that cannot be resolved, and Kedro hands this node plain dicts, with a warning at most.
    for pipeline in pipelines.values():
        for each in pipeline.nodes:
            sections = {name.removeprefix("params:") for name in each.inputs if name.startswith("params:")}
            types = TypeExtractor({"one": Pipeline([each])}).extract_types_from_pipelines()
            assert types == {name: params.SECTIONS[name] for name in sections}, each.name


def test_the_default_pipeline_is_the_sum_of_its_stages(pipelines):
    names = ("ingestion", "features", "graph", "training", "baselines", "evaluation", "report")
    summed = sum((pipelines[name] for name in names), start=pipelines["data"])
    assert {node.name for node in pipelines["__default__"].nodes} == {node.name for node in summed.nodes}
    assert 20 <= len(pipelines["__default__"].nodes) <= 36


@pytest.mark.parametrize("name", ["walk_forward", "ablation", "tuning"])
def test_research_runs_on_what_the_data_stages_leave(pipelines, name):
    read = {dataset for dataset in pipelines[name].inputs() if not dataset.startswith("params:")}
    assert read - {"run_record"} <= pipelines["data"].all_outputs()
    both = pipelines["data"] + pipelines[name]
    assert len(both.nodes) == len(pipelines["data"].nodes) + len(pipelines[name].nodes)


@pytest.mark.parametrize("name", sorted(RESEARCH - {"tuning"}))
def test_a_report_in_the_same_run_comes_after_what_it_reads(pipelines, name):
    order = [node.short_name for node in (pipelines["report"] + pipelines[name]).nodes]
    writers = [node.short_name for node in pipelines[name].nodes if set(node.outputs) & REPORTED]
    assert len(writers) == 1
    assert order.index(writers[0]) < order.index("make_studies")


def test_the_trials_of_a_tuning_in_the_same_run_are_counted(pipelines):
    order = [node.short_name for node in (pipelines["evaluation"] + pipelines["tuning"]).nodes]
    assert order.index("summarise_trials") < order.index("measure_portfolios")


def test_of_the_research_pipelines_the_default_one_reads_one_dataset_each(pipelines):
    beside = set().union(*(pipelines[name].all_outputs() for name in RESEARCH))
    assert (beside - {"market_tensors"}) & pipelines["__default__"].datasets() == REPORTED | COUNTED


def test_nodes_are_named_verb_object_after_their_function(pipelines):
    for stage, pipeline in pipelines.items():
        for node in pipeline.nodes:
            assert node.short_name == node.func.__name__
            assert re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)+", node.short_name)
            assert node.short_name.split("_")[0] in VERBS, node.short_name
            shared = node.short_name == "build_tensors" and node.namespace == "training"
            assert stage in ("__default__", "data", node.namespace) or shared


def test_the_tensors_of_the_market_are_built_once_in_a_sum_of_pipelines(pipelines):
    names = ("data", "training", "explanation", "inference")
    summed = sum((pipelines[name] for name in names), start=Pipeline([]))
    assert [node.short_name for node in summed.nodes].count("build_tensors") == 1
    assert len(summed.nodes) == sum(len(pipelines[name].nodes) for name in names) - 2
    for name in names[1:]:
        assert "market_tensors" in pipelines[name].all_outputs()


def test_nodes_take_few_arguments(pipelines):
    nodes = {node for pipeline in pipelines.values() for node in pipeline.nodes}
    assert {node.name for node in nodes if len(node.inputs) > 8} == set()
    assert {node.name for node in nodes if len(inspect.signature(node.func).parameters) > 8} == set()


@pytest.mark.parametrize("env", ["base", "jquants", "ohlcv", "test"])
def test_every_dataset_is_in_the_catalog_and_only_what_is_gathered_or_tensors_stays_in_memory(pipelines, env):
    entries = config_loader(env, ohlcv_path="prices.csv")["catalog"]
    catalog = {name for name in entries if not name.startswith("_")}
    used = set()
    for pipeline in pipelines.values():
        used |= {name for name in pipeline.datasets() if not name.startswith("params:")}
    # run_record is written by a hook.
    assert used - {"parameters"} == catalog
    in_memory = {name for name in catalog if entries[name]["type"] == "MemoryDataset"}
    assert in_memory == MEMORY
    produced = register_pipelines()["__default__"].all_outputs() | {"run_record"}
    raw = {name for name, e in entries.items() if e["metadata"]["kedro-viz"]["layer"] == "raw"}
    settings = {f"params:{name}" for name in params.SECTIONS}
    read = pipelines["__default__"].inputs()
    optional = {name for name, e in entries.items() if e["type"].endswith(".OptionalDataset")}
    beside = set().union(*(pipelines[name].all_outputs() for name in RESEARCH))
    others = {f"params:{name}" for name in (RESEARCH - {"ablation"}) | {"jquants", "inference", "daily"}}
    assert read - raw - {"run_record"} == (optional & beside) | settings - others
    assert optional - beside == {"latest_blend"}
    assert pipelines["inference"].inputs() <= produced | {f"params:{n}" for n in ("model", "training", "inference")}
    assert pipelines["explanation"].inputs() <= produced | raw | settings


@pytest.mark.parametrize("env", ENVIRONMENTS)
def test_datasets_have_a_layer_and_a_snake_case_noun(env):
    catalog = entries_of(env, ohlcv_path="prices.csv")
    for name, entry in catalog.items():
        assert entry["metadata"]["kedro-viz"]["layer"] in LAYERS, name
        assert re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name)
        assert name.split("_")[0] not in VERBS - {"split"}, name


def test_layers_follow_each_other_in_every_pipeline(pipelines):
    """Kedro-Viz shows the layers of a pipeline where no data go back to an earlier one."""
    entries = entries_of("base")
    for name, pipeline in pipelines.items():
        before: dict[str, set[str]] = {layer: set() for layer in LAYERS}
        for node in pipeline.nodes:
            read = {entries[each]["metadata"]["kedro-viz"]["layer"] for each in node.inputs if each in entries}
            for made in (entries[each]["metadata"]["kedro-viz"]["layer"] for each in node.outputs):
                before[made] |= read - {made}
        assert len(list(TopologicalSorter(before).static_order())) == len(LAYERS), name


def test_a_dataset_lies_in_the_folder_of_its_layer():
    catalog = config_loader()["catalog"]
    for name, entry in ((name, entry) for name, entry in catalog.items() if name not in MEMORY):
        folder = entry["filepath"].split("/")[1]
        assert folder.partition("_")[2] == entry["metadata"]["kedro-viz"]["layer"], name


def test_nothing_is_stored_as_pickle():
    catalog = config_loader()["catalog"]
    types = {entry["type"].rpartition(".")[2] for name, entry in catalog.items() if name not in MEMORY}
    assert types == {
        *("ParquetDataset", "ParquetBlocksDataset", "CSVDataset", "JSONDataset", "TextDataset", "FigureDataset"),
        *("ZarrDataset", "EnsembleDataset", "SampleMarketDataset", "OptionalDataset", "JQuantsStoreDataset"),
        "KeyResultsDataset",
    }


def test_data_root_moves_every_path():
    catalog = config_loader(data_root="/elsewhere")["catalog"]
    paths = [entry["filepath"] for name, entry in catalog.items() if name not in MEMORY]
    assert all(path.startswith("/elsewhere/") for path in paths)
    moved = config_loader(data_root="/elsewhere")["parameters"]
    assert moved["training"]["checkpoint_dir"].startswith("/elsewhere/")
    assert moved["walk_forward"]["folder"].startswith("/elsewhere/")
    assert moved["ablation"]["walk_forward"]["folder"].startswith("/elsewhere/")
    assert moved["tuning"]["walk_forward"]["folder"].startswith("/elsewhere/")


def test_listing_the_pipelines_imports_no_heavy_library():
    script = (
        "import json, sys; from gogooku_kedro import hooks, settings, cli; "
        "from gogooku_kedro.pipeline_registry import register_pipelines; register_pipelines(); "
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    loaded = set(json.loads(run.stdout.splitlines()[-1]))
    assert "gogooku_kedro" in loaded
    assert not loaded & {"torch", "torch_geometric", "lightning", "lightgbm", "sklearn", "arch", "optuna"}


@pytest.mark.pipeline
def test_kedro_registry_list_imports_no_heavy_library():
    # The command itself, with all plugins.
    script = (
        "import sys; sys.argv = ['kedro', 'registry', 'list']\n"
        "from kedro.framework.cli import main\n"
        "try:\n    main()\nfinally:\n"
        "    print('HEAVY', sorted({'torch', 'lightning', 'lightgbm', 'sklearn'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=ROOT)
    assert set(register_pipelines()) <= set(re.findall(r"^- (\w+)$", run.stdout, re.MULTILINE)), run.stdout
    assert "HEAVY []" in run.stdout
