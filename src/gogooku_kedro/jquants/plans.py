"""What each J-Quants plan may ask for, and a limiter that keeps to its rate."""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pandas as pd

_MINUTE = 60.0
_MARGIN = 0.9  # of the allowed rate: calls that arrive closer together than they were sent


@dataclass(frozen=True)
class Plan:
    """A subscription.

    Attributes:
        name: free, light, standard or premium.
        calls_per_minute: Rate that the service allows.
        years: Length of the history.
        delay_weeks: Age of the newest session served.
        bulk: Whether CSV files of whole months can be fetched.
    """

    name: str
    calls_per_minute: int
    years: int
    delay_weeks: int
    bulk: bool

    def window(self, today: pd.Timestamp) -> tuple[pd.Timestamp, pd.Timestamp]:
        """Return the first and the last date that the plan serves on a day."""
        last = today.normalize() - pd.Timedelta(weeks=self.delay_weeks)
        return last - pd.DateOffset(years=self.years), last

    def tables(self, wanted: Iterable[str]) -> list[str]:
        """Return the tables among `wanted` that the plan has, in their order."""
        return [name for name in wanted if self.includes(SMALLEST_PLAN[name])]

    def includes(self, smallest: str) -> bool:
        """Return whether the plan is at least the one of that name."""
        return list(PLANS).index(self.name) >= list(PLANS).index(smallest)


PLANS: dict[str, Plan] = {
    plan.name: plan
    for plan in (
        Plan("free", 5, 2, 12, False),
        Plan("light", 60, 5, 0, True),
        Plan("standard", 120, 10, 0, True),
        Plan("premium", 500, 20, 0, True),
    )
}
"""Plans by name, the smallest first (https://jpx-jquants.com, read in November 2026)."""

SMALLEST_PLAN: dict[str, str] = {
    "calendar": "free",
    "bars": "free",
    "listed_issues": "free",
    "statements": "free",
    "market_index": "light",
    "investor_flows": "light",
    "sector_indices": "standard",
    "margin_balances": "standard",
    "short_ratio": "standard",
}
"""Smallest plan that has a table."""


class Limiter:
    """At most `calls_per_minute` calls in any 60 seconds, with a margin of a tenth.

    Whether the service counts in a sliding or in a fixed minute is not documented; both are kept.

    Args:
        calls_per_minute: Allowed rate.
        clock: Seconds since any origin.
        sleep: Waits for a number of seconds.
    """

    def __init__(self, calls_per_minute: int, clock: Callable[[], float], sleep: Callable[[float], None]) -> None:
        self._calls, self._clock, self._sleep = calls_per_minute, clock, sleep
        self._span = _MINUTE / _MARGIN
        self._times: deque[float] = deque(maxlen=calls_per_minute)

    @property
    def seconds_per_call(self) -> float:
        """Return the mean distance of two calls at the full rate."""
        return self._span / self._calls

    def acquire(self, *others: "Limiter") -> None:
        """Wait until a call may be made by this limiter and by the others, and count it in all of them."""
        limiters = (self, *others)
        while (wait := max(limiter._wait() for limiter in limiters)) > 0:
            self._sleep(wait)
        for limiter in limiters:
            limiter._times.append(self._clock())

    def _wait(self) -> float:
        return self._times[0] + self._span - self._clock() if len(self._times) == self._calls else 0.0

    def count_earlier(self, latest: float) -> None:
        """Take it that an earlier process used the whole rate up to `latest`, as one that was killed may have."""
        if self._clock() - latest < self._span:
            self._times.extend([latest] * self._calls)
