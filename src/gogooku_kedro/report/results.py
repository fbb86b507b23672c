"""What a run and the studies beside it measured, as frozen dataclasses: the files are parsed here and once.

Fields have the names of the JSON files. Ratios are fractions; None is a number that does not exist.
"""

# ruff: noqa: RUF009  (`shown` returns a dataclass field)

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import TypeAdapter

from gogooku_kedro.columns import sorted_horizons

Interval = tuple[float | None, float | None]
"""Ends of a 95% interval."""

NO_INTERVAL: Interval = (None, None)
Result = TypeVar("Result")


def shown(heading: str, spec: str, default: Any = None) -> Any:
    """Return a field that is a column of the tables of its class, with its heading and number format."""
    return field(default=default, metadata={"heading": heading, "spec": spec})


@dataclass(frozen=True)
class RunIdentity:
    """What identifies a run: `run` of every file has it."""

    git_sha: str | None = None
    config_hash: str | None = None
    data_hash: str | None = None
    environment: str = "base"


@dataclass(frozen=True)
class RunFacts(RunIdentity):
    """What identifies a run, and how it was computed: `run` of metrics.json.

    `preset` is that of the command line, `refit` that of the training.
    """

    preset: str = "none"
    seed: int | None = None
    seeds: tuple[int, ...] = ()
    device: str | None = None
    n_parameters: int | None = None
    refit: str = "none"
    stale: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class SplitDates:
    """First and last date of every part, and the sessions between the parts."""

    train: tuple[str, str]
    valid: tuple[str, str]
    test: tuple[str, str]
    purge_sessions: int


@dataclass(frozen=True)
class Universe:
    """Size of the data."""

    codes: int | None = None
    sessions: int | None = None
    features: int | None = None


@dataclass(frozen=True)
class ModelMetrics:
    """Numbers of one model at one horizon; the Sharpe ratios are of the decile portfolio."""

    rank_ic: float | None = shown("rank IC", "+.4f")
    rank_ic_ci: Interval = shown("95% interval", "+.3f", NO_INTERVAL)
    rank_ic_t: float | None = shown("t (Newey-West)", "+.1f")
    rank_icir: float | None = shown("rank ICIR", "+.2f")
    ic: float | None = shown("IC", "+.4f")
    icir: float | None = shown("ICIR", "+.2f")
    rank_ic_one_day_late: float | None = shown("lag-1 rank IC", "+.4f")
    hit_rate: float | None = shown("hit rate", ".1%")
    decile_spread: float | None = shown("decile spread", "+.2%")
    profile_monotonicity: float | None = shown("monotonicity of deciles", "+.2f")
    turnover: float | None = shown("turnover a session", ".0%")
    score_autocorrelation: float | None = shown("autocorrelation of scores", "+.2f")
    coverage: float | None = shown("coverage", ".1%")
    dispersion: float | None = shown("dispersion of scores", ".3g")
    sharpe_gross: float | None = shown("decile Sharpe, gross", "+.2f")
    sharpe_net: float | None = shown("decile Sharpe", "+.2f")
    sharpe_net_ci: Interval = shown("95% interval, decile Sharpe", "+.1f", NO_INTERVAL)
    days: int | None = shown("sessions", "d")
    folds: Mapping[str, ModelMetrics] = field(default_factory=dict)


Models = Mapping[str, Mapping[str, ModelMetrics]]
"""{model: {horizon: numbers}}."""


@dataclass(frozen=True)
class SeedSpread:
    """Seeds on the validation part: {seed: {horizon: number}}, and a sentence for each that lies far behind."""

    rank_ic: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    correlation: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    laggards: Sequence[str] = ()


@dataclass(frozen=True)
class NetSharpe:
    """Net Sharpe ratio of a portfolio at one cost."""

    sharpe_net: float | None = None
    sharpe_net_ci: Interval = NO_INTERVAL


@dataclass(frozen=True)
class Held:
    """A portfolio of the trading view; `costs` has basis points a side as keys."""

    costs: Mapping[str, NetSharpe]
    turnover: float | None = None


@dataclass(frozen=True)
class TradingView:
    """Scores of one model, smoothed with the decay that validation chose and held for the sessions of the horizon."""

    decay: float
    plain: Held
    smoothed: Held
    one_day_late: Held


