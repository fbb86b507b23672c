"""What a run and the studies beside it measured, as frozen dataclasses: the files are parsed here and once.

Fields have the names of the JSON files. Ratios are fractions; None is a number that does not exist.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar

from pydantic import TypeAdapter

from gogooku_kedro.columns import sorted_horizons

Interval = tuple[float | None, float | None]
"""Ends of a 95% interval."""

NO_INTERVAL: Interval = (None, None)
Result = TypeVar("Result")


@dataclass(frozen=True)
class RunFacts:
    """What identifies a run: `run` of every file."""

    git_sha: str | None = None
    config_hash: str | None = None
    data_hash: str | None = None
    environment: str = "base"
    seed: int | None = None
    seeds: tuple[int, ...] = ()
    device: str | None = None
    n_parameters: int | None = None
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
    """Numbers of one model at one horizon; the Sharpe ratios are of the plain decile portfolio."""

    rank_ic: float | None = None
    rank_ic_ci: Interval = NO_INTERVAL
    rank_ic_t: float | None = None
    rank_icir: float | None = None
    ic: float | None = None
    icir: float | None = None
    rank_ic_one_day_late: float | None = None
    hit_rate: float | None = None
    decile_spread: float | None = None
    profile_monotonicity: float | None = None
    turnover: float | None = None
    score_autocorrelation: float | None = None
    coverage: float | None = None
    dispersion: float | None = None
    sharpe_gross: float | None = None
    sharpe_net: float | None = None
    sharpe_net_ci: Interval = NO_INTERVAL
    days: int | None = None
    folds: Mapping[str, ModelMetrics] = field(default_factory=dict)


Models = Mapping[str, Mapping[str, ModelMetrics]]
"""{model: {horizon: numbers}}."""


@dataclass(frozen=True)
class Metrics:
    """metrics.json."""

    run: RunFacts = RunFacts()
    split: SplitDates | None = None
    universe: Universe = Universe()
    test: Models = field(default_factory=dict)
    valid: Models = field(default_factory=dict)


@dataclass(frozen=True)
class NetPerformance:
    """A simulated portfolio after a cost per side; active is over the universe for the long-only one."""

    annual_active: float | None
    sharpe_active: float | None
    sharpe_active_ci: Interval
    probabilistic_sharpe: float | None
    deflated_sharpe: float | None
    sortino: float | None
    calmar: float | None
    max_drawdown: float | None


@dataclass(frozen=True)
class Portfolio:
    """A simulated portfolio at one horizon; `costs` has basis points a side as keys."""

    sharpe_gross: float | None
    turnover: float | None
    break_even_bps: float | None
    costs: Mapping[str, NetPerformance]


@dataclass(frozen=True)
class Loanable:
    """Where the stocks that can be sold short come from, and their share of all stock-days."""

    source: str
    share_of_stock_days: float | None = None


@dataclass(frozen=True)
class PortfolioRules:
    """Rules of the simulation."""

    loanable: Loanable


@dataclass(frozen=True)
class Trials:
    """Portfolios among which the best was chosen."""

    count: int


@dataclass(frozen=True)
class PortfolioMetrics:
    """portfolio_metrics.json; `test` is {model: {portfolio: {horizon: numbers}}}."""

    trials: Mapping[str, Trials]
    rules: PortfolioRules | None = None
    test: Mapping[str, Mapping[str, Mapping[str, Portfolio]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Fold:
    """A fold of the walk-forward evaluation."""

    split: Mapping[str, Any]


@dataclass(frozen=True)
class WalkForward:
    """walk_forward_metrics.json."""

    folds: Sequence[Fold]
    test: Models
    run: RunFacts = RunFacts()


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
    """A statistic with a graph that knows nothing, less off, and on less it."""

    on_less_control_ci95: Interval
    diff: float | None = None
    ci95: Interval = NO_INTERVAL
    on_less_control: float | None = None


@dataclass(frozen=True)
class GainsOfScores:
    """Gains of one kind of scores: {horizon: {statistic: gain}}, and {control: {horizon: {statistic: gain}}}."""

    horizons: Mapping[str, Mapping[str, GraphGain]]
    controls: Mapping[str, Mapping[str, Mapping[str, ControlGain]]]

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> GainsOfScores:
        """Parse a level of gat_effect.json, whose horizons stand beside the controls."""
        horizons = {name: found[name] for name in sorted_horizons(found)}
        return parse(cls, {"horizons": horizons, "controls": found.get("controls", {})})


@dataclass(frozen=True)
class GatEffect:
    """gat_effect.json: `kinds` has the scores as they come under "raw", then neutral versions."""

    kinds: Mapping[str, GainsOfScores]
    seeds: Sequence[int]
    folds: int
    run: RunFacts

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> GatEffect:
        """Parse the file."""
        kinds = {"raw": found} | {name: found[name] for name in ("neutral", "peer_neutral") if name in found}
        run = parse(RunFacts, found.get("run", {}))
        return cls({name: GainsOfScores.of(kind) for name, kind in kinds.items()}, found["seeds"], found["folds"], run)

    @property
    def raw(self) -> GainsOfScores:
        """Gains of the scores as they come."""
        return self.kinds["raw"]


@dataclass(frozen=True)
class Comparison:
    """A statistic of the model and of a baseline on the same days."""

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
    """The model beside LightGBM, with the net Sharpe ratio, and beside other baselines."""

    baseline: str
    horizons: Mapping[str, Comparison]
    baselines: Mapping[str, Mapping[str, Comparison]]


@dataclass(frozen=True)
class Earnings:
    """The model's long-short portfolio after costs at one horizon."""

    rank_ic: float | None
    rank_ic_one_day_late: float | None
    sharpe_net: float | None
    ci95: Interval
    sharpe_gross: float | None
    turnover: float | None
    answer: str
    probabilistic_sharpe: float | None = None
    deflated_sharpe: float | None = None
    max_drawdown: float | None = None
    break_even_bps: float | None = None
    luck: bool | None = None


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
    """Whether the graph matters; `state` and `remark` say of what data and settings the ablation is."""

    state: str
    remark: str | None
    horizons: Mapping[str, GraphAnswer]
    seeds: Sequence[int]
    folds: int | None
    trees: Mapping[str, Comparison]
    of: RunFacts | None = None


@dataclass(frozen=True)
class Regime:
    """Mean rank IC {model: {horizon: number}} in months of one kind."""

    months: int
    models: Mapping[str, Mapping[str, float | None]]


@dataclass(frozen=True)
class KeyResults:
    """key_results.json: the numbers of the first screen, of the test part."""

    run: RunFacts
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
    parsed: Result = _adapter(kind).validate_python(found)
    return parsed


def plain(results: Any) -> dict[str, Any]:
    """Return results as JSON takes them."""
    written: dict[str, Any] = _adapter(type(results)).dump_python(results, mode="json")
    return written


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)
