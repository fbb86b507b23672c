"""What a report is written from, and what is said of it in words: facts of the run, data checks, limits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from gogooku_kedro.report.formats import EN_DASH, format_number
from gogooku_kedro.report.names import spoken_name
from gogooku_kedro.report.results import (
    GatEffect,
    KeyResults,
    Metrics,
    PortfolioMetrics,
    RunFacts,
    SplitDates,
    WalkForward,
    horizon_names,
    parse,
)
from gogooku_kedro.report.tables import GAINS, KINDS, Oracle


@dataclass(frozen=True)
class Evidence:
    """What a run left.

    Attributes:
        key_results: key_results.json.
        metrics: metrics.json.
        quality: Data checks, name -> number, text or a flat mapping of these; `issues` by finding.
        manifest: Feature manifest.
        portfolios: portfolio_metrics.json, None without.
        oracle: {"with_graph" | "without_graph": {"1d": rank IC, ...}}: the best rank IC that any model can
            reach on a sample market; None for a real one.
        folds: walk_forward_metrics.json of this data, None without.
        entry: `labels.entry`: at which price a position is opened.
    """

    key_results: KeyResults
    metrics: Metrics
    quality: Mapping[str, Any]
    manifest: Mapping[str, Any] = field(default_factory=dict)
    portfolios: PortfolioMetrics | None = None
    oracle: Oracle | None = None
    folds: WalkForward | None = None
    entry: str = "next_open"

    @classmethod
    def of(
        cls,
        metrics: Mapping[str, Any],
        key_results: Mapping[str, Any],
        portfolio_metrics: Mapping[str, Any],
        quality: Mapping[str, Any],
        manifest: Mapping[str, Any],
        *,
        oracle: Oracle | None,
        entry: str,
        stale: Sequence[str],
    ) -> Evidence:
        """Parse the files of a run; `stale` says what the writing of the report read of other settings."""
        found = parse(Metrics, metrics)
        reasons = tuple(dict.fromkeys((*found.run.stale, *stale)))  # of the evaluation, and of this run
        return cls(
            key_results=parse(KeyResults, key_results),
            metrics=replace(found, run=replace(found.run, stale=reasons)),
            quality=quality,
            manifest=manifest,
            portfolios=PortfolioMetrics.of(portfolio_metrics),
            oracle=oracle,
            entry=entry,
        )

    @property
    def cost_bps(self) -> float:
        """Cost per side of the net figures, in basis points."""
        return self.key_results.tradable.cost_bps


def entry_rule(entry: str) -> str:
    """Return the entry rule in words, which stand beside every table of results."""
    return f"entry at the {entry.replace('_', ' ')}"


def first_line(metrics: Metrics) -> str:
    """Return the line under the heading: test span, universe, seeds."""
    seeds = _seeds(metrics.run)
    word = "seed" if len(seeds) == 1 else "seeds"
    codes = format_number(metrics.universe.codes, ",d")
    return f"Test {_spans(metrics.split)['test']}, {codes} stocks, {word} {', '.join(seeds)}"


def run_facts(metrics: Metrics, manifest: Mapping[str, Any], quality: Mapping[str, Any]) -> dict[str, str]:
    """Return what identifies the run, its data span and its universe, by name."""
    run, universe, spans = metrics.run, metrics.universe, _spans(metrics.split)
    features = manifest.get("n_features") if universe.features is None else universe.features
    codes, sessions, counted = (format_number(n, ",d") for n in (universe.codes, universe.sessions, features))
    return {
        "Test part": spans["test"],
        "Valid part": spans["valid"],
        "Train part": spans["train"],
        "Seen in training": _seen(metrics),
        "Purge": f"{metrics.split.purge_sessions} sessions" if metrics.split else EN_DASH,
        "Universe": f"{codes} stocks, {sessions} sessions, {counted} features",
        "Data": _span(quality["from"], quality["to"]) if {"from", "to"} <= set(quality) else EN_DASH,
        "Git": (run.git_sha or EN_DASH)[:13],
        "Config hash": (run.config_hash or EN_DASH)[:12],
        "Data hash": (run.data_hash or EN_DASH)[:12],
        "Environment": run.environment + ("" if run.preset == "none" else f", preset {run.preset}"),
        "Seeds": ", ".join(_seeds(run)),
        "Device": run.device or EN_DASH,
        "Parameters": format_number(run.n_parameters, ",d"),
        "Run time": f"{sum(run.seconds.values()):,.0f} s" if run.seconds else EN_DASH,
    }


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


def limits_of_evidence(evidence: Evidence) -> list[str]:
    """Return sentences saying what the numbers of the page do not show, computed where they can be."""
    synthetic = ["Synthetic market: nothing here says anything about real stocks."]
    insisted = "Made with stale=allow from what other settings or inputs had made, so that the config hash is not"
    stale = [f"{insisted} that of every step: {'; '.join(evidence.metrics.run.stale)}."]
    return [
        *(stale if evidence.metrics.run.stale else []),
        *(synthetic if evidence.oracle is not None else []),
        *_limits_of_days(evidence),
        _limits_of_the_portfolio(evidence),
        _limits_of_the_universe(evidence.quality),
        *_limits_of_training(evidence),
    ]


def limits_of_effect(effect: GatEffect) -> list[str]:
    """Return sentences saying what the numbers of an ablation do not show."""
    horizons, seeds = effect.raw.horizons, len(effect.seeds)
    days = next(iter(horizons.values()))["rank_ic"].days
    one_seed = ["With one seed the spread between trainings is in no interval."]
    return [
        f"{seeds} seed(s) on {effect.folds} fold(s), {days} test sessions at the shortest horizon. "
        "The last column says how many sessions a gain of the goal's size would take.",
        *(one_seed if seeds < 2 else []),
        f"{len(horizons)} horizons, {len(GAINS)} statistics and {len(KINDS)} kinds of scores are shown: "
        "one in twenty intervals excludes 0 by chance.",
        "Labels of 20 sessions overlap; a few hundred sessions hold few of them, and their intervals are somewhat "
        "too narrow (docs/gat_effect.md).",
        "A relative gain over a model with hardly any rank IC or Sharpe ratio is a large number that says "
        "little: look at the difference.",
    ]


def _limits_of_days(evidence: Evidence) -> list[str]:
    metrics, key_results = evidence.metrics, evidence.key_results
    days = max((cell.days or 0 for cell in metrics.test.get("model", {}).values()), default=0)
    first = f"The test part has {days} sessions with labels."
    shown, trials = key_results.horizon, key_results.tradable.trials
    compared = key_results.better.horizons.get(shown or "")
    low, high = (None, None) if compared is None else compared.ci95
    if low is not None and high is not None:
        first += (
            f" The {shown} difference from {spoken_name(key_results.better.baseline)} is known to "
            f"±{(high - low) / 2:.3f} of rank IC: a true difference much smaller than that cannot be distinguished "
            "from none in these sessions."
        )
    tuned = 0 if evidence.portfolios is None else evidence.portfolios.tuning
    whose = f"{tuned} of the tuning on this data among them" if tuned else "of this run only"
    counted = "" if trials is None else f" The deflated Sharpe ratio counts {trials} trials, {whose}."
    return [
        first,
        f"Horizons above one session overlap: {days} sessions hold about {days // 20} independent 20-session labels.",
        f"{len(horizon_names(metrics.test))} horizons and {len(metrics.test)} models are shown; one in twenty 95% "
        f"intervals misses by chance.{counted}",
    ]


def _limits_of_the_portfolio(evidence: Evidence) -> str:
    cost = f"Costs are {evidence.cost_bps:g} bps a side on the notional traded."
    lent = None if evidence.portfolios is None else evidence.portfolios.loanable
    if lent is None:
        missing = "Market impact, borrow fees, short-sale limits and unfilled orders at limit prices"
        return f"{cost} {missing} are not in it."
    source = "margin balances" if lent.source == "margin balances" else "an assumption"
    share = "" if lent.share_of_stock_days is None else f" ({lent.share_of_stock_days:.0%} of stock-days)"
    return (
        f"{cost} Orders at a limit price or in a halt stay unfilled; short sales follow "
        f"{source}{share}. Market impact and borrow fees are not in it."
    )


def _limits_of_the_universe(quality: Mapping[str, Any]) -> str:
    for note in quality.get("notes", []):
        if "survivorship" in note:
            return f"{note[:1].upper()}{note[1:]}."
    return (
        "Whether the universe holds companies that were delisted depends on the source; a file of companies "
        "alive today overstates every long portfolio."
    )


def _limits_of_training(evidence: Evidence) -> list[str]:
    shown = evidence.key_results.horizon or ""
    values = [value for seed in evidence.key_results.seeds.values() if (value := seed.get(shown)) is not None]
    seeds = "One seed: the spread between trainings is in no interval here."
    if len(values) > 1:
        seeds = (
            f"Scores are the mean of {len(values)} seeds, whose own {shown} rank IC lies between "
            f"{format_number(min(values))} and {format_number(max(values))}; intervals cover sessions, not seeds."
        )
    seeds = " ".join([seeds, *(f"{laggard[:1].upper()}{laggard[1:]}." for laggard in evidence.metrics.seeds.laggards)])
    if evidence.folds is None:
        return [seeds, "One split: other stretches of the history may differ (walk-forward was not run)."]
    n = len(evidence.folds.folds)
    return [seeds, f"The first screen is of one split; {n} walk-forward folds are shown further down."]


def _span(first: str, last: str) -> str:
    return f"{first} {EN_DASH} {last}"


def _spans(split: SplitDates | None) -> dict[str, str]:
    if split is None:
        return dict.fromkeys(("train", "valid", "test"), EN_DASH)
    return {part: _span(*getattr(split, part)) for part in ("train", "valid", "test")}


def _seen(metrics: Metrics) -> str:
    """Which sessions the models have learned from whose scores are shown."""
    if metrics.split is None or metrics.run.refit == "none":
        return _spans(metrics.split)["train"]
    again = _span(metrics.split.train[0], metrics.split.valid[1])
    return f"{again} by what scores the test part (refit), {_spans(metrics.split)['train']} by what scores valid"


def _seeds(run: RunFacts) -> list[str]:
    return [str(seed) for seed in run.seeds or [EN_DASH if run.seed is None else run.seed]]
