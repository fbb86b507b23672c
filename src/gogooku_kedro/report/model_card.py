"""The model card: what a model is for, what it was measured on and what it is not, in Markdown.

Sections after Mitchell et al. (2019), "Model Cards for Model Reporting".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined

from gogooku_kedro.report import tables
from gogooku_kedro.report.card_tables import behind_the_answers
from gogooku_kedro.report.cards import answer_cards
from gogooku_kedro.report.numbers import NO_BREAK
from gogooku_kedro.report.page import Evidence
from gogooku_kedro.report.sections import limits_of_evidence, run_facts
from gogooku_kedro.report.tables import TextTable


def render_model_card(
    evidence: Evidence, *, model: Mapping[str, Any], training: Mapping[str, Any], labelling: Mapping[str, Any]
) -> str:
    """Return the model card of a run in Markdown; its numbers are those of the report.

    Args:
        evidence: What the run left.
        model: Settings of the model.
        training: Settings of the training.
        labelling: Settings of the labels.
    """
    environment = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    text = (files(__package__) / "templates" / "model_card.md.j2").read_text(encoding="utf-8")
    metrics, key_results = evidence.metrics, evidence.key_results
    return environment.from_string(text).render(
        synthetic=evidence.oracle is not None,
        source=evidence.quality_report.get("source", "unknown"),
        facts=dict(run_facts(metrics, metrics["split"], evidence.manifest, evidence.quality_report)),
        families=sorted(_families(evidence.manifest).items()),
        dropped=evidence.manifest.get("dropped", {}),
        model=model,
        training=training,
        labelling=labelling,
        purge=metrics["split"]["purge_sessions"],
        rules=(evidence.portfolio or {}).get("rules"),
        answers=answer_cards(key_results),
        tables=[
            tables.rank_ic_table(metrics, evidence.oracle),
            tables.sharpe_table(metrics, evidence.cost_bps),
            *behind_the_answers(key_results),
        ],
        limits=limits_of_evidence(
            key_results,
            metrics,
            evidence.quality_report,
            rules=(evidence.portfolio or {}).get("rules"),
            synthetic=evidence.oracle is not None,
            folds=evidence.folds,
        ),
        markdown=markdown_table,
    )


def markdown_table(table: TextTable) -> str:
    """Return a table in Markdown, without its caption."""
    lines = [table.head, ["---", *["---:"] * (len(table.head) - 1)], *table.rows]
    return "\n".join(f"| {' | '.join(_cells(line))} |" for line in lines)


def _cells(line: Sequence[str]) -> list[str]:
    return [cell.replace("|", "\\|").replace(NO_BREAK, " ") for cell in line]


def _families(manifest: Mapping[str, Any]) -> Counter[str]:
    return Counter(str(feature["family"]) for feature in manifest.get("features", []))
