"""Hooks: settings are checked before the first node, the graph before the model, and every run is recorded.

Hooks are kept thin and without state of their own beyond one run; what they check is library code.
"""

import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog, DatasetError
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from gogooku_kedro.datasets import OhlcvFileDataset
from gogooku_kedro.freed_memory import give_back
from gogooku_kedro.params import RUNTIME_PARAMETERS, SECTIONS, ModelParams
from gogooku_kedro.params.base import Section, flatten
from gogooku_kedro.pipelines.stage import in_run_order
from gogooku_kedro.validation import configuration_problems

if TYPE_CHECKING:
    from gogooku_kedro.artifacts import RootLock

logger = logging.getLogger(__name__)

GPU_TAG = "gpu"
GAT_TAG = "gat"
RECORD = "run_record"
MEASURED = ("metrics", "walk_forward_metrics")
"""Datasets whose numbers are logged and printed when they were written."""

IDENTITY = ("git_sha", "config_hash", "environment", "preset")
"""Fields of the record of a run that are tags in MLflow."""

HASHES = {"data_hash": ("quality_report", "data_hash"), "feature_hash": ("feature_manifest", "hash")}
"""Tag in MLflow -> dataset and key that it is of."""

RANKING = "latest_ranking"
PAGES = {"key_results", "report", "model_card"}

STUDIES = {"ablation", "tuning", "explanation", "jquants", "daily"}
"""Sections that change no result of another pipeline, and so are no part of what a run is recognised by."""


class SettingsError(click.ClickException, ValueError):
    """Settings with which nothing can run; the command line prints the sentence without a traceback."""


class SettingsCheck:
    """Refuse wrong settings and a device that is not there, before anything runs or is written."""

    @hook_impl(tryfirst=True)
    def after_context_created(self, context: KedroContext) -> None:
        """Check every section; Kedro does so too, later and at length."""
        problems = configuration_problems(context.config_loader["parameters"])
        if problems:
            raise SettingsError("\n".join(problems))

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Check the variants of an ablation, the space of a tuning, and the device, for pipelines that need them."""
        problems = []
        if "params:ablation" in pipeline.inputs():
            from gogooku_kedro.ablation.variants import variant_problems

            problems += variant_problems(plain_parameters(catalog))
        if "params:tuning" in pipeline.inputs():
            from gogooku_kedro.tuning.space import space_problems

            problems += space_problems(plain_parameters(catalog))
        if problems:
            raise SettingsError("\n".join(problems))
        training = plain_parameters(catalog)["training"]
        asks = training["device"] == "cuda" or training["devices"] > 1  # other settings fit every machine
        if asks and any(GPU_TAG in node.tags for node in pipeline.nodes):
            from gogooku_kedro.training import resolve_device  # imports torch, which takes seconds

            try:
                resolve_device(training["device"], training["devices"])
            except ValueError as error:
                raise SettingsError(str(error)) from error


class OneRun:
    """Keep a second run off the data root."""

    def __init__(self) -> None:
        self._lock: RootLock | None = None

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self, catalog: DataCatalog) -> None:
        """Take the data root, which is where the record of the run lies."""
        from gogooku_kedro.artifacts import RootLock

        self._release()  # of a run in this process that another hook stopped
        lock = RootLock(Path(catalog[RECORD]._describe()["filepath"]).parents[1])
        try:
            lock.acquire()
        except BlockingIOError as error:
            raise SettingsError(str(error)) from error
        except OSError as error:
            problem = f"data_root: {error.filename}: {error.strerror}"
            raise SettingsError(f"{problem}; give another --params data_root=DIR") from error
        self._lock = lock

    @hook_impl(trylast=True)
    def after_pipeline_run(self) -> None:
        """Give it back."""
        self._release()

    @hook_impl(trylast=True)
    def on_pipeline_error(self) -> None:
        """Give it back."""
        self._release()

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None


class FitsSettings:
    """Refuse a run that would read what was made under other settings or inputs, and say of what it writes.

    Attributes:
        stale: Why the run that has begun does not read what it would make itself; empty if it does.
    """

    def __init__(self) -> None:
        self.stale: list[str] = []

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Hold what is stored against the settings; `--params stale=allow` insists."""
        from gogooku_kedro.lineage import Lineage

        self._lineage = Lineage(catalog, plain_parameters(catalog), run_params.get("env") or "base")
        try:
            self.stale = self._lineage.check(self._lineage.read_by(pipeline))
        except ValueError as error:
            raise SettingsError(str(error)) from error

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        """Tell the datasets that the node saves of what they will be."""
        self._lineage.announce(node)


