"""The notebooks run from the first cell to the last, and are stored without outputs."""

import re
from pathlib import Path

import nbformat
import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
FINISHED_RUN = "04_finished_run.ipynb"
FIGURES = {"01_market_and_quality.ipynb": 5, "02_factors.ipynb": 5, "03_graphs.ipynb": 3, FINISHED_RUN: 7}
"""Figures that each notebook shows."""
every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def pointed_at(notebook: nbformat.NotebookNode, **values: object) -> nbformat.NotebookNode:
    """The notebook with other values in the cell tagged `parameters`."""
    (cell,) = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", [])]
    for name, value in values.items():
        cell.source, found = re.subn(rf"(?m)^{name} = [^#\n]+?(?=  #|$)", f"{name} = {value!r}", cell.source)
        assert found == 1, f"{name} is set once in the cell tagged parameters"
    return notebook


def test_these_are_the_notebooks():
    assert [path.name for path in NOTEBOOKS] == list(FIGURES)


@every_notebook
def test_notebooks_are_stored_without_outputs(path):
    code = [cell for cell in read(path).cells if cell.cell_type == "code"]
    assert [cell.outputs for cell in code if cell.outputs] == []
    assert {cell.execution_count for cell in code} == {None}


@every_notebook
def test_notebooks_name_no_folder_of_one_machine(path):
    assert not re.search(r"/(home|Users|tmp|root|work)/", path.read_text())


def test_a_notebook_can_be_pointed_at_another_run():
    source = pointed_at(read(NOTEBOOKS[-1]), DATA_ROOT="/elsewhere", ENV="test").cells[1].source
    assert "DATA_ROOT = '/elsewhere'" in source
    assert "ENV = 'test'" in source


def outputs_of(name: str, **values: object) -> tuple[list[nbformat.NotebookNode], str]:
    """Run a notebook; its outputs, and the page that it is exported to."""
    from nbclient import NotebookClient
    from nbconvert import HTMLExporter

    path = next(p for p in NOTEBOOKS if p.name == name)
    notebook = pointed_at(read(path), **values)
    before = sorted(path.parent.iterdir())
    NotebookClient(
        notebook, timeout=300, startup_timeout=300, resources={"metadata": {"path": str(path.parent)}}
    ).execute()
    assert sorted(path.parent.iterdir()) == before, "no second mlflow.db"
    page, _ = HTMLExporter().from_notebook_node(notebook)
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs], page


def assert_shows(outputs: list[nbformat.NotebookNode], page: str, figures: int) -> None:
    """Nothing is said but by the cells, and the exported page has the figures without a network."""
    assert [output.text for output in outputs if output.get("name") == "stderr"] == []
    said = [output.get("data", {}).get("text/plain", "") for output in outputs]
    assert [text for text in said if re.search("INFO|WARNING|ERROR", text)] == []
    shown = sum("application/vnd.plotly.v1+json" in output.get("data", {}) for output in outputs)
    assert shown >= figures
    assert page.count("Plotly.newPlot(") >= shown
    assert 'src="https://cdn.plot.ly' not in page


@pytest.mark.pipeline
@pytest.mark.parametrize("name", [name for name in FIGURES if name != FINISHED_RUN])
def test_a_notebook_of_a_market_runs_and_is_exported_with_its_figures(name):
    small = {"STOCKS": 40, "END": "2019-12-30"} | ({"FAMILIES": ["returns", "trend"]} if "factors" in name else {})
    outputs, page = outputs_of(name, **small)
    assert_shows(outputs, page, FIGURES[name])


@pytest.mark.pipeline
def test_the_notebook_of_a_finished_run_follows_one_stock_and_is_exported_with_its_figures(finished_run):
    outputs, page = outputs_of(FINISHED_RUN, DATA_ROOT=str(finished_run), ENV="test")
    assert len(outputs) >= 14
    assert_shows(outputs, page, FIGURES[FINISHED_RUN])
