"""Finished variants on disk: each under a key of all that it was computed from, never computed twice."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

FORMAT = 1
SUMMARY, DAILY, SCORES = "summary.json", "daily.parquet", "seed_scores.parquet"


@dataclass(frozen=True)
class VariantResult:
    """One variant on one fold.

    Attributes:
        daily: Table of `measure_seeds`.
        seed_scores: date, code, split, seed, score_<h>d on the test part.
        n_parameters: Trained parameters of one model.
        seconds: Training and scoring of all seeds.
    """

    daily: pd.DataFrame
    seed_scores: pd.DataFrame
    n_parameters: int
    seconds: float


def variant_key(inputs: dict[str, Any]) -> str:
    """Return the name of a computation: equal inputs, and only they, have equal keys.

    Args:
        inputs: Everything the result depends on, as JSON types.
    """
    content = json.dumps(inputs | {"format": FORMAT}, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def save_variant(folder: Path, result: VariantResult, inputs: dict[str, Any]) -> None:
    """Write a finished variant; the summary comes last and marks it complete."""
    folder.mkdir(parents=True, exist_ok=True)
    result.daily.to_parquet(folder / DAILY, index=False)
    result.seed_scores.to_parquet(folder / SCORES, index=False)
    summary = {"n_parameters": result.n_parameters, "seconds": result.seconds, "inputs": inputs}
    unfinished = folder / f".{SUMMARY}"
    unfinished.write_text(json.dumps(summary, indent=2))
    unfinished.replace(folder / SUMMARY)


def load_variant(folder: Path) -> VariantResult | None:
    """Return what `save_variant` wrote, None where an variant is not finished.

    Raises:
        ValueError: A file is damaged; the message names the folder.
    """
    if not (folder / SUMMARY).exists():
        return None
    try:
        summary = json.loads((folder / SUMMARY).read_text())
        tables = pd.read_parquet(folder / DAILY), pd.read_parquet(folder / SCORES)
        return VariantResult(*tables, summary["n_parameters"], summary["seconds"])
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(
            f"ablation.walk_forward.folder: the finished variant in {folder} cannot be read ({error}); remove "
            f"that folder to train the variant again"
        ) from error
