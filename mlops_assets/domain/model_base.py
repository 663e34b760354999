"""The base of every typed record that is read from YAML or written to JSON.

Belongs here: the one pydantic base class. Does not belong here: any field.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Record(BaseModel):
    """Immutable record that refuses unknown keys, non-finite numbers and silent type changes."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, validate_default=True)
