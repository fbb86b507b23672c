"""The reference of settings: every key with its meaning, what is possible, and its value in each environment."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import yaml
from annotated_types import Ge, Gt, Le, Lt, MinLen
from kedro.config import OmegaConfigLoader
from pydantic.fields import FieldInfo

from gogooku_kedro.params import SECTIONS, Section
from gogooku_kedro.params.base import overlaid

PAGE_HEAD = """---
hide: [toc]
---
# Settings

*Written by `kedro document-settings` from `src/gogooku_kedro/params/` (what is possible) and `conf/` (meaning and
values); edit these, not this page.*

After this page you can set any key: what it means, what is possible, and what each environment writes. A key goes into
`conf/local/parameters.yml` for every run, or behind `--params` for one
([combine settings](how_to/combine_settings.md)). What is refused, and with which sentence, is in
[settings that are refused](settings_errors.md).

An environment that is not named in the last column has the value of `base`. A key with † changes no result: a run goes
on from what was stored under another value. Behind `NAME` stands any name, and the keys of a list are those of each of
its entries."""
MAIN_ENVIRONMENT = "base"
WORDS = {int: "whole number", float: "number", bool: "true, false", str: "text", type(None): "null", dict: "keys"}
CONTAINERS = {tuple: ("list", 0), dict: ("table", 1), Mapping: ("table", 1)}
"""The word for a container, and which of its arguments is that of a value."""
BOUNDS = {Ge: "≥ {0.ge:g}", Gt: "> {0.gt:g}", Le: "≤ {0.le:g}", Lt: "< {0.lt:g}", MinLen: "at least {0.min_length}"}


class Setting(NamedTuple):
    """One key: its dotted path in the schema, the path of an example in the configuration, and its field."""

    path: str
    example: tuple[str, ...]
    field: FieldInfo


def settings_page(conf: Path) -> str:
    """Return docs/settings.md.

    Args:
        conf: Folder of the configuration.
    """
    environments = sorted(path.parent.name for path in conf.glob("*/parameters.yml") if path.parent.name != "local")
    values = {name: _parameters(conf, name) for name in environments}
    meanings = yaml_comments(conf / MAIN_ENVIRONMENT)
    parts = [PAGE_HEAD]
    for name, section in SECTIONS.items():
        parts.append(f"\n## {name}\n\n{_first_sentence(section)}\n")
        parts.append("| key | meaning | possible | in `base` | elsewhere |\n|---|---|---|---|---|")
        parts += [_row(setting, meanings, values) for setting in settings_of(name, section, values[MAIN_ENVIRONMENT])]
    return "\n".join(parts) + "\n"


def settings_of(name: str, section: type[Section], written: Mapping[str, Any]) -> Iterator[Setting]:
    """Yield every key of a section that is no section itself, in the order of its fields.

    Args:
        name: Name of the section.
        section: Its class.
        written: Parameters of `base`, which name the entries of tables such as `ablation.variants`.
    """
    yield from _settings((name,), (name,), section, written[name])


def _settings(
    path: tuple[str, ...], example: tuple[str, ...], section: type[Section], written: Any
) -> Iterator[Setting]:
    for key, field in section.model_fields.items():
        inner, kind = _inner_section(field.annotation)
        here, there = (*path, key), (*example, key)
        value = written.get(key) if isinstance(written, Mapping) else None
        if inner is None:
            yield Setting(".".join(here), there, field)
        elif kind is dict:
            first = next(iter(value or {}), "NAME")
            yield from _settings((*here, "NAME"), (*there, first), inner, (value or {}).get(first))
        elif kind is tuple:
            yield Setting(".".join(here), there, field)
            yield from _settings(here, there, inner, (value or [None])[0])
        else:
            yield from _settings(here, there, inner, value)


def _inner_section(annotation: Any) -> tuple[type[Section] | None, type | None]:
    """The section in an annotation, and whether it is one of a table (dict), of a list (tuple) or by itself (None)."""
    kinds = [annotation, *get_args(annotation)]
    found = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Section)), None)
    origin = get_origin(annotation)
    kind = dict if origin in (dict, Mapping) else tuple if origin is tuple else None
    return found, kind


def yaml_comments(folder: Path) -> dict[tuple[str, ...], str]:
    """Return the comment at the end of the line of every key of `parameters*.yml`, by the path of the key.

    The entries of a list have the path of the list.
    """
    found: dict[tuple[str, ...], str] = {}
    for file in sorted(folder.glob("parameters*.yml")):
        text = file.read_text(encoding="utf-8")
        found |= dict(_comments(yaml.compose(text), text.splitlines(), ()))
    return found


def _comments(node: Any, lines: list[str], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(node, yaml.SequenceNode) and node.value:
        yield from _comments(node.value[0], lines, path)
    if not isinstance(node, yaml.MappingNode):
        return
    for key, value in node.value:
        inline = isinstance(value, yaml.ScalarNode) or value.flow_style
        mark = value.end_mark if inline else key.end_mark
        _, sign, comment = lines[mark.line][mark.column :].partition("#")
        here = (*path, str(key.value))
        if sign and (inline or value.start_mark.line > key.end_mark.line):
            yield here, comment.strip()
        yield from _comments(value, lines, here)


def _row(setting: Setting, meanings: Mapping[tuple[str, ...], str], values: Mapping[str, Mapping[str, Any]]) -> str:
    mark = " †" if setting.field.json_schema_extra == {"no_effect": True} else ""
    if ".NAME." in setting.path:
        return _cells(f"`{setting.path}`{mark}", meanings.get(setting.example, ""), possible(setting.field), "", "")
    of = {name: _value(parameters, setting.example) for name, parameters in values.items()}
    base = of.pop(MAIN_ENVIRONMENT)
    elsewhere = [f"{name}: `{value}`" for name, value in of.items() if value != base]
    meaning = meanings.get(setting.example, "")
    shown = f"`{base}`" if base else ""
    return _cells(f"`{setting.path}`{mark}", meaning, possible(setting.field), shown, "<br>".join(elsewhere))


def _cells(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _value(parameters: Mapping[str, Any], path: tuple[str, ...]) -> str:
    value: Any = parameters
    for key in path:
        if not isinstance(value, Mapping) or key not in value:
            return ""
        value = value[key]
    return yaml.safe_dump(value, default_flow_style=True, width=10_000, sort_keys=False).removesuffix("...\n").strip()


def possible(field: FieldInfo) -> str:
    """Return in words what a setting may be."""
    inner = chain.from_iterable(_metadata(kind) for kind in (field.annotation, *get_args(field.annotation)))
    bounds = [
        words.format(bound)
        for bound in dict.fromkeys([*field.metadata, *inner])
        for kind, words in BOUNDS.items()
        if isinstance(bound, kind)
    ]
    return ", ".join([_words(field.annotation), *bounds])


def _metadata(annotation: Any) -> tuple[Any, ...]:
    return tuple(getattr(annotation, "__metadata__", ()))


def _words(annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _words(inner[0])
    if origin is Literal:
        return ", ".join(f"`{str(word).lower() if isinstance(word, bool) else word}`" for word in inner)
    if origin in (Union, types.UnionType):
        return " or ".join(_words(kind) for kind in inner)
    if origin in CONTAINERS:
        name, of = CONTAINERS[origin]
        return f"{name}, each {_words(inner[of])}"
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return "with the keys below"
    return WORDS.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _parameters(conf: Path, environment: str) -> dict[str, Any]:
    """Parameters of an environment without anything of `conf/local`."""
    read = [
        OmegaConfigLoader(str(conf), env=name, base_env=MAIN_ENVIRONMENT, default_run_env=name)["parameters"]
        for name in dict.fromkeys((MAIN_ENVIRONMENT, environment))
    ]
    merged: dict[str, Any] = {}
    for parameters in read:
        merged = overlaid(merged, parameters)
    return merged


def _first_sentence(section: type[Section]) -> str:
    return (section.__doc__ or "").strip().split("\n\n")[0].replace("\n    ", " ")
