"""Fixtures shared with the tests of the walk-forward."""

from tests.walk_forward.conftest import history, results, root, splits

__all__ = ["history", "results", "root", "splits"]
