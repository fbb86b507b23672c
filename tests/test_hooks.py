"""Checks before a run and the record of it, each with a catalog of its own."""

import errno
import os
from pathlib import Path
from types import SimpleNamespace

import click
import pandas as pd
import pytest
import torch
from kedro.framework.hooks.manager import _create_hook_manager
from kedro.io import DataCatalog, DatasetError, MemoryDataset
from kedro.pipeline import Pipeline, node
from kedro.runner import SequentialRunner

from gogooku_kedro import hooks
from gogooku_kedro.datasets import JSONDataset, OhlcvFileDataset
from gogooku_kedro.hooks import (
    FitsSettings,
    FreedMemory,
    GraphMatchesModel,
    OneRun,
    RunRecord,
    SettingsCheck,
    SettingsError,
    SourceCheck,
)
from gogooku_kedro.market.source_state import source_state
from gogooku_kedro.params import SECTIONS
from gogooku_kedro.refusals import sentence_of
from tests.conftest import settings_of


def identity(x):
    return x


def step(name="train_model", tags=(), namespace="training"):
    return node(identity, "x", "y", name=name, tags=list(tags), namespace=namespace)


def catalog_of(parameters: dict, **datasets) -> DataCatalog:
    typed = {k: SECTIONS[k].model_validate(v) if k in SECTIONS else v for k, v in parameters.items()}
    return DataCatalog({"parameters": MemoryDataset(typed), **datasets})


def edges(**columns) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "asof": pd.to_datetime(["2020-01-06"] * 3),
            "source": ["1", "1", "2"],
            "target": ["1", "2", "2"],
            "correlation": [1.0, 0.5, 1.0],
            "is_self": [1.0, 0.0, 1.0],
        }
        | columns
    )


def node_inputs(typed=True, **gat) -> dict:
    changes = {"edge_attributes": ["correlation", "is_self"]} | gat
    model = settings_of(**{f"model__gat__{key}": value for key, value in changes.items()})["model"]
    return {
        "params:model": SECTIONS["model"].model_validate(model) if typed else model,
        "graph_edges": edges(),
        "split": {"train": ["2020-02-03", "2020-06-30"]},
    }


class TestSourceCheck:
    @pytest.fixture
    def bars(self, tmp_path):
        path = tmp_path / "bars.csv"
        path.write_text("date,code\n2024-01-04,7203\n")
        return path

    def catalog(self, path, report):
        bars = OhlcvFileDataset(filepath=path and str(path))
        settings = MemoryDataset({"ingestion": {"extra_columns": {}}})
        return DataCatalog({"raw_bars": bars, "quality_report": MemoryDataset(report), "parameters": settings})

    def check(self, pipeline, catalog):
        SourceCheck().before_pipeline_run(pipeline=pipeline, catalog=catalog)

    rank = Pipeline([node(identity, "ensemble", "latest_ranking", name="rank")])
    ingest = Pipeline([node(identity, "raw_bars", "quality_report", name="ingest")])

    def test_a_ranking_of_a_file_that_has_changed_is_refused(self, bars):
        catalog = self.catalog(bars, {"source_state": source_state(bars)})
        self.check(self.rank, catalog)
        bars.write_text("date,code\n2024-01-04,7203\n2024-01-05,7203\n")
        with pytest.raises(SettingsError, match=r"bars.csv has changed since .*--pipelines=data,inference$"):
            self.check(self.rank, catalog)
        self.check(self.ingest + self.rank, catalog)  # it is read again

    def test_without_a_path_the_file_of_the_panel_is_looked_at(self, bars):
        catalog = self.catalog(None, {"source_state": source_state(bars)})
        self.check(self.rank, catalog)
        bars.write_text("date,code\n")
        with pytest.raises(SettingsError, match="has changed"):
            self.check(self.rank, catalog)

    def test_a_market_that_is_no_file_is_not_looked_at(self, bars):
        self.check(self.rank, self.catalog(bars, {"source_state": None}))
        self.check(self.rank, self.catalog(bars, {}))

    @pytest.mark.parametrize("path", [None, "nowhere.csv"])
    def test_a_file_that_is_not_there_is_refused_before_anything_is_read(self, path):
        with pytest.raises(SettingsError, match=r"(ohlcv_path is empty|nowhere\.csv does not exist).* ohlcv_path=FILE"):
            self.check(self.ingest, self.catalog(path, {}))


