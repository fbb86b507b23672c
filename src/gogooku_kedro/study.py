"""The flow from bars to report in Python: every result is computed when it is first asked for, and kept.

A study runs the nodes of the pipelines on the catalog and the settings of the configuration that comes with the
package. What it leaves in its data root is what `kedro run` leaves there, and either goes on where the other stopped.
"""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from omegaconf import OmegaConf

from gogooku_kedro.artifacts import atomic_file

if TYPE_CHECKING:
    import plotly.graph_objects as go
    import xarray as xr
    from kedro.io import DataCatalog
    from kedro.pipeline import Pipeline

    from gogooku_kedro.lineage import Lineage
    from gogooku_kedro.training import Ensemble

CONF = Path(__file__).with_name("conf")
"""The configuration: `base` and the environments that change some of it."""
PACKAGE = __name__.partition(".")[0]


def load_settings(env: str = "base", params: Mapping[str, Any] | None = None, conf: Path = CONF) -> dict[str, Any]:
    """Return all settings of an environment, checked: section -> key -> value.

    Args:
        env: `base`, `ohlcv` (a price file of any market) or another folder of the configuration.
        params: Changes, nested or dotted: `{"training.max_epochs": 3}`.
        conf: Folder of the configuration.

    Raises:
        ValueError: There is no such environment, or a setting is wrong; the message names the setting and the fix.
    """
    return _checked(_loader(env, _nested(params), conf))


class Study:
    """From bars to report: each result is computed when it is first asked for, with all that it needs.

    Args:
        bars: A Parquet or CSV file, or a DataFrame with date, code, open, high, low, close and volume; None takes the
            source of the environment, in `base` the sample market. A DataFrame is kept in the data root.
        data_root: Folder that receives what is computed. What is there and of these settings is not computed again.
        env: Environment of the configuration; `ohlcv` with bars and `base` without, unless it is named.
        params: Changes of settings, nested or dotted: `{"training.max_epochs": 3}`.
        conf: Folder of the configuration; the one that comes with the package unless another is named.

    Attributes:
        settings: All settings: section -> key -> value.

    Raises:
        ValueError: A setting is wrong; the message names it and the fix.
    """

    def __init__(
        self,
        bars: str | Path | pd.DataFrame | None = None,
        *,
        data_root: str | Path = "data",
        env: str | None = None,
        params: Mapping[str, Any] | None = None,
        conf: str | Path = CONF,
    ) -> None:
        self.data_root = Path(data_root).resolve()
        self.env = env or ("base" if bars is None else "ohlcv")
        self._changes = _nested(params) | {"data_root": str(self.data_root)}
        if isinstance(bars, pd.DataFrame):
            bars = self._keep(bars)
        if bars is not None:
            self._changes["ohlcv_path"] = str(Path(bars).resolve())
        loader = _loader(self.env, self._changes, Path(conf))
        self.settings = _checked(loader)
        self._catalog = _typed_catalog(loader["catalog"], self.settings)
        self._lineages: dict[tuple[tuple[str, str], ...], Lineage] = {}

    def __getitem__(self, name: str) -> Any:
        """Return a dataset of the catalog, such as `daily_metrics`; it is computed where it is not there.

        Raises:
            KeyError: No pipeline makes a dataset of this name.
            ValueError: What is stored in the data root is of other settings or bars, or the data cannot feed a node.
        """
        if name not in self._flow.all_outputs() | self._flow.inputs():
            raise KeyError(f"{name!r} is no dataset; there are {', '.join(sorted(self._flow.all_outputs()))}")
        missing = self._missing(name)
        results = self._run(missing) if missing.nodes else {}
        return results[name].load() if name in results else self._catalog.load(name)

    @property
    def panel(self) -> xr.Dataset:
        """Prices, returns and flags on (date, code); NaN where a stock did not trade."""
        return self["panel"]  # type: ignore[no-any-return]

    @property
    def features(self) -> xr.Dataset:
        """Normalised features `x` (date, code, feature) and the universe `in_universe` (date, code)."""
        return self["features"]  # type: ignore[no-any-return]

    @property
    def graph_edges(self) -> pd.DataFrame:
        """Edges of correlated stocks: asof, source, target and attributes."""
        return self["graph_edges"]  # type: ignore[no-any-return]

    @property
    def labels(self) -> xr.Dataset:
        """Forward returns `ret` (date, code, horizon), fractions; NaN where they could not be traded."""
        return self["labels"]  # type: ignore[no-any-return]

    @property
    def split(self) -> dict[str, Any]:
        """Dates of train, valid and test."""
        return self["split"]  # type: ignore[no-any-return]

    @property
    def ensemble(self) -> Ensemble:
        """The trained networks."""
        return self["ensemble"]  # type: ignore[no-any-return]

    @property
    def scores(self) -> pd.DataFrame:
        """Scores of the network on the validation and the test part: date, code, split, score_<h>d and quantiles."""
        return self["predictions"]  # type: ignore[no-any-return]

    @property
    def metrics(self) -> dict[str, Any]:
        """Figures of every model: part -> model -> horizon -> figure, as in metrics.json."""
        return self["metrics"]  # type: ignore[no-any-return]

    @property
    def ranking(self) -> pd.DataFrame:
        """The latest session ranked by the trained networks."""
        return self["latest_ranking"]  # type: ignore[no-any-return]

    @property
    def figures(self) -> dict[str, go.Figure]:
        """The figures of the report by name."""
        from gogooku_kedro.pipelines.report.figures import OWN  # noqa: PLC0415

        return {name: self[name] for names in OWN.values() for name in names}

    @property
    def report(self) -> Path:
        """Path of the report, one HTML page that opens offline."""
        self["report"]
        return Path(self._catalog["report"]._describe()["filepath"])

    @cached_property
    def _flow(self) -> Pipeline:
        from kedro.framework.project import configure_project, pipelines  # noqa: PLC0415

        configure_project(PACKAGE)
        flow: Pipeline = pipelines["__default__"] + pipelines["inference"]
        return flow

    def _missing(self, name: str) -> Pipeline:
        """The nodes that have to run before a dataset can be loaded; none where it is stored and fits.

        Raises:
            ValueError: It is stored, and was made under other settings or from other bars.
        """
        from kedro.pipeline import Pipeline  # noqa: PLC0415

        lineage = self._lineage()
        makers = {output: node for node in self._flow.nodes for output in node.outputs}
        needed, waiting = {}, [name]
        while waiting:
            wanted = waiting.pop()
            if wanted not in makers or makers[wanted].name in needed:
                continue
            if _is_stored(self._catalog, wanted):
                lineage.check([wanted])
                continue
            needed[makers[wanted].name] = makers[wanted]
            waiting += makers[wanted].inputs
        return Pipeline(list(needed.values()))

    def _lineage(self) -> Lineage:
        """The lineage of the settings; another one when a feature is registered."""
        from gogooku_kedro.features.registry import registered_identity  # noqa: PLC0415
        from gogooku_kedro.lineage import Lineage  # noqa: PLC0415

        registered = tuple(registered_identity().items())
        if registered not in self._lineages:
            self._lineages[registered] = Lineage(self._catalog, self.settings, self.env)
        return self._lineages[registered]

    def _run(self, pipeline: Pipeline) -> dict[str, Any]:
        """Run nodes as `kedro run` does, with its checks, and return what is not stored."""
        from kedro.framework.hooks.manager import _create_hook_manager, _register_hooks  # noqa: PLC0415
        from kedro.runner import SequentialRunner  # noqa: PLC0415

        from gogooku_kedro import hooks  # noqa: PLC0415

        manager = _create_hook_manager()
        fits = hooks.FitsSettings()
        kinds = (hooks.OneRun, hooks.SourceCheck, hooks.SettingsCheck, hooks.FreedMemory, hooks.GraphMatchesModel)
        _register_hooks(manager, [fits, hooks.RunRecord(fits), *(kind() for kind in kinds)])
        of_run: dict[str, Any] = {
            "run_params": {"env": self.env, "runtime_params": self._changes},
            "pipeline": pipeline,
            "catalog": self._catalog,
        }
        chatter = logging.getLogger("kedro")  # two lines for every dataset
        level = chatter.level
        chatter.setLevel(logging.WARNING)
        try:
            manager.hook.before_pipeline_run(**of_run)
            results = SequentialRunner().run(pipeline, self._catalog, hook_manager=manager)
        except BaseException as error:
            manager.hook.on_pipeline_error(error=error, **of_run)
            raise
        finally:
            chatter.setLevel(level)
        manager.hook.after_pipeline_run(run_result=results, **of_run)
        return {name: result for name, result in results.items() if not _is_stored(self._catalog, name)}

    def _keep(self, bars: pd.DataFrame) -> Path:
        """Write bars that are in memory into the data root, where the next session finds them."""
        table = bars.reset_index() if any(name is not None for name in bars.index.names) else bars.copy()
        table.columns = pd.Index([str(name) for name in table.columns])
        content = io.BytesIO()
        try:
            table.to_parquet(content, index=False)
        except (TypeError, ValueError) as error:
            raise ValueError(f"bars: {error}; give every column values of one type") from error
        name = f"bars_{hashlib.sha256(content.getvalue()).hexdigest()[:12]}.parquet"
        with atomic_file(self.data_root / "01_raw" / name) as unfinished:
            unfinished.write_bytes(content.getvalue())
        return self.data_root / "01_raw" / name


