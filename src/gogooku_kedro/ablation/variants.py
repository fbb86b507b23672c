"""The variants of an ablation: whole settings of the model, and which variants are one and the same training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from gogooku_kedro.ablation.control_graphs import GraphKind
from gogooku_kedro.params import EvaluationParams, FeaturesParams, ModelParams, TrainingParams
from gogooku_kedro.params.ablation import AblationParams, VariantParams
from gogooku_kedro.params.base import overlaid
from gogooku_kedro.validation import sentence


@dataclass(frozen=True)
class Training:
    """What is trained: settings of the model and the graph that it gets."""

    model: ModelParams
    graph: GraphKind


@dataclass(frozen=True)
class Variant:
    """A row of the ablation; variants with equal `training` share it."""

    name: str
    training: Training
    scores: Literal["raw", "pca_neutral"]


@dataclass(frozen=True)
class AblationSettings:
    """Settings that decide what the variants score.

    Attributes:
        variants: The variants of `ablation.run`.
        features: Section `features`.
        training: Section `training` with the seeds of the ablation.
        evaluation: Section `evaluation`.
        folder: Where finished variants lie.
    """

    variants: tuple[Variant, ...]
    features: FeaturesParams
    training: TrainingParams
    evaluation: EvaluationParams
    folder: Path


def ablation_settings(
    params: AblationParams,
    features: FeaturesParams,
    model: ModelParams,
    training: TrainingParams,
    evaluation: EvaluationParams,
) -> AblationSettings:
    """Return the settings of all sections that an ablation reads; errors as of `resolve_variants`."""
    seeded, folder = training.model_copy(update={"seeds": params.seeds}), Path(params.walk_forward.folder)
    return AblationSettings(tuple(resolve_variants(params, model)), features, seeded, evaluation, folder)


def resolve_variants(params: AblationParams, model: ModelParams) -> list[Variant]:
    """Return the variants of `ablation.run`, in this order, with whole settings.

    Args:
        params: Section `ablation`.
        model: Section `model`, which the variants change.

    Raises:
        ValueError: The settings of a variant are not those of a model, naming `ablation.variants.<name>`; all
            problems of all variants together.
    """
    variants, problems = [], []
    for name in params.run:
        try:
            variants.append(Variant(name, _training(name, params.variants[name], model), params.variants[name].scores))
        except ValueError as error:
            problems.append(str(error))
    if problems:
        raise ValueError("\n".join(problems))
    _check_effect({variant.name: variant for variant in variants}, params)
    return variants


def _check_effect(variants: Mapping[str, Variant], params: AblationParams) -> None:
    """Refuse variants `on` and `off` whose difference is not the effect of the GAT."""
    for name, enabled in (("on", True), ("off", False)):
        found = variants[name].training.model.gat.enabled
        if found != enabled:
            raise ValueError(
                f"ablation.variants.{name}: model.gat.enabled is {str(found).lower()}, so that on minus off would not "
                f"be what the GAT adds; write {{model: {{gat: {{enabled: {str(enabled).lower()}}}}}}}"
            )
    if params.variants["on"].graph != "as_is":
        raise ValueError(
            f"ablation.variants.on.graph: {params.variants['on'].graph} is a control, so that on would not have the "
            f"graph whose effect is measured; write as_is"
        )
    if variants["on"].scores != variants["off"].scores:
        raise ValueError(
            f"ablation.variants.on.scores: {variants['on'].scores} beside {variants['off'].scores} in off would be "
            f"part of the difference; write the same in both"
        )


def variant_problems(parameters: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the variants of `ablation.run`, one sentence each.

    Args:
        parameters: Merged configuration whose sections `ablation` and `model` are valid by themselves.
    """
    try:
        resolve_variants(
            AblationParams.model_validate(parameters["ablation"]),
            ModelParams.model_validate(parameters["model"]),
        )
    except ValueError as error:
        return str(error).splitlines()
    return []


def _training(name: str, variant: VariantParams, model: ModelParams) -> Training:
    path = f"ablation.variants.{name}"
    try:
        changed = ModelParams.model_validate(overlaid(model.model_dump(), variant.model))
    except ValidationError as error:
        found = [sentence(f"{path}.model", ModelParams, details) for details in error.errors()]
        raise ValueError("\n".join(s if s.startswith(path) else f"{path}: {s}" for s in found)) from None
    if not changed.gat.enabled:
        return Training(changed, "as_is")  # it reads no graph
    if variant.graph != "as_is" and changed.gat.learned_graph.enabled:
        raise ValueError(
            f"{path}.graph: {variant.graph} with model.gat.learned_graph.enabled: true, which finds the neighbours "
            f"again; set {path}.model.gat.learned_graph.enabled: false"
        )
    return Training(changed, variant.graph)
