"""`kedro compile` leaves no loop of features and model for the first run."""

import inspect
import multiprocessing
import re
import sys
from multiprocessing.connection import Connection

from click.testing import CliRunner
from numba.core.dispatcher import Dispatcher

from gogooku_kedro.cli import cli
from tests.command import TIMEOUT

PACKAGES = ("arrays", "features", "model", "graph.select")
"""Of the graph only the loops of the configured way are compiled."""


def test_every_loop_of_features_and_model_is_compiled_before_the_first_run() -> None:
    # In a process of its own, in which no other test has called a loop.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.preloaded"])
    here, there = context.Pipe()
    process = context.Process(target=_compile, args=(there,))
    process.start()
    assert here.poll(TIMEOUT)
    output, called, left = here.recv()
    process.join()
    assert output == "compiled\n"
    assert {"_run", "_write_keys", "_narrow", "_missing_shares", "_mark_strongest"} <= called
    assert left == set()


def _compile(results: Connection) -> None:
    """Send what the command prints, which loops have code after it, and those that no loop calls and have none."""
    result = CliRunner().invoke(cli, ["compile"])
    modules = [
        module
        for name, module in sys.modules.items()
        if name.removeprefix("gogooku_kedro.").startswith(PACKAGES) and name.startswith("gogooku_kedro.")
    ]
    loops = {
        value.py_func.__name__: value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, Dispatcher)
    }
    sources = {name: inspect.getsource(loop.py_func).partition("def ")[2] for name, loop in loops.items()}
    inner = {
        name for name in loops for other, text in sources.items() if other != name and re.search(rf"\b{name}\b", text)
    }
    called = {name for name, loop in loops.items() if loop.signatures}
    results.send((result.output, called, set(loops) - inner - called))
