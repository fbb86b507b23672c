"""The notebooks run from the first cell to the last, and are stored without outputs."""

import re
from pathlib import Path

import nbformat
import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
EXPLORE = "01_explore_a_run.ipynb"
every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def pointed_at(notebook: nbformat.NotebookNode, **values: str) -> nbformat.NotebookNode:
    """The notebook with other values in the cell tagged `parameters`."""
    (cell,) = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", [])]
    for name, value in values.items():
        cell.source, found = re.subn(rf"(?m)^{name} = \S+", f"{name} = {value!r}", cell.source)
        assert found == 1, f"{name} is set once in the cell tagged parameters"
    return notebook


def test_there_is_a_notebook():
    assert EXPLORE in [path.name for path in NOTEBOOKS]


@every_notebook
def test_notebooks_are_stored_without_outputs(path):
    code = [cell for cell in read(path).cells if cell.cell_type == "code"]
    assert [cell.outputs for cell in code if cell.outputs] == []
    assert {cell.execution_count for cell in code} == {None}


@every_notebook
def test_notebooks_name_no_folder_of_one_machine(path):
    assert not re.search(r"/(home|Users|tmp|root|work)/", path.read_text())


def test_the_notebook_can_be_pointed_at_another_run():
    source = pointed_at(read(NOTEBOOKS[0]), DATA_ROOT="/elsewhere", ENV="test").cells[1].source
    assert "DATA_ROOT = '/elsewhere'" in source
    assert "ENV = 'test'" in source


@pytest.mark.pipeline
def test_the_notebook_explores_a_finished_run_and_is_exported_with_its_figures(finished_run):
    from nbclient import NotebookClient
    from nbconvert import HTMLExporter

    path = next(p for p in NOTEBOOKS if p.name == EXPLORE)
    notebook = pointed_at(read(path), DATA_ROOT=str(finished_run), ENV="test")
    before = sorted(path.parent.iterdir())
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(path.parent)}}).execute()
    assert sorted(path.parent.iterdir()) == before, "no second mlflow.db"
    outputs = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert len(outputs) >= 12
    assert [output.text for output in outputs if output.get("name") == "stderr"] == []
    page, _ = HTMLExporter().from_notebook_node(notebook)
    said = [output.get("data", {}).get("text/plain", "") for output in outputs]
    assert [text for text in said if re.search("INFO|WARNING|ERROR", text)] == []
    figures = sum("application/vnd.plotly.v1+json" in output.get("data", {}) for output in outputs)
    assert figures >= 6
    assert page.count("Plotly.newPlot(") >= figures
    assert 'src="https://cdn.plot.ly' not in page