class TestSettingsCheck:
    def test_wrong_settings_stop_everything_with_one_sentence(self):
        loader = {"parameters": settings_of(model__gat__haeds=4)}
        with pytest.raises(SettingsError, match=r"model\.gat\.haeds: unknown key") as refusal:
            SettingsCheck().after_context_created(SimpleNamespace(config_loader=loader))
        assert isinstance(refusal.value, click.ClickException)  # printed without a traceback
        assert isinstance(refusal.value, ValueError)

    def test_good_settings_pass(self):
        SettingsCheck().after_context_created(SimpleNamespace(config_loader={"parameters": settings_of()}))

    def test_only_a_pipeline_that_computes_on_a_device_needs_it(self, monkeypatch):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        catalog = catalog_of(settings_of(training__device="cuda"))
        check = SettingsCheck().before_pipeline_run
        check(pipeline=Pipeline([step()]), catalog=catalog)
        with pytest.raises(SettingsError, match=r"training\.device: cuda, but PyTorch sees no CUDA device"):
            check(pipeline=Pipeline([step(tags=["gpu"])]), catalog=catalog)
        on_cpu = catalog_of(settings_of(training__device="cpu", training__devices=2))
        check(pipeline=Pipeline([step(tags=["gpu"])]), catalog=on_cpu)

    def test_a_space_that_makes_no_settings_stops_the_tuning_and_nothing_else(self):
        spaces = settings_of()["tuning"]["spaces"]
        spaces["grid"]["choices"] = {"model.gat.heads": [2, 3]}
        catalog = catalog_of(settings_of(tuning__spaces=spaces))
        check = SettingsCheck().before_pipeline_run
        check(pipeline=Pipeline([step()]), catalog=catalog)
        tuning = Pipeline([node(identity, "params:tuning", "y", name="train_trials")])
        with pytest.raises(
            SettingsError, match=r"tuning\.spaces\.grid: with model\.gat\.heads = 3: .* does not divide"
        ):
            check(pipeline=tuning, catalog=catalog)

    def test_variants_that_are_no_models_stop_the_ablation_and_nothing_else(self):
        variants = settings_of()["ablation"]["variants"]
        variants["on"]["model"] = {"gat": {"haeds": 2}}
        catalog = catalog_of(settings_of(ablation__variants=variants))
        check = SettingsCheck().before_pipeline_run
        check(pipeline=Pipeline([step()]), catalog=catalog)
        ablation = Pipeline([node(identity, "params:ablation", "y", name="train_variants")])
        with pytest.raises(SettingsError, match=r"ablation\.variants\.on\.model\.gat\.haeds: unknown key"):
            check(pipeline=ablation, catalog=catalog)

    def test_there_are_as_many_devices_as_are_asked_for(self, monkeypatch):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
        catalog = catalog_of(settings_of(training__device="auto", training__devices=2))
        with pytest.raises(SettingsError, match=r"training\.devices: 2, but PyTorch sees 1 CUDA device"):
            SettingsCheck().before_pipeline_run(pipeline=Pipeline([step(tags=["gpu"])]), catalog=catalog)


