"""gogooku_kedro: the cross-section of Japanese stock returns with ATFT-GAT-FAN, as a Kedro project.

`import gogooku_kedro as gk` gives the names of `__all__` and the packages as attributes; each is imported when it is
first used, so that the import itself is light.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gogooku_kedro.alpha_page import tear_sheet
    from gogooku_kedro.features.registry import feature
    from gogooku_kedro.own_alpha import Evaluation, evaluate
    from gogooku_kedro.study import Study, load_settings

__version__ = "0.1.0"

# Nothing is sent anywhere: MLflow reports its use from the moment it is imported, unless it is told not to.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "true")

# A thread of OpenMP that waits sleeps: at small models it waits often, and one that looks for work all the while takes
# the core of whoever else has some, the thread it waits for among them.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# numba, which xarray computes with, sets the threads of OpenMP for the whole process, those of torch too,
# to all cores there are. Who sets OMP_NUM_THREADS means all of them.
if os.environ.get("OMP_NUM_THREADS", "").isdecimal():
    os.environ.setdefault("NUMBA_NUM_THREADS", os.environ["OMP_NUM_THREADS"])

_HOMES = {
    "Evaluation": "own_alpha",
    "Study": "study",
    "evaluate": "own_alpha",
    "feature": "features.registry",
    "load_settings": "study",
    "tear_sheet": "alpha_page",
}
"""Public name -> module."""
_PACKAGES = ("backtest", "baselines", "features", "graph", "labels", "market", "metrics", "model", "report")
_MORE_PACKAGES = ("explanation", "sample_market", "training", "walk_forward")

__all__ = ["Evaluation", "Study", "evaluate", "feature", "load_settings", "tear_sheet"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    if name in _PACKAGES + _MORE_PACKAGES:
        return import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_PACKAGES, *_MORE_PACKAGES})