def _typed_catalog(entries: dict[str, Any], settings: Mapping[str, Any]) -> DataCatalog:
    """The catalog of a run, whose nodes get every section of the settings typed."""
    from kedro.io import DataCatalog, MemoryDataset  # noqa: PLC0415

    from gogooku_kedro.params import SECTIONS  # noqa: PLC0415

    catalog = DataCatalog.from_config(entries)
    catalog["parameters"] = MemoryDataset(settings)
    for name, section in SECTIONS.items():
        catalog[f"params:{name}"] = MemoryDataset(section.model_validate(settings[name]), copy_mode="assign")
    return catalog


def _is_stored(catalog: DataCatalog, name: str) -> bool:
    return hasattr(catalog[name], "origin") and catalog.exists(name)


def _loader(env: str, changes: dict[str, Any], conf: Path) -> Any:
    from gogooku_kedro.config_files import unknown_environment  # noqa: PLC0415
    from gogooku_kedro.settings import CONFIG_LOADER_ARGS, CONFIG_LOADER_CLASS  # noqa: PLC0415

    unknown = unknown_environment(conf, env)
    if unknown:
        raise ValueError(unknown)
    arguments: dict[str, Any] = CONFIG_LOADER_ARGS
    return CONFIG_LOADER_CLASS(str(conf), env=env, runtime_params=changes, **arguments)


def _checked(loader: Any) -> dict[str, Any]:
    from gogooku_kedro.validation import configuration_problems  # noqa: PLC0415

    settings: dict[str, Any] = loader["parameters"]
    problems = configuration_problems(settings)
    if problems:
        raise ValueError("\n".join(problems))
    return settings


def _nested(params: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return settings nested, where dotted keys go down the tree."""
    tree = OmegaConf.create()
    for key, value in (params or {}).items():
        OmegaConf.update(tree, key, value, force_add=True)
    return dict(OmegaConf.to_container(tree))  # type: ignore[arg-type]
