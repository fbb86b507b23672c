"""Kedro settings of the project: https://docs.kedro.org/en/stable/configure/configuration_basics/."""

from gogooku_kedro.config_files import ConfigLoader
from gogooku_kedro.hooks import (
    FitsSettings,
    FreedMemory,
    GraphMatchesModel,
    MlflowRecord,
    OneRun,
    RunRecord,
    SettingsCheck,
    SourceCheck,
)
from gogooku_kedro.mlflow_hooks import Registration, Tracking
from gogooku_kedro.run_progress import RunProgress

# Of hooks that go first, the last of these is called first; of those that go last, the last.
_fits_settings = FitsSettings()
HOOKS = (
    OneRun(),
    _fits_settings,
    SettingsCheck(),
    SourceCheck(),
    FreedMemory(),
    RunRecord(_fits_settings),
    GraphMatchesModel(),
    Tracking(),
    Registration(),
    MlflowRecord(),
    RunProgress(),
)

CONFIG_LOADER_CLASS = ConfigLoader

CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    # An environment changes the keys it writes and leaves the others of the section alone.
    "merge_strategy": {"parameters": "soft", "mlflow": "soft"},
}
