"""Prices, scores and labels in the files that other libraries read."""

from gogooku_kedro.export.alphalens import alphalens_table
from gogooku_kedro.export.qlib import write_qlib

__all__ = ["alphalens_table", "write_qlib"]