class SourceCheck:
    """Refuse a price file that is not there, and to rank with the panel of one that is another now."""

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """See that what is read is there; hold it against the panel where a ranking is made without reading it."""
        source, report = catalog["raw_bars"], "quality_report"
        if "raw_bars" in pipeline.inputs() and isinstance(source, OhlcvFileDataset):
            source.extra = tuple(plain_parameters(catalog)["ingestion"]["extra_columns"])
            try:
                source.checked_path()
            except DatasetError as error:
                raise SettingsError(str(error)) from error
        if RANKING not in pipeline.all_outputs() or report in pipeline.all_outputs() or not catalog.exists(report):
            return
        from gogooku_kedro.market.source_state import source_change

        before = catalog.load(report).get("source_state")
        given = source._describe().get("filepath")
        if before is None or (change := source_change(before, Path(given) if given else None)) is None:
            return
        raise SettingsError(
            f"{change}; the ranking would be of the old panel. Rank the new one with the --env and --params of "
            f"this run: kedro run --pipelines=data,inference"
        )


class FreedMemory:
    """Give what the nodes before have freed back to the system."""

    def __init__(self) -> None:
        self._node: Node | None = None

    @hook_impl
    def before_dataset_loaded(self, node: Node) -> None:
        """Do so once, before the first input of a node is loaded."""
        if node is self._node:
            return
        self._node = node
        give_back()


class GraphMatchesModel:
    """Hold the GAT's settings against the graph that is about to reach it."""

    @hook_impl
    def before_node_run(self, node: Node, inputs: dict[str, Any]) -> None:
        """Check nodes tagged `gat`: edges on the training dates, those of every fold, and attributes."""
        if GAT_TAG not in node.tags:
            return
        from gogooku_kedro.graph import check_graph

        model = inputs["params:model"] if "params:model" in inputs else inputs["fold_settings"].model
        if isinstance(model, dict):  # Kedro switches typed parameters off when a type hint fails to resolve
            model = ModelParams.model_validate(model)
        if not model.gat.enabled:
            return
        splits = [inputs["split"]] if "split" in inputs else inputs["walk_forward_splits"]
        try:
            for split in splits:
                check_graph(inputs["graph_edges"], model.gat.edge_attributes, split["train"])
        except ValueError as error:
            raise SettingsError(str(error)) from error


class RunRecord:
    """Record what ran: commit, settings, seed, and the seconds of every stage.

    Args:
        fits: The hook that has held what is stored against the settings of the run.
    """

    def __init__(self, fits: FitsSettings) -> None:
        self._fits = fits
        self._started: dict[str, float] = {}

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], catalog: DataCatalog) -> None:
        """Begin a record; stages that ran before with the same settings keep their seconds."""
        from gogooku_kedro.report.provenance import git_sha

        parameters = plain_parameters(catalog)
        record = {
            "git_sha": git_sha(),
            "config_hash": config_hash(parameters),
            "seed": parameters["training"]["seed"],
            "seeds": parameters["training"]["seeds"] or [parameters["training"]["seed"]],
            "environment": run_params.get("env") or "base",
            "preset": (run_params.get("runtime_params") or {}).get("preset", "none"),
            "stale": self._fits.stale,
            "seconds": {},
        }
        if record["stale"]:
            logger.warning("stale=allow: %s", "; ".join(record["stale"]))
        before = _stored_record(catalog)
        if before.get("config_hash") == record["config_hash"]:
            record["seconds"] = before.get("seconds", {})
        self._record, self._catalog = record, catalog
        catalog.save(RECORD, record)

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        """Start the clock of a node."""
        self._started[node.name] = time.monotonic()

    @hook_impl
    def after_node_run(self, node: Node) -> None:
        """Add a node's seconds to its stage."""
        self._record_seconds(node)

    @hook_impl
    def after_dataset_saved(self, node: Node) -> None:
        """Count on: a node that yields blocks computes while they are saved."""
        self._record_seconds(node)

    def _record_seconds(self, node: Node) -> None:
        elapsed = time.monotonic() - self._started[node.name]
        stage = node.namespace or "other"
        seconds = self._record["seconds"]
        seconds.setdefault(stage, {})[node.short_name] = round(elapsed, 2)
        self._record["seconds"] = {name: seconds[name] for name in in_run_order(seconds)}
        self._catalog.save(RECORD, self._record)


