"""The result of a gradient check: named checks in four stages, printed as a table."""

from collections.abc import Sequence
from dataclasses import dataclass

CONTINUITY, REGISTRATION, IDENTITY, TASK = (
    "1 graph continuity",
    "2 optimizer registration",
    "3 parameter identity",
    "4 task gradient",
)


@dataclass(frozen=True)
class Check:
    """One check: what was measured, whether it is as it must be, and where to look if not."""

    stage: str
    name: str
    passed: bool
    figure: str
    hint: str


@dataclass(frozen=True)
class GradientReport:
    """All checks of a model; printed, it is a table."""

    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return not self.failures

    @property
    def failures(self) -> list[str]:
        """Names of the checks that failed."""
        return [check.name for check in self.checks if not check.passed]

    def __str__(self) -> str:
        widths = [max(len(getattr(c, column)) for c in self.checks) for column in ("stage", "name", "figure")]
        lines = []
        for check in self.checks:
            cells = zip((check.stage, check.name, check.figure), widths, strict=True)
            row = "  ".join(cell.ljust(width) for cell, width in cells)
            lines.append(f"{row}  ok" if check.passed else f"{row}  FAILED: {check.hint}")
        return "\n".join(lines)


def check(stage: str, name: str, passed: bool, figure: str, hint: str) -> Check:
    """A check, with its hint if it failed."""
    return Check(stage, name, passed, figure, "" if passed else hint)


def some(names: Sequence[str]) -> str:
    """The first five names."""
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
