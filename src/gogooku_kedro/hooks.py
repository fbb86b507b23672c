"""Hooks: settings are checked before the first node, the graph before the model, and every run is recorded.

Hooks are kept thin and without state of their own beyond one run; what they check is library code.
"""

import logging
import subprocess
import time
from collections.abc import Iterable
from typing import Any

import click
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from gogooku_kedro.params import RUNTIME_PARAMETERS, SECTIONS, ModelParams
from gogooku_kedro.params.base import Section
from gogooku_kedro.validation import configuration_problems

logger = logging.getLogger(__name__)

GPU_TAG = "gpu"
GAT_TAG = "gat"
RECORD = "run_record"
SHOWN = {"metrics": ("metrics",), "walk_forward_metrics": ("walk_forward_metrics",)}
"""Tables of figures that are logged and printed when they were written, and the files to point at."""

STUDIES = {"ablation", "explanation"}
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
        """Check the variants of an ablation, and the device, for pipelines that need them."""
        if "params:ablation" in pipeline.inputs():
            from gogooku_kedro.ablation.variants import variant_problems

            problems = variant_problems(plain_parameters(catalog))
            if problems:
                raise SettingsError("\n".join(problems))
        if any(GPU_TAG in node.tags for node in pipeline.nodes):
            from gogooku_kedro.training import resolve_device

            try:
                training = plain_parameters(catalog)["training"]
                resolve_device(training["device"], training["devices"])
            except ValueError as error:
                raise SettingsError(str(error)) from error


class GraphMatchesModel:
    """Hold the GAT's settings against the graph that is about to reach it."""

    @hook_impl
    def before_node_run(self, node: Node, inputs: dict[str, Any]) -> None:
        """Check nodes tagged ``gat``: edges on the training dates, those of every fold, and attributes."""
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
    """Record what ran: commit, settings, seed, and the seconds of every stage."""

    def __init__(self) -> None:
        self._started: dict[str, float] = {}

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], catalog: DataCatalog) -> None:
        """Begin a record; stages that ran before with the same settings keep their seconds."""
        parameters = plain_parameters(catalog)
        record = {
            "git_sha": git_sha(),
            "config_hash": config_hash(parameters),
            "seed": parameters["training"]["seed"],
            "seeds": parameters["training"]["seeds"] or [parameters["training"]["seed"]],
            "environment": run_params.get("env") or "base",
            "seconds": {},
        }
        if catalog.exists(RECORD):
            before = catalog.load(RECORD)
            if before["config_hash"] == record["config_hash"]:
                record["seconds"] = before["seconds"]
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
        nodes = self._record["seconds"].setdefault(stage, {})
        nodes[node.short_name] = round(elapsed, 2)
        self._catalog.save(RECORD, self._record)


class MlflowRecord:
    """Write parameters row by row and the final metrics to the MLflow run, if one is open."""

    @hook_impl(trylast=True)
    def before_pipeline_run(self, catalog: DataCatalog) -> None:
        """Log every setting under its dotted path; kedro-mlflow would log a typed section as one string."""
        import mlflow

        if mlflow.active_run() is not None:
            parameters = plain_parameters(catalog)
            settings = {k: v for k, v in parameters.items() if k in SECTIONS or k in RUNTIME_PARAMETERS}
            mlflow.log_params({k: str(v)[:500] for k, v in flatten(settings).items()})

    @hook_impl(tryfirst=True)
    def after_pipeline_run(self, pipeline: Pipeline, catalog: DataCatalog) -> None:
        """Log the test metrics and the report, and print the short table."""
        import mlflow

        written, tracked = pipeline.all_outputs(), mlflow.active_run() is not None
        for name in (name for name in SHOWN if name in written):
            metrics = catalog.load(name)
            if tracked:
                log_figures(metrics, name.removesuffix("metrics").rstrip("_"))
            print_summary(metrics, SHOWN[name], catalog)
        if {"key_results", "report", "model_card"} <= written:
            show_report(catalog, tracked)
        if {"gat_effect", "gat_effect_page"} <= written:
            show_effect(catalog, tracked)