class TestGraphMatchesModel:
    def check(self, inputs, tags=("gat",)):
        GraphMatchesModel().before_node_run(step(tags=tags), inputs)

    def test_a_graph_with_the_attributes_passes(self):
        self.check(node_inputs())

    @pytest.mark.parametrize("typed", [True, False])
    def test_a_missing_attribute_is_refused_for_typed_and_plain_settings(self, typed):
        inputs = node_inputs(typed, edge_attributes=["correlation", "lead_lag"])
        with pytest.raises(SettingsError, match=r"model\.gat\.edge_attributes: \['lead_lag'\] not in the"):
            self.check(inputs)

    def test_settings_gathered_for_the_folds_are_held_against_the_graph_too(self):
        inputs = node_inputs(edge_attributes=["correlation", "lead_lag"])
        inputs["fold_settings"] = SimpleNamespace(model=inputs.pop("params:model"))
        inputs["walk_forward_splits"] = [inputs.pop("split")]
        with pytest.raises(SettingsError, match=r"model\.gat\.edge_attributes: \['lead_lag'\] not in the"):
            self.check(inputs)

    def test_plain_settings_are_validated_on_the_way(self):
        with pytest.raises(ValueError, match="does not divide"):
            self.check(node_inputs(typed=False, heads=7))

    def test_a_model_without_gat_needs_no_edges(self):
        inputs = node_inputs(enabled=False)
        inputs["graph_edges"] = edges().iloc[:0]
        self.check(inputs)

    def test_the_training_part_of_every_fold_is_looked_at(self):
        inputs = node_inputs()
        later = inputs.pop("split")
        self.check(inputs | {"walk_forward_splits": [later, later]})
        before_the_first_graph = {"train": ["2020-01-03", "2020-01-31"]}
        with pytest.raises(SettingsError, match=r"graph\.window: the first graph is of 2020-01-06"):
            self.check(inputs | {"walk_forward_splits": [before_the_first_graph, later]})

    def test_other_nodes_are_not_looked_at(self):
        self.check({}, tags=())


class TestRunRecord:
    def run(self, folder, parameters, nodes=(), env="test", **runtime_params):
        record = RunRecord(FitsSettings())
        stored = JSONDataset(filepath=str(folder / "run_record.json"))
        catalog = catalog_of(parameters, run_record=stored)
        record.before_pipeline_run({"env": env, "runtime_params": runtime_params}, catalog)
        for each in nodes:
            record.before_node_run(each)
            record.after_node_run(each)
            record.after_dataset_saved(each)
        return stored.load()

    def test_it_holds_what_ran_and_the_seconds_of_every_stage(self, tmp_path):
        nodes = [step("train_model"), step("predict_scores"), step("fit_ridge", namespace="evaluation")]
        record = self.run(tmp_path, settings_of(training__seed=7), nodes)
        expected = {"git_sha", "config_hash", "seed", "seeds", "environment", "preset", "stale", "seconds"}
        assert set(record) == expected
        assert (record["seed"], record["seeds"], record["environment"]) == (7, [7], "test")
        assert {stage: set(seconds) for stage, seconds in record["seconds"].items()} == {
            "training": {"train_model", "predict_scores"},
            "evaluation": {"fit_ridge"},
        }
        assert all(0 <= s < 1 for stage in record["seconds"].values() for s in stage.values())

    def test_earlier_stages_keep_their_seconds_under_equal_settings_only(self, tmp_path):
        self.run(tmp_path, settings_of(), [step("compute_features", namespace="features")])
        later = self.run(tmp_path, settings_of(), [step()])
        assert set(later["seconds"]) == {"features", "training"}
        changed = self.run(tmp_path, settings_of(graph__k=9), [step()])
        assert set(changed["seconds"]) == {"training"}
        assert changed["config_hash"] != later["config_hash"]

    @pytest.mark.parametrize("content", ["", '{"config_hash": ', "[]", "{}"])
    def test_a_record_that_cannot_be_read_counts_as_absent(self, tmp_path, content):
        (tmp_path / "run_record.json").write_text(content)
        assert set(self.run(tmp_path, settings_of(), [step()])["seconds"]) == {"training"}

    def test_the_seeds_of_an_ensemble_are_those_that_are_trained(self, tmp_path):
        record = self.run(tmp_path, settings_of(training__seeds=[3, 4]))
        assert record["seeds"] == [3, 4]

    def test_a_run_without_environment_is_one_of_base(self, tmp_path):
        record = self.run(tmp_path, settings_of(), env=None)
        assert (record["environment"], record["preset"]) == ("base", "none")

    def test_the_preset_of_the_command_line_is_in_it(self, tmp_path):
        assert self.run(tmp_path, settings_of(), preset="production")["preset"] == "production"

    def test_what_does_not_fit_the_settings_is_in_it_as_the_check_before_the_run_found_it(self, tmp_path):
        fits = FitsSettings()
        fits.stale = ["labels.entry was then another"]
        stored = JSONDataset(filepath=str(tmp_path / "run_record.json"))
        catalog = catalog_of(settings_of(stale="allow"), run_record=stored)
        RunRecord(fits).before_pipeline_run({"env": "test"}, catalog)
        assert stored.load()["stale"] == fits.stale


