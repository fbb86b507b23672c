"""Kedro-Viz shows the stages, the layers and previews of what a run wrote."""

import json
import shutil
from pathlib import Path

import pytest

from tests.conftest import ROOT, kedro

pytestmark = pytest.mark.pipeline

LAYERS = ["raw", "intermediate", "primary", "feature", "model_input", "models", "model_output", "reporting"]
STAGES = {"ingestion", "features", "graph", "training", "baselines", "evaluation", "report"}


@pytest.fixture(scope="module")
def site(finished_run, tmp_path_factory) -> Path:
    """A static site of the project, whose `data/` is the finished run."""
    project = tmp_path_factory.mktemp("viz")
    shutil.copy(ROOT / "pyproject.toml", project)
    shutil.copytree(ROOT / "conf", project / "conf")
    shutil.copytree(ROOT / "src", project / "src", ignore=shutil.ignore_patterns("__pycache__"))
    (project / "data").symlink_to(finished_run)
    kedro("viz", "build", "--include-previews", cwd=project, env="test")
    return project / "build/api"


@pytest.fixture(scope="module")
def graph(site):
    return json.loads((site / "main").read_text())


def test_the_graph_has_the_stages_as_boxes_and_every_layer(graph):
    tasks = [node for node in graph["nodes"] if node["type"] == "task"]
    boxes = {node["name"].lower() for node in graph["nodes"] if node["type"] == "modularPipeline"}
    assert 20 <= len(tasks) <= 40
    assert boxes == STAGES
    assert graph["layers"] == LAYERS


def previews(site, graph) -> dict[str, dict]:
    identity = {node["name"]: node["id"] for node in graph["nodes"] if node["type"] == "data"}
    return {name: json.loads((site / "nodes" / key).read_text()) for name, key in identity.items()}


def test_metrics_plots_and_tables_have_previews(site, graph):
    shown = previews(site, graph)
    for name, kind in {
        "metrics": "JSONPreview",
        "cumulative_rank_ic": "PlotlyPreview",
        "predictions": "TablePreview",
        "panel": "TablePreview",
        "raw_bars": "TablePreview",
        "ensemble": "TablePreview",
        "key_results": "TablePreview",
        "report": "TablePreview",
        "model_card": "TablePreview",
    }.items():
        assert shown[name].get("preview"), name
        assert shown[name]["preview_type"] == kind
        if kind == "TablePreview":
            assert shown[name]["preview"]["data"], name
    assert [row[0] for row in shown["key_results"]["preview"]["data"]] == ["1d", "5d", "10d", "20d"]
    assert shown["ensemble"]["preview"]["columns"][:3] == ["seed", "best_epoch", "epochs"]
    assert not any("<" in row[0] for row in shown["report"]["preview"]["data"])
