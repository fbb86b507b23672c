"""Fixtures shared with the tests of the metrics."""

from tests.metrics.conftest import daily, labels, predict

__all__ = ["daily", "labels", "predict"]
