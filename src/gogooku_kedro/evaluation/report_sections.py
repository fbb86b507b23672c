"""Sections of the report that are lists of names and text: run, data checks, limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gogooku_kedro.evaluation.summary import EN_DASH, Metrics, Oracle, format_number


def run_facts(
    metrics: Metrics, split: Mapping[str, Any], manifest: Mapping[str, Any]
) -> list[tuple[str, str]]:
    """Return (name, text) rows that identify the run, its data span and its universe."""
    run, universe = metrics.get("run", {}), metrics.get("universe", {})
    spans = {part: f" {EN_DASH} ".join(split[part]) for part in ("train", "valid", "test")}
    seconds = run.get("seconds") or {}
    facts = {
        "Test part": spans["test"],
        "Valid part": spans["valid"],
        "Train part": spans["train"],
        "Purge": f"{split['purge_sessions']} sessions",
        "Universe": f"{_count(universe.get('codes'))} codes, {_count(universe.get('sessions'))} "
        f"sessions, {_count(universe.get('features', manifest.get('n_features')))} features",
        "Git": str(run.get("git_sha") or EN_DASH)[:12],
        "Config hash": str(run.get("config_hash") or EN_DASH)[:12],
        "Data hash": str(run.get("data_hash") or EN_DASH)[:12],
        "Seeds": ", ".join(str(seed) for seed in run.get("seeds") or [run.get("seed", EN_DASH)]),
        "Device": str(run.get("device") or EN_DASH),
        "Parameters": _count(run.get("n_parameters")),
        "Run time": f"{sum(seconds.values()):,.0f} s" if seconds else EN_DASH,
    }
    return list(facts.items())


def _count(value: int | None) -> str:
    return format_number(value, ",d")


def flat_rows(report: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return (name, text) rows of a nested mapping; names are joined with a middle dot."""
    rows: list[tuple[str, str]] = []
    for key, value in report.items():
        name = f"{prefix}{str(key).replace('_', ' ')}"
        if isinstance(value, Mapping):
            rows += flat_rows(value, f"{name} · ")
        elif isinstance(value, bool | str) or value is None:
            rows.append((name, EN_DASH if value is None else str(value)))
        elif isinstance(value, int | float):
            rows.append((name, format_number(value, ",d" if isinstance(value, int) else ",.4g")))
        else:
            rows.append((name, ", ".join(str(item) for item in value) or "none"))
    return rows


def limits_of_evidence(metrics: Metrics, oracle: Oracle | None, cost_bps: float) -> list[str]:
    """Return sentences saying what the numbers of the page do not show."""
    cells = metrics.get("test", {}).get("model", {})
    days = max((cell["days"] for cell in cells.values()), default=0)
    limits = [
        f"The test part has {days} sessions with labels. Daily rank IC differences of two models "
        f"typically vary by 0.06, so a mean difference below about "
        f"{2 * 0.06 / max(days, 1) ** 0.5:.3f} stays undecided.",
        "Horizons above one session overlap: 20-session labels hold about "
        f"{days // 20} independent observations.",
        "Four horizons and several models are shown; one in twenty intervals excludes 0 by chance.",
        f"Costs are {cost_bps:g} bps a side on the notional traded. Market impact, borrow fees, "
        "short-sale limits and unfilled orders at limit prices are not in it.",
        "Whether the universe holds companies that were delisted depends on the source; a file of "
        "companies alive today overstates every long book.",
        "One seed and one split: the spread between seeds is not part of any interval here.",
    ]
    if oracle is not None:
        limits.insert(0, "Synthetic market: nothing here says anything about real stocks.")
    return limits
