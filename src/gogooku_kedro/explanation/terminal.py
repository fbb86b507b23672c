"""An explanation as text for the terminal."""

import io
import math
from collections.abc import Sequence

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table

from gogooku_kedro.explanation.why import Why

FORMATS = {
    "value": "{:+.2f}",
    "attribution": "{:+.4f}",
    "attention": "{:.3f}",
    "lift": "{:.2f}",
    "correlation": "{:+.2f}",
    "sign": "{:+.0f}",
    "same_sector": "{:.0f}",
    "effect": "{:+.4f}",
    "score": "{:+.3f}",
    "gate": "{:.3f}",
    "return_1d": "{:+.1%}",
    "return_5d": "{:+.1%}",
    "return_20d": "{:+.1%}",
}
GATES_SHOWN, WIDTH = 5, 120


def render(why: Why, top: int) -> str:
    """The explanation as plain text: what the score is, and tables of at most `top` rows."""
    console = Console(file=io.StringIO(), width=WIDTH, color_system=None)
    console.print(*_summary(why), sep="\n")
    console.print(_table(f"Features (of {len(why.features)})", why.features.head(top)))
    console.print(_table("Families", why.families.head(top)))
    if len(why.neighbours):
        console.print(_table(f"Neighbours (of {len(why.neighbours)})", why.neighbours.head(top)))
    if len(why.gate):
        console.print(_table("Market gate, furthest from 1", why.gate.head(GATES_SHOWN)))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def _summary(why: Why) -> Sequence[str]:
    quantiles = ", ".join(f"{level:.0%} {value:+.2f}" for level, value in why.quantiles.items())
    lines = [
        f"{why.code} on {why.date:%Y-%m-%d}, {why.horizon} sessions ahead",
        f"score {why.score:+.4f}, rank {why.rank} of {why.stocks}",
        f"quantiles of its Gaussian rank: {quantiles}",
        f"a stock that is the median in every feature would have {why.median_score:+.4f} in its place; the "
        f"features' attributions add up to the difference from {why.own_score:+.4f}",
    ]
    if not math.isnan(why.gap):
        lines[-1] += f" (gap {why.gap:.1%})"
    if not math.isnan(why.peers_effect):
        lines.append(f"all neighbours together add {why.peers_effect:+.4f}")
    return lines


def _table(title: str, rows: pd.DataFrame) -> Table:
    table = Table(title=title, box=box.SIMPLE, title_justify="left", title_style="bold")
    for name in rows:
        table.add_column(str(name).replace("_", " "), justify="right" if name in FORMATS else "left")
    for row in rows.itertuples(index=False):
        table.add_row(*(_cell(str(name), value) for name, value in zip(rows, row, strict=True)))
    return table


def _cell(name: str, value: object) -> str:
    if isinstance(value, float) and math.isnan(value):
        return "-"
    return FORMATS.get(name, "{}").format(value)