@dataclass(frozen=True)
class Metrics:
    """metrics.json; `split` is None for walk_forward_metrics.json."""

    run: RunFacts = RunFacts()
    split: SplitDates | None = None
    universe: Universe = Universe()
    test: Models = field(default_factory=dict)
    valid: Models = field(default_factory=dict)
    seeds: SeedSpread = SeedSpread()
    trading: Mapping[str, Mapping[str, TradingView]] = field(default_factory=dict)


@dataclass(frozen=True)
class WalkForward:
    """walk_forward_metrics.json; a fold has the dates of its parts below `split`."""

    folds: Sequence[Mapping[str, Any]]
    test: Models
    run: RunFacts = RunFacts()


@dataclass(frozen=True)
class NetPerformance:
    """A simulated portfolio after a cost per side; active is over the universe for the long-only one."""

    annual_active: float | None = shown("active return a year", "+.1%")
    sharpe_active: float | None = shown("net Sharpe", "+.2f")
    sharpe_active_ci: Interval = shown("95% interval", "+.1f", NO_INTERVAL)
    probabilistic_sharpe: float | None = shown("probabilistic Sharpe", ".0%")
    deflated_sharpe: float | None = shown("deflated Sharpe", ".0%")
    sortino: float | None = shown("Sortino", "+.2f")
    calmar: float | None = shown("Calmar", "+.2f")
    max_drawdown: float | None = shown("largest drawdown", ".1%")


@dataclass(frozen=True)
class Portfolio:
    """A simulated portfolio at one horizon; `costs` has basis points a side as keys."""

    costs: Mapping[str, NetPerformance]
    sharpe_gross: float | None = None
    turnover: float | None = shown("turnover", ".0%")
    break_even_bps: float | None = shown("break-even bps", ".1f")


@dataclass(frozen=True)
class Loanable:
    """Where the stocks that can be sold short come from, and their share of all rows."""

    source: str
    share_of_stock_days: float | None = None


@dataclass(frozen=True)
class PortfolioMetrics:
    """portfolio_metrics.json of the test part: {model: {portfolio: {horizon: numbers}}}."""

    test: Mapping[str, Mapping[str, Mapping[str, Portfolio]]]
    trials: int
    loanable: Loanable | None = None
    tuning: int = 0

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> PortfolioMetrics:
        """Parse the file."""
        trials, loanable = found["trials"]["test"], found.get("rules", {}).get("loanable")
        counts = {"trials": trials["count"], "tuning": trials.get("tuning", 0)}
        return parse(cls, {"test": found.get("test", {}), "loanable": loanable} | counts)


@dataclass(frozen=True)
class GraphGain:
    """A statistic with the graph network on and off: a cell of gat_effect.json."""

    on: float | None
    off: float | None
    diff: float | None
    ci95: Interval
    relative: float | None
    relative_ci95: Interval
    goal: float
    verdict: str
    days_to_decide: int | None
    days: int | None = None


@dataclass(frozen=True)
class ControlGain:
    """A statistic with a control graph, less off, and on less it."""

    diff: float | None = shown("control - off", "+.4f")
    ci95: Interval = shown("95% interval", "+.4f", NO_INTERVAL)
    on_less_control: float | None = shown("on - control", "+.4f")
    on_less_control_ci95: Interval = shown("95% interval", "+.4f", NO_INTERVAL)


@dataclass(frozen=True)
class GainsOfScores:
    """Gains of one kind of scores: {horizon: {statistic: gain}}, and {control: {horizon: {statistic: gain}}}."""

    horizons: Mapping[str, Mapping[str, GraphGain]]
    controls: Mapping[str, Mapping[str, Mapping[str, ControlGain]]]


