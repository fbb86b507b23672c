"""Imported once, in the process that commands are forks of."""

from tests.command import loaded

loaded()
