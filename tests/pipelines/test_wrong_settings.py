"""A wrong setting ends a run before its first node, with a sentence that says where and what to do."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from tests.conftest import ROOT, kedro, listing

pytestmark = pytest.mark.pipeline


def refusal(*arguments: str) -> str:
    """The one line with which a run is refused, beside Kedro's own remark that no node ran."""
    lines = kedro("run", "--env", "test", *arguments, expect=[1]).stdout.strip().splitlines()
    (line,) = (line for line in lines if "No nodes ran" not in line)
    return line


def conf_with(folder: Path, change) -> Path:
    """A copy of the configuration whose `model.gat` has been changed."""
    conf = Path(shutil.copytree(ROOT / "conf", folder / "conf"))
    file = conf / "base/parameters.yml"
    parameters = yaml.safe_load(file.read_text())
    change(parameters["model"]["gat"])
    file.write_text(yaml.safe_dump(parameters))
    return conf


def test_a_misspelt_key(tmp_path):
    message = refusal("--params", f"data_root={tmp_path / 'data'},model.gat.haeds=4")
    assert "model.gat.haeds: unknown key; did you mean 'heads'?" in message
    assert listing(tmp_path) == []


def test_a_misspelt_section(tmp_path):
    message = refusal("--params", f"data_root={tmp_path / 'data'},modle.hidden_size=8")
    assert "unknown top-level parameter 'modle' (did you mean 'model'?)" in message
    assert listing(tmp_path) == []


def test_a_gat_section_without_regularization(tmp_path):
    conf = conf_with(tmp_path, lambda gat: gat.pop("regularization"))
    message = refusal("--conf-source", str(conf), "--params", f"data_root={tmp_path / 'data'}")
    assert "model.gat.regularization is missing: write it out, for example `regularization:" in message
    assert not (tmp_path / "data").exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there(tmp_path):
    message = refusal("--params", f"data_root={tmp_path / 'data'},training.device=cuda")
    assert "training.device: cuda, but PyTorch sees no CUDA device; set training.device: auto" in message
    assert listing(tmp_path) == []


def test_an_environment_that_is_not_there(tmp_path):
    message = refusal("--env", "tset", "--params", f"data_root={tmp_path / 'data'}")
    assert "--env tset: no such environment" in message
    assert message.endswith(
        "did you mean 'test'? There are base, gat_minimal, gat_production, jquants, local, ohlcv, test"
    )
    assert listing(tmp_path) == []


def test_a_price_file_that_is_not_there(tmp_path):
    nowhere = tmp_path / "nowhere.csv"
    message = refusal("--env", "ohlcv", "--params", f"data_root={tmp_path / 'data'},ohlcv_path={nowhere}")
    assert f"{nowhere} does not exist. Name the file on the command line" in message
    assert list(tmp_path.iterdir()) == []


def test_a_price_file_that_is_not_there_is_refused_before_torch_and_mlflow_are_imported(tmp_path):
    told = f"data_root={tmp_path / 'data'},ohlcv_path={tmp_path / 'nowhere.csv'}"
    command = [sys.executable, "-X", "importtime", "-m", "kedro", "run", "--env", "ohlcv", "--params", told]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "does not exist" in done.stderr
    assert "gogooku_kedro.hooks" in imported
    assert not imported & {"torch", "lightning", "mlflow", "kedro_mlflow"}


def test_an_edge_attribute_that_the_graph_does_not_have(tmp_path, finished_run):
    conf = conf_with(tmp_path, lambda gat: gat.update(edge_attributes=["correlation", "lead_lag"]))
    data = Path(shutil.copytree(finished_run, tmp_path / "data"))
    shutil.rmtree(data / "06_models")
    message = refusal("--conf-source", str(conf), "--pipelines=training", "--params", f"data_root={data}")
    assert "model.gat.edge_attributes: ['lead_lag'] not in the graph, whose edges have" in message
    assert not (data / "06_models").exists()
