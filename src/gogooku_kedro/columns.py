"""Names of horizons, scores and quantiles in every table: one parser and one order."""

from collections.abc import Iterable

HORIZONS = (1, 5, 10, 20)
"""Sessions ahead that are predicted."""

KEYS = ("date", "code", "split")
"""Columns that say what a prediction is of."""


def horizon_name(horizon: int) -> str:
    """Return the name of a horizon in sessions: 5 -> "5d"."""
    return f"{horizon}d"


def horizon_sessions(name: object) -> int:
    """Return the sessions of a horizon's name: "5d" -> 5.

    Raises:
        ValueError: The name is not a number followed by d.
    """
    text = str(name)
    if not is_horizon(text):
        raise ValueError(f"{name!r} is no horizon; write sessions and d, such as 5d")
    return int(text.removesuffix("d"))


def is_horizon(name: str) -> bool:
    """Return whether a name is that of a horizon."""
    return name.endswith("d") and name[:-1].isdecimal()


def sorted_horizons(names: Iterable[object]) -> list[str]:
    """Return the names of horizons among `names`, each once, the shortest first; other names are left out."""
    return sorted({str(name) for name in names if is_horizon(str(name))}, key=horizon_sessions)


def score_column(horizon: int) -> str:
    """Return the prediction column of a horizon: 5 -> "score_5d"."""
    return f"score_{horizon_name(horizon)}"


SCORES = tuple(score_column(horizon) for horizon in HORIZONS)
"""Columns of the scores, high = expected to do better."""


def score_columns(columns: Iterable[object]) -> list[str]:
    """Return the score columns among the columns of a table (or of a DataFrame), in its order.

    Raises:
        ValueError: There is none.
    """
    names = [str(name) for name in columns]
    scores = [name for name in names if name.startswith("score_")]
    if not scores:
        raise ValueError(f"predictions have no score_<h>d column: {names}")
    return scores


def quantile_column(level: float, horizon: int) -> str:
    """Return the prediction column of a quantile: 0.05 and 5 -> "q05_5d"."""
    return f"q{round(100 * level):02d}_{horizon_name(horizon)}"
