"""The arms of an ablation: whole settings of the model, and which arms are one and the same training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ValidationError

from gogooku_kedro.ablation.control_graphs import GraphKind
from gogooku_kedro.params import ModelParams
from gogooku_kedro.params.ablation import AblationParams, ArmParams
from gogooku_kedro.validation import sentence


@dataclass(frozen=True)
class Training:
    """What is trained: settings of the model and the graph that it hears."""

    model: ModelParams
    graph: GraphKind


@dataclass(frozen=True)
class Arm:
    """A row of the ablation; arms with equal `training` share it."""

    name: str
    training: Training
    scores: Literal["raw", "pca_neutral"]


def resolve_arms(params: AblationParams, model: ModelParams) -> list[Arm]:
    """Return the arms of `ablation.run`, in this order, with whole settings.

    Args:
        params: Section `ablation`.
        model: Section `model`, which the arms change.

    Raises:
        ValueError: The settings of an arm are not those of a model, naming `ablation.arms.<name>`; all
            problems of all arms together.
    """
    arms, problems = [], []
    for name in params.run:
        try:
            arms.append(Arm(name, _training(name, params.arms[name], model), params.arms[name].scores))
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise ValueError("\n".join(problems))
    return arms


def arm_problems(parameters: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the arms of `ablation.run`, one sentence each.

    Args:
        parameters: Merged configuration whose sections `ablation` and `model` are valid by themselves.
    """
    try:
        resolve_arms(
            AblationParams.model_validate(parameters["ablation"]),
            ModelParams.model_validate(parameters["model"]),
        )
    except ValueError as error:
        return str(error).splitlines()
    return []


def overlaid(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with the nested `changes` laid over it; lists are replaced as a whole."""
    merged = dict(base)
    for key, value in changes.items():
        before = merged.get(key)
        both = isinstance(value, Mapping) and isinstance(before, Mapping)
        merged[key] = overlaid(before, value) if both else value  # type: ignore[arg-type]
    return merged


def _training(name: str, arm: ArmParams, model: ModelParams) -> Training:
    path = f"ablation.arms.{name}"
    try:
        changed = ModelParams.model_validate(overlaid(model.model_dump(), arm.model))
    except ValidationError as error:
        found = [sentence(f"{path}.model", ModelParams, details) for details in error.errors()]
        raise ValueError("\n".join(s if s.startswith(path) else f"{path}: {s}" for s in found)) from None
    if not changed.gat.enabled:
        return Training(changed, "as_is")  # it hears no graph, whichever there is
    if arm.graph != "as_is" and changed.gat.learned_graph.enabled:
        raise ValueError(
            f"{path}.graph: {arm.graph} with model.gat.learned_graph.enabled: true, which finds the peers "
            f"again; set {path}.model.gat.learned_graph.enabled: false"
        )
    return Training(changed, arm.graph)
