"""What every section of the configuration is: complete, free of unknown keys, unchangeable."""

import hashlib
import logging
from collections.abc import Collection, Mapping
from datetime import date, datetime, time
from functools import cache
from typing import Any, ClassVar, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

LOGGER = logging.getLogger(__name__)

DateOrAuto = date | Literal["auto"]


def no_effect() -> Any:
    """Return the `Field` of a setting that changes no result, such as where files lie or what is logged.

    This is the one place that says so: `Section.identity`, and with it every key of a stored result, is without it.
    """
    return Field(json_schema_extra={"no_effect": True})


def date_or_auto(setting: str, value: Any) -> Any:
    """Return the date of a setting, or "auto".

    Raises:
        ValueError: It is neither; the message begins with the setting.
    """
    try:
        if isinstance(value, datetime) and value.time() == time():
            return value.date()
        if value == "auto" or (isinstance(value, date) and not isinstance(value, datetime)):
            return value
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        raise ValueError(f"{setting}: {value!r} is neither a date such as 2021-06-30 nor auto") from None


class Section(BaseModel):
    """A section of the configuration: complete, free of unknown keys, unchangeable, every value of its own type.

    A boolean or a quoted number is no number, and no number is infinite or NaN. `renamed` maps keys of earlier
    versions to those of today: they go on working, with a line in the log.
    """

    renamed: ClassVar[Mapping[str, str]] = {}

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _accept_earlier_names(cls, written: Any) -> Any:
        if not isinstance(written, Mapping):
            return written
        settings = dict(written)
        for old, new in cls.renamed.items():
            if old in settings:
                say_renamed(cls.__name__, old, new)
                settings[new] = overlaid(settings.get(new), settings.pop(old))
        return settings

    @field_validator("*", mode="before")
    @classmethod
    def _read_as_yaml_writes(cls, value: Any, info: ValidationInfo) -> Any:
        """A list is a tuple, and 4.0 or 1e3 a whole number where one is asked for."""
        return _as_written(value, cls.model_fields[str(info.field_name)].annotation)

    def identity(self, *, without: Collection[str] = ()) -> dict[str, Any]:
        """Return the settings of which a change may change a result, as JSON types.

        Args:
            without: Fields that have an effect, but none on the result whose identity this is.
        """
        plain = self.model_dump(mode="json")
        kept = type(self).result_fields() - set(without)
        return {name: _identity(getattr(self, name), plain[name]) for name in plain if name in kept}

    @classmethod
    def result_fields(cls) -> set[str]:
        """Return the names of the fields that are not marked with `no_effect`."""
        marked = {"no_effect": True}
        return {name for name, field in cls.model_fields.items() if field.json_schema_extra != marked}

    def __str__(self) -> str:
        # What MLflow shows for the section as a whole; its keys have rows of their own (hooks.MlflowRecord).
        digest = hashlib.sha256(self.model_dump_json().encode()).hexdigest()
        return f"{type(self).__name__} {digest[:12]}"


def _as_written(value: Any, annotation: Any) -> Any:
    kinds = {annotation, *get_args(annotation)}
    if isinstance(value, list) and any(get_origin(kind) is tuple for kind in kinds):
        inner = next(get_args(kind)[0] for kind in kinds if get_origin(kind) is tuple)
        return tuple(_as_written(item, inner) for item in value)
    if isinstance(value, float) and int in kinds and float not in kinds and value.is_integer():
        return int(value)
    return value


def overlaid(base: Any, changes: Any) -> Any:
    """Return `base` with the nested `changes` laid over it; anything but a mapping is replaced as a whole."""
    if not (isinstance(base, Mapping) and isinstance(changes, Mapping)):
        return changes
    return {**base, **{key: overlaid(base.get(key), value) for key, value in changes.items()}}


def flatten(tree: Mapping[Any, Any], separator: str = ".") -> dict[str, Any]:
    """Turn nested keys into paths, `{"a": {"b": 1}}` into `{"a.b": 1}`."""
    rows: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, Mapping):
            rows |= {f"{key}{separator}{k}": v for k, v in flatten(value, separator).items()}
        else:
            rows[str(key)] = value
    return rows


@cache
def say_renamed(section: str, old: str, new: str) -> None:
    """Warn that an earlier name was used, once a process: settings are validated again and again."""
    LOGGER.warning("%s: %r is called %r now; rename it", section, old, new)


def _identity(value: Any, plain: Any) -> Any:
    """The identity of a value and, at every depth, of the sections in it; `plain` is the value as JSON types."""
    if isinstance(value, Section):
        return value.identity()
    if isinstance(value, tuple):
        return [_identity(*pair) for pair in zip(value, plain, strict=True)]
    if isinstance(value, Mapping) and all(isinstance(name, str) for name in value):
        return {name: _identity(value[name], plain[name]) for name in value}
    return plain
