"""Problems of a merged configuration, as sentences that name the YAML path, the value and the fix."""

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from functools import partial
from typing import Any, Literal, TypeGuard, get_args

from pydantic import BaseModel, ValidationError

from gogooku_kedro.columns import HORIZONS
from gogooku_kedro.params import SECTIONS, FeaturesParams, check_preset, check_top_level

PLAIN = {
    "bool_type": "write true or false, without quotes",
    "dict_type": "write keys and values",
    "finite_number": "write a finite number",
    "float_type": "write a number, without quotes",
    "int_type": "write a whole number, without quotes",
    "model_type": "write a section, keys and values",
    "string_type": "write text, in quotes where YAML reads something else",
    "too_short": "write at least one",
    "tuple_type": "write a list, such as [a, b]",
}
"""What to write, by pydantic's name of an error; its own sentences speak of Python."""


def configuration_problems(parameters: Mapping[str, Any]) -> list[str]:
    """Every problem of a merged configuration, one sentence each; empty when it is valid.

    Args:
        parameters: What the `parameters*.yml` of all environments and `--params` add up to.
    """
    problems = []
    checks = (partial(check_top_level, set(parameters)), partial(check_preset, parameters.get("preset", "none")))
    for check in checks:
        try:
            check()
        except ValueError as error:
            problems.append(str(error))
    if parameters.get("stale", "allow") != "allow":
        problems.append(
            f"stale: {parameters['stale']!r} is not possible: write allow, to read what was made under other settings "
            f"or inputs, or leave it out"
        )
    for name, section in SECTIONS.items():
        if name not in parameters:
            problems.append(f"{name}: the section is missing; write it in conf/base/parameters*.yml")
            continue
        try:
            section.model_validate(parameters[name])
        except ValidationError as error:
            problems += [sentence(name, section, details) for details in error.errors()]
    return problems or _problems_between_sections(parameters)


def _problems_between_sections(parameters: Mapping[str, Any]) -> list[str]:
    """What a calendar, the features, the graph or another section makes impossible; every section is valid."""
    settings: dict[str, Any] = {name: section.model_validate(parameters[name]) for name, section in SECTIONS.items()}
    checks: tuple[Callable[[], None], ...] = (
        lambda: _check_calendar(settings["ingestion"].calendar),
        lambda: _check_families(settings["features"]),
        lambda: _check_purge(settings["split"].purge_sessions, settings["labels"].entry),
        lambda: _check_edge_attributes(settings["model"].gat.edge_attributes),
    )
    problems = []
    for check in checks:
        try:
            check()
        except ValueError as error:
            problems.append(str(error))
    return problems


def _check_calendar(name: str | None) -> None:
    if name is None:
        return
    import exchange_calendars  # noqa: PLC0415 - most of a second

    names = exchange_calendars.get_calendar_names(include_aliases=True)
    if name not in names:
        near = "".join(f"did you mean {match!r}? " for match in get_close_matches(name, names, 1))
        raise ValueError(
            f"ingestion.calendar: {name!r} is no calendar of exchange_calendars; {near}Write XTKS for Tokyo, or null "
            f"to take the dates of the file"
        )


def _check_families(features: FeaturesParams) -> None:
    from gogooku_kedro.features.registry import check_families, check_known  # noqa: PLC0415

    check_families(features.families)
    check_known(features.normalisation_of, "normalisation_of")
    check_known(features.sector_neutral, "sector_neutral")


def _check_purge(purge_sessions: int, entry: Literal["next_open", "close"]) -> None:
    from gogooku_kedro.labels.split import check_purge  # noqa: PLC0415

    check_purge(purge_sessions, max(HORIZONS), entry)


def _check_edge_attributes(names: Sequence[str]) -> None:
    from gogooku_kedro.graph.build import EDGE_ATTRIBUTES  # noqa: PLC0415

    unknown = [name for name in names if name not in EDGE_ATTRIBUTES]
    if unknown:
        raise ValueError(
            f"model.gat.edge_attributes: {unknown} not in the graph, whose edges have {list(EDGE_ATTRIBUTES)}; name "
            f"only these"
        )
    if len(set(names)) < len(names):
        raise ValueError(f"model.gat.edge_attributes: {list(names)} has a name twice; name each once")


def sentence(name: str, section: type[BaseModel], details: Any) -> str:
    """One problem that pydantic found in a section.

    Args:
        name: YAML path of the section.
        section: Its class.
        details: An entry of `ValidationError.errors()`.
    """
    *parents, key = (str(part) for part in details["loc"]) if details["loc"] else ("",)
    path = ".".join(part for part in (name, *parents, key) if part)
    if details["type"] == "value_error":  # our own validators: they name path and fix
        return str(details["ctx"]["error"])
    if details["type"] == "missing":
        return f"{path}: missing; write it in conf/base/parameters*.yml, there are no defaults"
    if details["type"] == "extra_forbidden":
        known = _keys(section, parents)
        near = "".join(f"did you mean {match!r}? " for match in get_close_matches(key, known, 1))
        return f"{path}: unknown key; {near}The keys of {'.'.join([name, *parents])} are {', '.join(known)}"
    value = list(details["input"]) if isinstance(details["input"], tuple) else details["input"]  # as it was written
    return f"{path}: {value!r} is not possible: {PLAIN.get(details['type'], details['msg'])}"


def _keys(section: type[BaseModel], parents: list[str]) -> list[str]:
    for part in parents:
        field = section.model_fields.get(part)  # none of an entry of a list or of a table of sections
        annotation = field.annotation if field else None
        section = next(filter(_is_section, (annotation, *get_args(annotation))), section)
    return list(section.model_fields)


def _is_section(annotation: Any) -> TypeGuard[type[BaseModel]]:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
