"""Files and functions stay short enough to be read at one go."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

SOURCES = sorted((ROOT / "src").rglob("*.py"))
FILE, FUNCTION, NODES, PIPELINE = 400, 40, 150, 50


def lines_of(path: Path) -> int:
    return len(path.read_text().splitlines())


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Name and number of lines of every function body, its docstring not counted."""
    for item in ast.walk(ast.parse(path.read_text())):
        if isinstance(item, ast.FunctionDef | ast.AsyncFunctionDef):
            body = item.body[1:] if ast.get_docstring(item) is not None else item.body
            yield item.name, body[-1].end_lineno - body[0].lineno + 1 if body else 0


def test_the_sources_are_found():
    assert len(SOURCES) > 80


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT / "src/gogooku_kedro")))
def test_files_and_functions_are_short(path):
    limit = {"nodes.py": NODES, "pipeline.py": PIPELINE}.get(path.name, FILE)
    assert lines_of(path) <= limit
    assert [(name, length) for name, length in functions(path) if length > FUNCTION] == []
