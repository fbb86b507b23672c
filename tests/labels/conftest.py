"""Fixtures shared with the tests of the features."""

from tests.features.conftest import panel, panel_factory

__all__ = ["panel", "panel_factory"]