@dataclass(frozen=True)
class GatEffect:
    """gat_effect.json: `kinds` has the scores as they come under "raw", then neutral versions."""

    kinds: Mapping[str, GainsOfScores]
    seeds: Sequence[int]
    folds: int
    run: RunFacts

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> GatEffect:
        """Parse the file, whose horizons stand beside the controls."""
        levels = {"raw": found} | {name: found[name] for name in ("neutral", "peer_neutral") if name in found}
        kinds = {
            name: {"horizons": {h: of[h] for h in sorted_horizons(of)}, "controls": of.get("controls", {})}
            for name, of in levels.items()
        }
        facts = {"seeds": found["seeds"], "folds": found["folds"], "run": found.get("run", {})}
        return parse(cls, facts | {"kinds": kinds})

    @property
    def raw(self) -> GainsOfScores:
        """Gains of the scores as they come."""
        return self.kinds["raw"]


@dataclass(frozen=True)
class Comparison:
    """A statistic of the model and of a baseline on the same sessions."""

    model: float | None
    baseline: float | None
    difference: float | None
    relative: float | None
    ci95: Interval
    t: float | None
    p: float | None
    days: int
    answer: str | None = None
    sharpe_net: Comparison | None = None


@dataclass(frozen=True)
class Better:
    """The model beside the best baseline, with the net Sharpe ratio, and beside the others.

    `baseline` is the one with the largest rank IC on the validation part, averaged over horizons.
    """

    baseline: str
    horizons: Mapping[str, Comparison]
    baselines: Mapping[str, Mapping[str, Comparison]]


@dataclass(frozen=True)
class Earnings:
    """The model's long-short portfolio after costs at one horizon; `luck`: many trials explain the net ratio."""

    answer: str
    luck: bool | None = None
    rank_ic: float | None = None
    rank_ic_one_day_late: float | None = None
    sharpe_net: float | None = shown("net Sharpe", "+.2f")
    ci95: Interval = shown("95% interval", "+.1f", NO_INTERVAL)
    sharpe_gross: float | None = shown("gross Sharpe", "+.2f")
    probabilistic_sharpe: float | None = shown("probabilistic Sharpe", ".0%")
    deflated_sharpe: float | None = shown("deflated Sharpe", ".0%")
    max_drawdown: float | None = shown("largest drawdown", ".1%")
    turnover: float | None = shown("turnover a session", ".0%")
    break_even_bps: float | None = shown("break-even bps", ".1f")


@dataclass(frozen=True)
class Tradable:
    """Whether a portfolio earns after costs; `source` is the file it is of."""

    cost_bps: float
    portfolio: str
    source: str
    trials: int | None
    horizons: Mapping[str, Earnings]


@dataclass(frozen=True)
class GraphAnswer:
    """Gains of the graph network at one horizon and what they mean."""

    rank_ic: GraphGain
    sharpe_net: GraphGain
    answer: str


@dataclass(frozen=True)
class Graph:
    """Whether the graph matters; `state` and `remark` say of what data and settings the ablation is.

    `arm` compares the network with the one without its GAT that the run itself trained.
    """

    state: str
    remark: str | None
    horizons: Mapping[str, GraphAnswer]
    seeds: Sequence[int]
    folds: int | None
    trees: Mapping[str, Comparison]
    arm: Mapping[str, Comparison] = field(default_factory=dict)
    of: RunFacts | None = None


@dataclass(frozen=True)
class Regime:
    """Mean rank IC {model: {horizon: number}} in months of one kind."""

    months: int
    models: Mapping[str, Mapping[str, float | None]]


@dataclass(frozen=True)
class KeyResults:
    """key_results.json: the numbers of the first screen, of the test part."""

    run: RunIdentity
    horizon: str | None
    better: Better
    tradable: Tradable
    graph: Graph
    regimes: Mapping[str, Regime]
    seeds: Mapping[str, Mapping[str, float | None]]


def horizon_names(models: Models) -> list[str]:
    """Return the horizons of a part of metrics.json, the shortest first."""
    return sorted_horizons(name for horizons in models.values() for name in horizons)


def parse(kind: type[Result], found: Any) -> Result:
    """Return what a file holds as `kind`; keys without a field are left out.

    Raises:
        pydantic.ValidationError: A field without a default is missing, or has another type.
    """
    return TypeAdapter(kind).validate_python(found)


def plain(results: Any) -> dict[str, Any]:
    """Return results as JSON takes them."""
    written: dict[str, Any] = TypeAdapter(type(results)).dump_python(results, mode="json")
    return written
