"""Problems of a merged configuration, as sentences that name the YAML path, the value and the fix."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, TypeGuard, get_args

from pydantic import BaseModel, ValidationError

from gogooku_kedro.params import SECTIONS, check_top_level


def configuration_problems(parameters: Mapping[str, Any]) -> list[str]:
    """Every problem of a merged configuration, one sentence each; empty when it is valid.

    Args:
        parameters: What the `parameters*.yml` of all environments and `--params` add up to.
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
            problems += [sentence(name, section, details) for details in error.errors()]
    return problems


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
    return f"{path}: {details['input']!r} is not possible: {details['msg']}"


def _keys(section: type[BaseModel], parents: list[str]) -> list[str]:
    for part in parents:
        field = section.model_fields.get(part)  # none of an entry of a list or of a table of sections
        annotation = field.annotation if field else None
        section = next(filter(_is_section, (annotation, *get_args(annotation))), section)
    return list(section.model_fields)


def _is_section(annotation: Any) -> TypeGuard[type[BaseModel]]:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)
