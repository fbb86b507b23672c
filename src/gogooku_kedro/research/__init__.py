"""Research: walk-forward folds, every one a market of its own.

The package itself loads neither torch nor LightGBM; `research.walk_forward` does.
"""

from gogooku_kedro.research.folds import plan_folds, walk_forward_splits
from gogooku_kedro.research.refit import Fold, History, refit_fold

__all__ = ["Fold", "History", "plan_folds", "refit_fold", "walk_forward_splits"]
