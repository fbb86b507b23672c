"""Imported once, in the process that commands are forks of."""

import gc

from tests.command import loaded

gc.disable()  # nothing of what is loaded here is thrown away
loaded()
gc.freeze()
gc.enable()
