"""Under which settings and from which inputs a stored artefact was made, and whether a run may read it.

A node depends on the sections among its inputs, without the settings that change no result (`Section.identity`), on
the source of the raw tables that it reads, and on what its other inputs were made of. `READS` says where it reads less
of its sections. The seal beside a stored artefact (`datasets.integrity`) keeps this for every node that had a part in
it, and the hash of every stored input.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from kedro.framework.project import pipelines
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from gogooku_kedro.datasets import OhlcvFileDataset, OptionalDataset, SampleMarketDataset
from gogooku_kedro.datasets.integrity import content_hash, read_seal
from gogooku_kedro.features.registry import registered_identity
from gogooku_kedro.params import SECTIONS
from gogooku_kedro.params.base import flatten
from gogooku_kedro.pipelines.stage import in_run_order

READS: Mapping[str, tuple[str, ...]] = {
    "compute_features": ("features.families",),
    "describe_features": (
        "features.families",
        "features.normalisation",
        "features.normalisation_of",
        "features.sector_neutral",
        "features.clip",
    ),
    "check_features": ("features.min_history", "features.leak_cap", "features.checks"),
    "normalise_features": ("features.min_history",),  # the rest stands in the manifest
    "split_sessions": (
        "split",
        "labels.entry",
        "labels.residual",
        "labels.residual_window",
        "graph.window",
        "graph.cadence",
        "model.window",
    ),
    "build_tensors": ("model.gat.edge_attributes", "model.market_gate.enabled"),
    "train_model": ("model", "training", "ablation.arm_in_run", "ablation.variants.off"),
    "make_baseline_settings": ("model.window", "training.refit", "evaluation.seed"),
    "fit_blends": ("evaluation.blend",),
    "predict_oracle": ("labels.entry",),
    "stack_predictions": ("evaluation.factors",),
}
"""Node -> what it reads of its sections, where that is not all."""

PLACES = ("training.device", "training.compile")
"""Settings that say where a training computes: a model that was trained on one device is used on another."""

APPLIED = ("ensemble", "feature_manifest")
"""What may have been made from other data than those it is used with: a trained model, and the list of the features
that it reads, rank the sessions after it. Only a run that reads nothing else of the data asks for it."""

COUNTED = ("tuning_study",)
"""Of what only the number of its trials is read: the settings and inputs behind it are none of those of its reader."""

CONTENTS = tuple(f"{table}.content" for table in ("raw_bars", "listed_issues", "market_index"))
"""What says that a price file is another than before."""

RECORD = "run_record"

SHOWN = 5
"""Reasons in a sentence."""

Origin = dict[str, Any]
"""made: node -> dotted setting -> value; inputs: stored dataset -> hash."""


@dataclass(frozen=True)
class Mismatch:
    """Why a stored artefact is not what a run with the settings of now would make.

    Attributes:
        dataset: The artefact.
        node: What has to run again.
        reason: The setting with both values, or the input that is another.
    """

    dataset: str
    node: str
    reason: str


class Lineage:
    """The origins of stored artefacts, held against the settings of a run.

    Args:
        catalog: The catalog of the run.
        parameters: Its settings, as plain types; with `stale: allow` nothing is refused.
        environment: That of the configuration.
    """

    def __init__(self, catalog: DataCatalog, parameters: Mapping[str, Any], environment: str = "base") -> None:
        self._catalog, self._environment = catalog, environment
        self._insists = parameters.get("stale") == "allow"
        self._ships_blend = parameters["inference"]["scores"] == "blend"
        self._sections = {
            name: flatten({name: section.model_validate(parameters[name]).identity()})
            for name, section in SECTIONS.items()
        }
        self._flow = sum(pipelines.values(), Pipeline([]))
        self._makers = {name: node for node in self._flow.nodes for name in node.outputs}
        self._in_memory: dict[str, Origin] = {}
        self._settings_now = cache(self._settings)

    def announce(self, node: Node) -> None:
        """Tell the datasets that a node is about to save of what they will be."""
        origin = self._origin(node)
        for name in node.outputs:
            dataset: Any = self._catalog[name]
            if isinstance(dataset, MemoryDataset):
                self._in_memory[name] = origin
            else:
                dataset.origin = origin

    def read_by(self, pipeline: Pipeline) -> set[str]:
        """Return the stored datasets that a run begins with; those that say of what run they are are left out."""
        stored = pipeline.inputs() & self._makers.keys()
        return {
            name
            for name in stored
            if not isinstance(self._catalog[name], OptionalDataset) or (name == "latest_blend" and self._ships_blend)
        }

    def mismatches(self, names: Iterable[str], applied: Collection[str] = ()) -> list[Mismatch]:
        """Return what does not fit the settings of now in stored artefacts, and in what they were made from.

        Args:
            names: Datasets; what no pipeline makes, is not stored or not there is passed over.
            applied: Of them those that may have been made from fewer sessions, beside `APPLIED`.
        """
        applied = {*APPLIED, *applied}
        found: dict[Mismatch, None] = {}
        seen: set[str] = set()
        waiting = sorted(names)
        while waiting:
            name = waiting.pop(0)
            path = self._path(name) if name in self._makers else None
            if name in seen or path is None:
                continue
            seen.add(name)
            origin = (read_seal(path) or {}).get("origin")
            if origin is None:
                reason = f"{name} does not say of what it is: an earlier version wrote it, or a run that was cut off"
                found[Mismatch(name, self._makers[name].name, reason)] = None
                continue
            found |= dict.fromkeys(self._other_settings(name, origin["made"], name in applied))
            if name not in applied:
                found |= dict.fromkeys(self._other_inputs(name, origin["inputs"]))
                waiting += origin["inputs"]
        return list(found)

    def check(self, names: Collection[str], applied: Collection[str] = ()) -> list[str]:
        """Return why a run that reads `names` does not read what it would make itself; empty if it does.

        Args:
            names: Datasets.
            applied: As of `mismatches`.

        Raises:
            ValueError: It does not, and `stale: allow` does not insist; the message names the settings and the fix.
        """
        found = self.mismatches(names, applied)
        if found and not self._insists:
            raise ValueError(self._refusal(found, names))
        return reasons(found)

    def _refusal(self, found: Collection[Mismatch], names: Collection[str]) -> str:
        beside = {node.namespace for node in self._flow.nodes if set(node.outputs) & set(COUNTED)}
        flow = Pipeline([node for node in self._flow.nodes if node.namespace not in beside])
        again = flow.to_outputs(*names) & flow.from_nodes(*{mismatch.node for mismatch in found})
        stages = in_run_order({str(node.namespace) for node in again.nodes})
        environment = "" if self._environment == "base" else f" --env {self._environment}"
        each = reasons(found)
        more = [f"and {len(each) - SHOWN} more"] if len(each) > SHOWN else []
        return (
            f"what is stored was not made under the settings and from the inputs of this run: "
            f"{'; '.join(each[:SHOWN] + more)}. Make it anew, with the --params of this run: kedro run "
            f"--pipelines={','.join(stages)}{environment}; or insist with --params stale=allow"
        )

    def _origin(self, node: Node) -> Origin:
        made = {node.name: self._settings_now(node)}
        inputs: dict[str, str | None] = {}
        for name in sorted(set(node.inputs) & self._makers.keys() - set(COUNTED)):
            path = self._path(name)
            if name in self._in_memory:
                origin = self._in_memory[name]
                inputs |= origin["inputs"]
            elif path is not None:
                seal = read_seal(path) or {}
                origin = seal.get("origin") or {"made": {}}
                inputs[name] = seal.get("sha256")
            else:
                continue
            made = origin["made"] | made
        return {"made": made, "inputs": inputs}

    def _settings(self, node: Node) -> dict[str, Any]:
        """The dotted settings and the sources that a node depends on; a source that is not there says nothing."""
        names = [name.removeprefix("params:") for name in node.inputs]
        flat = {key: value for name in names for key, value in self._sections.get(name, {}).items()}
        if node.short_name in ("compute_features", "describe_features"):
            flat |= {f"features.families.registered.{name}": code for name, code in registered_identity().items()}
        if node.short_name in READS:
            flat = {key: value for key, value in flat.items() if _is_below(key, READS[node.short_name])}
        for name in node.inputs:
            if not (name.startswith("param") or name == RECORD or self._is_artefact(name)):
                flat |= flatten(_source(name, self._catalog[name]))
        return {key: value for key, value in flat.items() if not _is_below(key, PLACES)}

    def _other_settings(self, name: str, made: Mapping[str, Mapping[str, Any]], applied: bool) -> Iterable[Mismatch]:
        nodes = {node.name: node for node in self._flow.nodes}
        for maker, then in made.items():
            if maker not in nodes:
                yield Mismatch(name, self._makers[name].name, f"{maker}, which made {name}, is no more")
                continue
            now = self._settings_now(nodes[maker])
            for key in sorted(then.keys() | now.keys()):
                unknown = not (key in then and key in now) and key.partition(".")[0] not in SECTIONS
                before, after = (_shown(settings, key) for settings in (then, now))
                unknown |= applied and key in CONTENTS  # sessions were added since
                if before != after and not unknown:
                    yield Mismatch(name, maker, f"{key} was {before} then and is {after} now")

    def _other_inputs(self, name: str, inputs: Mapping[str, str | None]) -> Iterable[Mismatch]:
        others = []
        for read, then in inputs.items():
            path = self._path(read)
            if path is not None and (read_seal(path) or {}).get("sha256") != then:
                others.append(read)
        if others:
            reason = f"{name} was made from another {', '.join(others)} than is there"
            yield Mismatch(name, self._makers[name].name, reason)

    def _is_artefact(self, name: str) -> bool:
        dataset = self._catalog[name]
        return name in self._makers and (isinstance(dataset, MemoryDataset) or hasattr(dataset, "origin"))

    def _path(self, name: str) -> Path | None:
        """The file of a stored dataset that is there."""
        dataset: Any = self._catalog[name]
        return Path(dataset._filepath) if hasattr(dataset, "origin") and dataset.exists() else None


def reasons(found: Iterable[Mismatch]) -> list[str]:
    """Return each reason once."""
    return list(dict.fromkeys(mismatch.reason for mismatch in found))


def _source(name: str, dataset: Any) -> dict[str, Any]:
    """What identifies a table that no pipeline makes; all tables of a sample market have its settings."""
    source: dict[str, Any] = {"type": type(dataset).__name__}
    path = getattr(dataset, "_filepath", None)
    match dataset:
        case SampleMarketDataset():
            return {name: source, "sample_market": dataset.identity()}
        case OhlcvFileDataset():
            source |= dataset.identity()
        case _ if path and Path(path).is_file():
            source["content"] = content_hash(Path(path))
    return {name: source}


def _is_below(key: str, paths: Iterable[str]) -> bool:
    return any(key == path or key.startswith(f"{path}.") for path in paths)


def _shown(settings: Mapping[str, Any], key: str) -> str:
    return json.dumps(settings[key]) if key in settings else "absent"
