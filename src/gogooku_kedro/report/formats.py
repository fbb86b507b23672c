"""Numbers as text: the filters with which the templates print them, and which the terminal uses too."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from gogooku_kedro.report.glossary import meaning_of
from gogooku_kedro.report.results import Interval

EN_DASH = "\N{EN DASH}"
NO_BREAK = "\N{NO-BREAK SPACE}"


class Estimate(NamedTuple):
    """A number and its 95% interval, printed as "value [low, high]", the interval with one decimal less."""

    value: float | None
    ci95: Interval


def format_number(value: float | None, spec: str = "+.4f") -> str:
    """Return the number in a format; missing (None or NaN) as an en dash, minus as U+2212."""
    if value is None or math.isnan(value):
        return EN_DASH
    return format(value, spec).replace("-", "\N{MINUS SIGN}")


def format_interval(interval: Interval, spec: str = "+.2f") -> str:
    """Return "[low, high]", or an en dash when an end is missing."""
    low, high = (format_number(end, spec) for end in interval)
    return EN_DASH if EN_DASH in (low, high) else f"[{low},{NO_BREAK}{high}]"


def format_estimate(value: float | None, ci95: Interval, spec: str = "+.4f") -> str:
    """Return "value [low, high]" with one decimal less in the interval; an en dash without a value."""
    number = format_number(value, spec)
    coarser = f"{spec[:-2]}{int(spec[-2]) - 1}{spec[-1]}"
    return EN_DASH if number == EN_DASH else f"{number} {format_interval(ci95, coarser)}"


def format_duration(seconds: float) -> str:
    """Return about how long something takes: "about 40 s", "about 25 min", "about 3 h"."""
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 1.5 * length:
            return f"about {seconds / length:.0f} {unit}"
    return f"about {seconds:.0f} s"


def format_cell(value: Any, spec: str = "") -> str:
    """Return what a cell of a table shows: text as it is, a number, an interval or an estimate in its format."""
    if isinstance(value, str):
        return value
    if isinstance(value, Estimate):
        return format_estimate(*value, spec)
    return format_interval(value, spec) if isinstance(value, tuple) else format_number(value, spec)


def html_templates() -> Environment:
    """Return the templates of HTML pages; everything they print is escaped."""
    return _environment(autoescape=True)


def markdown_templates() -> Environment:
    """Return the templates of Markdown; what they print can neither break a table nor open a tag."""
    return _environment(autoescape=False, lstrip_blocks=True, finalize=_markdown)


def _environment(**settings: Any) -> Environment:
    loader = PackageLoader("gogooku_kedro.report")
    environment = Environment(loader=loader, undefined=StrictUndefined, trim_blocks=True, **settings)
    filters = {"number": format_number, "interval": format_interval, "cell": format_cell, "meaning": meaning_of}
    environment.filters |= filters
    return environment


def _markdown(value: Any) -> Any:
    if isinstance(value, Markup) or value is None:  # of a macro, whose parts are escaped
        return value
    return str(value).replace("|", "\\|").replace("<", "&lt;").replace(NO_BREAK, " ")
