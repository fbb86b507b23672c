"""What every section of the configuration is: complete, free of unknown keys, unchangeable."""

import hashlib

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A section of the configuration: complete, free of unknown keys, unchangeable."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def __str__(self) -> str:
        # What MLflow shows for the section as a whole; its keys have rows of their own (hooks.MlflowRecord).
        digest = hashlib.sha256(self.model_dump_json().encode()).hexdigest()
        return f"{type(self).__name__} {digest[:12]}"
