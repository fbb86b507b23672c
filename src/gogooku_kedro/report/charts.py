"""Small charts of the report's cards: points with intervals beside a line at 0, as SVG inside the page."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from gogooku_kedro.report.formats import format_number
from gogooku_kedro.report.results import NO_INTERVAL, Interval

WIDTH, ROW, TOP, LEFT, RIGHT = 320, 17, 4, 34, 8
"""Pixels of the drawing at its natural size; it grows with its card."""

FREE = 40
"""Pixels that a number of the scale takes."""


@dataclass(frozen=True)
class Mark:
    """A point of a chart.

    Attributes:
        value: None draws nothing.
        colour: Of point and interval.
        ci95: Its 95% interval, drawn as a bar.
        name: In the legend; empty where all points are of one kind.
    """

    value: float | None
    colour: str
    ci95: Interval = NO_INTERVAL
    name: str = ""


@dataclass(frozen=True)
class Chart:
    """Rows of points over one scale.

    Attributes:
        caption: What is drawn, with its unit; read out in place of the drawing.
        rows: Label and points of every row.
        spec: Format of the ends of the scale.
    """

    caption: str
    rows: Sequence[tuple[str, Sequence[Mark]]]
    spec: str = "+.2f"

    @property
    def legend(self) -> dict[str, str]:
        """Name -> colour of the kinds of points, in the order of the first row."""
        return {mark.name: mark.colour for _, marks in self.rows[:1] for mark in marks if mark.name}

    def svg(self) -> Markup:
        """Return the drawing; empty where there is no number."""
        numbers = [number for _, marks in self.rows for mark in marks for number in (mark.value, *mark.ci95)]
        known = [number for number in numbers if number is not None and not math.isnan(number)]
        if not known:
            return Markup("")
        low, high = min(0.0, *known), max(0.0, *known)
        pad = 0.06 * (high - low or 1.0)
        parts = "".join(self._parts(low - pad, high + pad))
        height = TOP + ROW * len(self.rows) + 14
        label = escape(self.caption)
        return Markup(
            f'<svg class="chart" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{label}">{parts}</svg>'
        )

    def _parts(self, low: float, high: float) -> Iterator[str]:
        def x(value: float) -> float:
            return round(LEFT + (WIDTH - LEFT - RIGHT) * (value - low) / (high - low), 1)

        bottom = TOP + ROW * len(self.rows)
        yield f'<line class="zero" x1="{x(0)}" x2="{x(0)}" y1="{TOP}" y2="{bottom}"/>'
        for number, (label, marks) in enumerate(self.rows):
            y = TOP + ROW * (number + 0.5)
            yield f'<text x="0" y="{y + 4}">{escape(label)}</text>'
            for mark in marks:
                yield from _drawn(mark, x, y)
        yield f'<text class="scale" x="{x(0)}" y="{bottom + 11}" text-anchor="middle">0</text>'
        for value, anchor in ((low, "start"), (high, "end")):
            if abs(x(value) - x(0)) > FREE:
                text = format_number(value, self.spec)
                yield f'<text class="scale" x="{x(value)}" y="{bottom + 11}" text-anchor="{anchor}">{text}</text>'


def _drawn(mark: Mark, x: Callable[[float], float], y: float) -> Iterator[str]:
    if mark.value is None or math.isnan(mark.value):
        return
    low, high = mark.ci95
    if low is not None and high is not None:
        yield f'<line x1="{x(low)}" x2="{x(high)}" y1="{y}" y2="{y}" stroke="{mark.colour}" stroke-width="3"/>'
    yield f'<circle cx="{x(mark.value)}" cy="{y}" r="4.5" fill="{mark.colour}"/>'