def show_report(catalog: DataCatalog, tracked: bool) -> None:
    """Print the answers and where the report is; log both, the model card and every figure of the page."""
    import mlflow
    from rich.console import Console

    from gogooku_kedro.pipelines.report.groups import FIGURES
    from gogooku_kedro.report.cards import terminal_lines

    key_results, console = catalog.load("key_results"), Console()
    if tracked:
        figures = flatten({"key_results": key_results}, "/")
        mlflow.log_metrics({k: float(v) for k, v in figures.items() if isinstance(v, int | float)})
        mlflow.log_text(catalog.load("report"), "report.html")
        mlflow.log_text(catalog.load("model_card"), "model_card.md")
        for name in filter(catalog.exists, FIGURES):
            mlflow.log_figure(catalog.load(name), f"figures/{name}.html")
    for line in terminal_lines(key_results):
        console.print(line, soft_wrap=True, highlight=False)
    for name in ("report", "model_card"):
        console.print(f"{name}: {catalog[name]._describe()['filepath']}", soft_wrap=True)


def show_effect(catalog: DataCatalog, tracked: bool) -> None:
    """Print whether the goals of the graph network are met and where the page is; log both."""
    import mlflow
    from rich.console import Console

    from gogooku_kedro.report.effect_page import effect_answers, horizons_of

    effect, console = catalog.load("gat_effect"), Console()
    if tracked:
        figures = flatten({"gat_effect": {name: effect[name] for name in horizons_of(effect)}}, "/")
        mlflow.log_metrics({k: float(v) for k, v in figures.items() if isinstance(v, int | float)})
        mlflow.log_text(catalog.load("gat_effect_page"), "gat_effect.html")
    for answer in effect_answers(effect):
        console.print(f"{answer.question} {answer.text}", soft_wrap=True)
    for name in ("gat_effect", "gat_effect_page"):
        console.print(f"{name}: {catalog[name]._describe()['filepath']}", soft_wrap=True)


def plain_parameters(catalog: DataCatalog) -> dict[str, Any]:
    """The merged configuration as plain types; Kedro hands validated sections over as objects."""
    parameters: dict[str, Any] = catalog.load("parameters")
    return {k: v.model_dump(mode="json") if isinstance(v, Section) else v for k, v in parameters.items()}


def log_figures(metrics: dict[str, Any], prefix: str) -> None:
    """Log the figures of the parts of the split to the open MLflow run, under their path."""
    import mlflow

    parts: dict[str, Any] = {part: metrics[part] for part in ("valid", "test") if part in metrics}
    figures = flatten({prefix: parts} if prefix else parts, "/")
    mlflow.log_metrics({k: float(v) for k, v in figures.items() if isinstance(v, int | float)})


def print_summary(metrics: dict[str, Any], files: Iterable[str], catalog: DataCatalog) -> None:
    """Print the model beside the baselines, and where the files with more are."""
    from rich.console import Console

    from gogooku_kedro.baselines.oracle import oracle_bounds
    from gogooku_kedro.report.numbers import summary_table

    console = Console()
    entry = plain_parameters(catalog)["labels"]["entry"]
    bounds = oracle_bounds(catalog.load("market_oracle"), entry)
    console.print(summary_table(metrics, bounds))
    for name in filter(catalog.exists, files):
        console.print(f"{name}: {catalog[name]._describe()['filepath']}", soft_wrap=True)


def git_sha() -> str:
    """Commit of the working tree, with ``+`` when it has changes; ``unknown`` outside a checkout."""
    try:
        sha = _git("rev-parse", "--short=12", "HEAD")
        return sha + ("+" if _git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def config_hash(parameters: dict[str, Any]) -> str:
    """Hash of the settings that decide a result, see `Section.identity`."""
    from gogooku_kedro.artifacts import digest

    decisive = {name: SECTIONS[name].model_validate(parameters[name]) for name in SECTIONS.keys() - STUDIES}
    return digest([decisive, parameters.get("signal_strength")])[:16]


def flatten(tree: dict[str, Any], separator: str = ".") -> dict[str, Any]:
    """Turn nested keys into paths, ``{"a": {"b": 1}}`` into ``{"a.b": 1}``."""
    rows: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            rows |= {f"{key}{separator}{k}": v for k, v in flatten(value, separator).items()}
        else:
            rows[str(key)] = value
    return rows


def _git(*arguments: str) -> str:
    run = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True)
    return run.stdout.strip()
