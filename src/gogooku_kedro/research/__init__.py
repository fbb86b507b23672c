"""Research: walk-forward folds, every one a market of its own."""

from gogooku_kedro.research.folds import walk_forward_splits
from gogooku_kedro.research.refit import Fold, refit_fold

__all__ = ["Fold", "refit_fold", "walk_forward_splits"]
