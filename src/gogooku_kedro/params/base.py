"""What every section of the configuration is: complete, free of unknown keys, unchangeable."""

import hashlib
import logging
from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, model_validator

LOGGER = logging.getLogger(__name__)


class Section(BaseModel):
    """A section of the configuration: complete, free of unknown keys, unchangeable.

    ``renamed`` maps keys of earlier versions to those of today: they go on working, with a line in the log.
    """

    renamed: ClassVar[Mapping[str, str]] = {}

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _accept_earlier_names(cls, written: Any) -> Any:
        if not isinstance(written, Mapping):
            return written
        settings = dict(written)
        for old, new in cls.renamed.items():
            if old in settings:
                LOGGER.warning("%s: the key %r is called %r now; rename it", cls.__name__, old, new)
                settings[new] = overlaid(settings.get(new), settings.pop(old))
        return settings

    def __str__(self) -> str:
        # What MLflow shows for the section as a whole; its keys have rows of their own (hooks.MlflowRecord).
        digest = hashlib.sha256(self.model_dump_json().encode()).hexdigest()
        return f"{type(self).__name__} {digest[:12]}"


def overlaid(base: Any, changes: Any) -> Any:
    """Return `base` with the nested `changes` laid over it; anything but a mapping is replaced as a whole."""
    if not (isinstance(base, Mapping) and isinstance(changes, Mapping)):
        return changes
    return {**base, **{key: overlaid(base.get(key), value) for key, value in changes.items()}}
