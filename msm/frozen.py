"""The base of msm's records: immutable, and without undeclared fields."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class FrozenModel(BaseModel):
    """A record that cannot change and refuses unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")
