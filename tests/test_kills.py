"""A stage that is killed, or whose disk is full, at any write: what is there is whole, and the next run ends it."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kedro.framework.hooks.manager import _create_hook_manager
from kedro.framework.project import configure_project, pipelines
from kedro.io import DataCatalog, DatasetError, MemoryDataset
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node
from kedro.runner import SequentialRunner

from gogooku_kedro.datasets.integrity import StoredBlocks
from gogooku_kedro.hooks import FitsSettings, OneRun, RunRecord
from gogooku_kedro.market.blocks import TableBlock, table_blocks
from gogooku_kedro.params import SECTIONS
from gogooku_kedro.refusals import sentence_of
from tests.accidents import contents, full, killed, writes_of
from tests.conftest import entries_of, settings_of


class Stage:
    """A stage on a finished run whose nodes give what they gave in that run: all its writes, none of its sums."""

    def __init__(self, name: str, root: Path) -> None:
        self.name, self.root, self.own = name, root, pipelines[name].only_nodes_with_namespaces([name])
        catalog = self._catalog()
        self._given = {output: _loaded(catalog, output) for output in self.own.all_outputs() if catalog.exists(output)}
        self.empty()
        self.run()
        self.wanted = contents(root)

    def _catalog(self) -> DataCatalog:
        entries = entries_of("test", data_root=str(self.root))
        catalog = DataCatalog.from_config(entries)
        typed = {n: SECTIONS[n].model_validate(v) if n in SECTIONS else v for n, v in settings_of("test").items()}
        catalog["parameters"] = MemoryDataset(typed, copy_mode="assign")
        for name, section in typed.items():
            catalog[f"params:{name}"] = MemoryDataset(section, copy_mode="assign")
        for name in ("baseline_settings", "market_tensors"):
            catalog.save(name, name)
        return catalog

    def empty(self) -> None:
        """Delete what the stage writes."""
        for output in self.own.all_outputs():
            path = getattr(self._catalog()[output], "_filepath", None)
            if path is not None:
                for each in (Path(path), Path(path).with_name(f".{Path(path).name}.seal.json")):
                    each.unlink(missing_ok=True)

    def run(self) -> None:
        """Run it, with the hooks that write or refuse."""
        catalog, hooks = self._catalog(), _create_hook_manager()
        for hook in (OneRun(), fits := FitsSettings(), RunRecord(fits)):
            hooks.register(hook)
        pipeline = Pipeline([self._replayed(node) for node in self.own.nodes])
        arguments = {"run_params": {"env": "test"}, "pipeline": pipeline, "catalog": catalog}
        hooks.hook.before_pipeline_run(**arguments)
        try:
            SequentialRunner().run(pipeline, catalog, hooks)
        except Exception as error:
            hooks.hook.on_pipeline_error(error=error, **arguments)
            raise
        hooks.hook.after_pipeline_run(run_result={}, **arguments)

    def _replayed(self, node: Node) -> Node:
        results = tuple(self._given.get(name, name) for name in node.outputs)

        def replay(*_: Any, **__: Any) -> Any:
            return results if len(results) > 1 else results[0]

        def replay_blocks(*_: Any, **__: Any) -> Iterator[TableBlock]:
            yield from table_blocks(results[0])

        if isinstance(results[0], list):
            return node._copy(func=replay_blocks)
        return node._copy(func=replay)

    def readable(self) -> dict[str, bool]:
        """Return which outputs load; what loads is as it was given."""
        catalog, found = self._catalog(), {}
        for output in filter(catalog.exists, self._given):
            try:
                found[output] = str(_loaded(catalog, output)) == str(self._given[output])
            except DatasetError:
                continue
        return found


def _loaded(catalog: DataCatalog, name: str) -> Any:
    """What is stored under a name; a table in blocks as a list of them."""
    stored = catalog.load(name)
    return list(stored) if isinstance(stored, StoredBlocks) else stored


@pytest.fixture(scope="module", params=["baselines", "evaluation", "report"])
def stage(request, finished_run, tmp_path_factory) -> Stage:
    configure_project("gogooku_kedro")
    left_out = shutil.ignore_patterns("mlartifacts", "mlflow.db", "graph_cache")
    root = Path(shutil.copytree(finished_run, tmp_path_factory.mktemp("killed") / "data", ignore=left_out))
    return Stage(request.param, root)


@pytest.fixture(scope="module")
def writes(stage) -> int:
    stage.empty()
    count = writes_of(stage.run)
    assert contents(stage.root) == stage.wanted
    return count


def kill(stage: Stage, number: int, when: str) -> None:
    stage.empty()
    assert killed(stage.run, number, when)
    assert all(stage.readable().values())
    stage.run()
    assert contents(stage.root) == stage.wanted, (number, when)


@pytest.mark.pipeline
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_stage_that_is_killed_leaves_whole_files_and_the_next_run_those_of_an_undisturbed_one(stage, writes, when):
    kill(stage, writes // 2 + 1, when)
    kill(stage, writes, when)


@pytest.mark.slow
@pytest.mark.pipeline
def test_a_stage_can_be_killed_at_every_write(stage, writes):
    assert writes >= {"baselines": 6, "evaluation": 33, "report": 24}[stage.name]
    for number in range(1, writes + 1):
        kill(stage, number, ("before", "after")[number % 2])
    assert not killed(stage.run, writes + 1, "before")


@pytest.mark.pipeline
def test_a_full_disk_is_one_sentence_and_the_next_run_is_undisturbed(stage, writes):
    for number in (writes // 2 + 1, writes):
        stage.empty()
        error = full(stage.run, number)
        sentence = sentence_of(error)
        assert sentence.startswith(f"{stage.root}/")
        assert (
            "No space left on device; mend that, or give another --params data_root=DIR, and run the same" in sentence
        )
        assert "\n" not in sentence
        assert all(stage.readable().values())
        stage.run()
        assert contents(stage.root) == stage.wanted
