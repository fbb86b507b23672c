"""Labels: forward returns, their residuals, what training ranks, and the split of the sessions."""

from gogooku_kedro.labels.split import split_sessions
from gogooku_kedro.labels.target import make_labels

__all__ = ["make_labels", "split_sessions"]