def test_memory_is_given_back_once_before_every_node(monkeypatch):
    given_back = []
    monkeypatch.setattr(hooks, "give_back", lambda: given_back.append(0))
    manager = _create_hook_manager()
    manager.register(FreedMemory())
    steps = [node(lambda x, y: x + y, ["a", "b"], "c", name="one"), node(lambda x, y: x + y, ["c", "b"], "d", name="2")]
    SequentialRunner().run(Pipeline(steps), DataCatalog({"a": MemoryDataset(1), "b": MemoryDataset(2)}), manager)
    assert given_back == [0, 0]


def test_a_root_that_cannot_be_written_is_named():
    record = JSONDataset(filepath="/dev/null/data/08_reporting/run_record.json")
    with pytest.raises(SettingsError, match=r"^data_root: /dev/null/data: Not a directory; give another --params"):
        OneRun().before_pipeline_run(catalog=DataCatalog({"run_record": record}))


def test_a_record_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    def no_space(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    catalog = catalog_of(settings_of(), run_record=JSONDataset(filepath=str(tmp_path / "run_record.json")))
    monkeypatch.setattr(Path, "replace", no_space)
    with pytest.raises(DatasetError) as full:
        RunRecord(FitsSettings()).before_pipeline_run({"env": "test"}, catalog)
    assert sentence_of(full.value).startswith(f"{tmp_path}/run_record.json: No space left on device; mend that")


def test_stages_are_recorded_in_the_order_in_which_they_run(tmp_path):
    record = RunRecord(FitsSettings())
    catalog = catalog_of(settings_of(), run_record=JSONDataset(filepath=str(tmp_path / "run_record.json")))
    record.before_pipeline_run({"env": "test"}, catalog)
    for namespace in ("baselines", "mine", "ingestion", "features", "graph"):
        each = step(namespace, namespace=namespace)
        record.before_node_run(each)
        record.after_node_run(each)
    assert list(catalog.load("run_record")["seconds"]) == ["ingestion", "graph", "features", "baselines", "mine"]


def test_the_config_hash_follows_results_and_not_places():
    def digest(**changes):
        return hooks.config_hash(settings_of(**changes))

    assert digest() == digest(data_root="/elsewhere", training__checkpoint_dir="/elsewhere", ohlcv_path="x")
    assert digest() == digest(training__keep_checkpoints=9) == digest(debug__gat_verbose=True)
    assert digest() == digest(graph__cache_dir="/elsewhere") == digest(graph__cache_dir=None)
    assert digest() == digest(walk_forward__folder="/elsewhere") == digest(features__workers=99)
    assert digest() == digest(graph__checks__degree_min=9) == digest(ablation__seeds=[7]) == digest(explanation__seed=7)
    assert digest() == digest(tuning__trials=9)
    others = [digest(training__seed=1), digest(signal_strength=0), digest(market_seed=2)]
    others += [digest(model__gat__heads=8), digest(training__seeds=[0, 1]), digest(training__time_budget_minutes=5.0)]
    assert len({digest(), *others}) == 7


def test_the_config_hash_does_not_depend_on_the_order_of_keys():
    settings = settings_of()
    assert hooks.config_hash(settings) == hooks.config_hash(dict(reversed(settings.items())))


def test_sections_are_shown_as_plain_types():
    plain = hooks.plain_parameters(catalog_of(settings_of(data_root="x")))
    assert plain["model"]["quantiles"] == [0.05, 0.25, 0.5, 0.75, 0.95]
    assert plain["split"]["train_end"] == "2021-06-30"
    assert plain["data_root"] == "x"
