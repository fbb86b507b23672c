"""What is told at the end of a run."""

from gogooku_kedro.report import publish


def test_flatten():
    tree = {"a": {"b": 1, "c": {"d": [2]}}, "e": None, 5: 6}
    assert publish.flatten(tree) == {"a.b": 1, "a.c.d": [2], "e": None, "5": 6}
    assert publish.flatten(tree, "/") == {"a/b": 1, "a/c/d": [2], "e": None, "5": 6}
