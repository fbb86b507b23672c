"""Sections of the report that are lists of names and text: run, data checks, limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gogooku_kedro.report.numbers import EN_DASH, Metrics, format_number, horizon_names


def first_line(metrics: Metrics) -> str:
    """Return the line under the heading: test span, universe, seeds."""
    first, last = metrics["split"]["test"]
    universe, seeds = metrics.get("universe", {}), _seeds(metrics.get("run", {}))
    return (
        f"Test {first} {EN_DASH} {last}, {_count(universe.get('codes'))} codes, "
        f"{'seed' if len(seeds) == 1 else 'seeds'} {', '.join(seeds)}"
    )


def run_facts(
    metrics: Metrics,
    split: Mapping[str, Any],
    manifest: Mapping[str, Any],
    quality_report: Mapping[str, Any] | None = None,
) -> list[tuple[str, str]]:
    """Return (name, text) rows that identify the run, its data span and its universe."""
    run, universe = metrics.get("run", {}), metrics.get("universe", {})
    spans = {part: f" {EN_DASH} ".join(split[part]) for part in ("train", "valid", "test")}
    seconds, checks = run.get("seconds") or {}, quality_report or {}
    facts = {
        "Test part": spans["test"],
        "Valid part": spans["valid"],
        "Train part": spans["train"],
        "Purge": f"{split['purge_sessions']} sessions",
        "Universe": f"{_count(universe.get('codes'))} codes, {_count(universe.get('sessions'))} "
        f"sessions, {_count(universe.get('features', manifest.get('n_features')))} features",
        "Data": f"{checks['from']} {EN_DASH} {checks['to']}" if {"from", "to"} <= set(checks) else EN_DASH,
        "Git": str(run.get("git_sha") or EN_DASH)[:13],
        "Config hash": str(run.get("config_hash") or EN_DASH)[:12],
        "Data hash": str(run.get("data_hash") or EN_DASH)[:12],
        "Environment": str(run.get("environment") or EN_DASH),
        "Seeds": ", ".join(_seeds(run)),
        "Device": str(run.get("device") or EN_DASH),
        "Parameters": _count(run.get("n_parameters")),
        "Run time": f"{sum(seconds.values()):,.0f} s" if seconds else EN_DASH,
    }
    return list(facts.items())


def seconds_rows(metrics: Metrics) -> str:
    """Return the seconds of every stage in one line, empty without a record."""
    seconds = metrics.get("run", {}).get("seconds") or {}
    return ", ".join(f"{stage} {value:,.1f} s" for stage, value in seconds.items())


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
            rows.append((name, "; ".join(str(item) for item in value) or "none"))
    return rows


def limits_of_evidence(
    key_results: Mapping[str, Any],
    metrics: Metrics,
    quality_report: Mapping[str, Any],
    *,
    rules: Mapping[str, Any] | None = None,
    synthetic: bool = False,
    folds: Mapping[str, Any] | None = None,
) -> list[str]:
    """Return sentences saying what the numbers of the page do not show, computed where they can be.

    Args:
        key_results: key_results.json.
        metrics: metrics.json.
        quality_report: Data checks.
        rules: `rules` of portfolio_metrics.json, None where no portfolios were held.
        synthetic: Whether the market is made up.
        folds: walk_forward_metrics.json, None where it was not run.
    """
    limits = ["Synthetic market: nothing here says anything about real stocks."] if synthetic else []
    limits += _limits_of_days(key_results, metrics)
    limits.append(_limits_of_the_portfolio(key_results["tradable"], rules))
    limits.append(_limits_of_the_universe(quality_report))
    limits += _limits_of_training(key_results, metrics, folds)
    return limits


def _limits_of_days(key_results: Mapping[str, Any], metrics: Metrics) -> list[str]:
    test = metrics.get("test", {})
    cells = test.get("model", {})
    days = max((cell["days"] for cell in cells.values()), default=0)
    limits = [f"The test part has {days} sessions with labels."]
    shown = key_results["horizon"]
    low, high = key_results["better"]["horizons"].get(shown, {}).get("ci95", (None, None))
    if low is not None and high is not None:
        limits[0] += (
            f" The {shown} difference from LightGBM is known to ±{(high - low) / 2:.3f} of rank IC: a true "
            "difference much smaller than that cannot be told from none on these days."
        )
    limits.append(
        f"Horizons above one session overlap: {days} sessions hold about {days // 20} independent 20-session labels."
    )
    trials = key_results["tradable"]["trials"]
    counted = "" if trials is None else f" The deflated Sharpe ratio counts {trials} trials, of this run only."
    limits.append(
        f"{len(horizon_names(metrics))} horizons and {len(test)} models are shown; one in twenty 95% "
        f"intervals misses by chance.{counted}"
    )
    return limits


def _limits_of_the_portfolio(tradable: Mapping[str, Any], rules: Mapping[str, Any] | None) -> str:
    cost = f"Costs are {tradable['cost_bps']:g} bps a side on the notional traded."
    if rules is None:
        missing = "Market impact, borrow fees, short-sale limits and unfilled orders at limit prices"
        return f"{cost} {missing} are not in it."
    lent = rules["loanable"]
    source = "margin balances" if lent["source"] == "margin balances" else "an assumption"
    share = "" if lent["share_of_stock_days"] is None else f" ({lent['share_of_stock_days']:.0%} of stock-days)"
    return (
        f"{cost} Orders at a limit price or in a halt stay unfilled; short sales follow "
        f"{source}{share}. Market impact and borrow fees are not in it."
    )


def _limits_of_the_universe(quality_report: Mapping[str, Any]) -> str:
    notes = [note for note in quality_report.get("notes", []) if "survivorship" in note]
    if notes:
        return f"{notes[0][:1].upper()}{notes[0][1:]}."
    return (
        "Whether the universe holds companies that were delisted depends on the source; a file of companies "
        "alive today overstates every long portfolio."
    )


def _limits_of_training(key_results: Mapping[str, Any], metrics: Metrics, folds: Mapping[str, Any] | None) -> list[str]:
    shown, spread = key_results["horizon"], key_results.get("seeds") or {}
    values = [value[shown] for value in spread.values() if value.get(shown) is not None]
    if len(values) > 1:
        seeds = (
            f"Scores are the mean of {len(values)} seeds, whose own {shown} rank IC lies between "
            f"{format_number(min(values))} and {format_number(max(values))}; intervals cover days, not seeds."
        )
    else:
        seeds = "One seed: the spread between trainings is in no interval here."
    if folds is None:
        return [seeds, "One split: other stretches of the history may differ (walk-forward was not run)."]
    n = len(folds["folds"])
    return [seeds, f"The first screen is of one split; {n} walk-forward folds are shown further down."]


def _seeds(run: Mapping[str, Any]) -> list[str]:
    return [str(seed) for seed in run.get("seeds") or [run.get("seed", EN_DASH)]]


def _count(value: int | None) -> str:
    return format_number(value, ",d")
