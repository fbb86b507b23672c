"""Problems of a merged configuration, as sentences that name the YAML path, the value and the fix."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from gogooku_kedro.params import SECTIONS, check_top_level


def configuration_problems(parameters: Mapping[str, Any]) -> list[str]:
    """Every problem of a merged configuration, one sentence each; empty when it is valid.

    Args:
        parameters: What the ``parameters*.yml`` of all environments and ``--params`` add up to.
    """
    problems = []
    try:
        check_top_level(set(parameters))
    except ValueError as error:
        problems.append(str(error))
    for name, section in SECTIONS.items():
        if name not in parameters:
            problems.append(f"{name}: the section is missing; write it in conf/base/parameters*.yml")
            continue
        try:
            section.model_validate(parameters[name])
        except ValidationError as error:
            problems += [_sentence(name, section, details) for details in error.errors()]
    return problems


def _sentence(name: str, section: type[BaseModel], details: Any) -> str:
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
    return f"{path}: {details['input']!r} is not possible: {details['msg']}"


def _keys(section: type[BaseModel], parents: list[str]) -> list[str]:
    for part in parents:
        if part.isdigit():  # an entry of a list of sections
            continue
        annotation = section.model_fields[part].annotation
        entries = [a for a in get_args(annotation) if isinstance(a, type)]
        annotation = entries[0] if entries else annotation
        assert isinstance(annotation, type)
        section = annotation
    return list(section.model_fields)