class MlflowRecord:
    """Write parameters row by row and the final metrics to the MLflow run, if one is open."""

    @hook_impl(trylast=True)
    def before_pipeline_run(self, run_params: dict[str, Any], catalog: DataCatalog) -> None:
        """Name the run, and log every setting under its dotted path; kedro-mlflow logs a section as one string."""
        import mlflow

        from gogooku_kedro.tracking import run_name, track

        parameters, record = plain_parameters(catalog), catalog.load(RECORD)
        source = Path(catalog["raw_bars"]._describe().get("filepath") or "sample market").name
        track(mlflow.set_tag, "mlflow.runName", run_name(run_params, source, record))
        track(mlflow.set_tags, {name: str(record[name]) for name in IDENTITY})
        settings = {k: v for k, v in parameters.items() if k in SECTIONS or k in RUNTIME_PARAMETERS}
        track(mlflow.log_params, {k: str(v)[:500] for k, v in flatten(settings).items()})

    @hook_impl
    def after_node_run(self, outputs: dict[str, Any], catalog: DataCatalog) -> None:
        """Print what the ingestion made of the raw bars."""
        if "quality_report" in outputs:
            from gogooku_kedro.report.publish import show_ingestion

            show_ingestion(outputs["quality_report"], paths(catalog, "quality_report"))

    @hook_impl(tryfirst=True)
    def after_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Log what was measured and written, and print the short table, the answers and where the files are."""
        import mlflow

        from gogooku_kedro.baselines.oracle import oracle_bounds
        from gogooku_kedro.pipelines.report.figures import FIGURES
        from gogooku_kedro.report import publish
        from gogooku_kedro.tracking import track

        written = pipeline.all_outputs()
        for tag, (name, key) in HASHES.items():
            if catalog.exists(name):
                track(mlflow.set_tag, tag, catalog.load(name)[key])
        for name in (name for name in MEASURED if name in written):
            metrics, entry = catalog.load(name), plain_parameters(catalog)["labels"]["entry"]
            track(publish.log_metrics, metrics, name.removesuffix("metrics").rstrip("_"))
            oracle = oracle_bounds(catalog.load("market_oracle"), entry)
            held = catalog.load("portfolio_metrics") if name == "metrics" else None
            publish.show_metrics(metrics, oracle, entry, paths(catalog, name), held)
        if written >= PAGES:
            key_results = catalog.load("key_results")

            def log_report() -> None:  # reads the figures where the run is tracked only
                figures = {name: catalog.load(name) for name in FIGURES if catalog.exists(name)}
                publish.log_answers(key_results)
                publish.log_report(catalog.load("report"), catalog.load("model_card"), figures)

            track(log_report)
            publish.show_answers(key_results, paths(catalog, "report", "model_card"))
        if RANKING in written:
            publish.show_ranking(catalog.load(RANKING), catalog.load("quality_report"), paths(catalog, RANKING))
        if "gat_effect" in written:
            effect = catalog.load("gat_effect")
            track(publish.log_effect, effect)
            publish.show_effect(effect, paths(catalog, "gat_effect"))
        if "tuning_study" in written:
            found = catalog.load("tuning_study")
            track(publish.log_tuning, found, catalog.load("tuning_page"))
            publish.show_tuning(found, paths(catalog, "tuning_page"))


def paths(catalog: DataCatalog, *names: str) -> dict[str, str]:
    """Return where the files of datasets are."""
    return {name: catalog[name]._describe()["filepath"] for name in names}


def _stored_record(catalog: DataCatalog) -> dict[str, Any]:
    """Return the record of the run before; one that cannot be read counts as absent, as it holds no results."""
    try:
        before = catalog.load(RECORD) if catalog.exists(RECORD) else {}
    except DatasetError as error:
        logger.warning("%s; seconds of earlier stages are left out", error)
        return {}
    return before if isinstance(before, dict) else {}


def plain_parameters(catalog: DataCatalog) -> dict[str, Any]:
    """Return the merged configuration as plain types; Kedro hands validated sections over as objects."""
    parameters: dict[str, Any] = catalog.load("parameters")
    return {k: v.model_dump(mode="json") if isinstance(v, Section) else v for k, v in parameters.items()}


def config_hash(parameters: dict[str, Any]) -> str:
    """Hash of the settings that decide a result, see `Section.identity`."""
    from gogooku_kedro.artifacts import digest

    decisive = {name: SECTIONS[name].model_validate(parameters[name]) for name in SECTIONS.keys() - STUDIES}
    return digest([decisive, parameters.get("signal_strength"), parameters.get("market_seed")])[:16]
