"""Faults of the sandbox, as data: which request misbehaves, and how."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import BaseModel, ConfigDict

Behaviour = Literal[
    "html_200",
    "unauthorized",
    "unavailable",
    "truncated",
    "truncated_silently",
    "corrupt",
    "stall",
]
"""What a request meets.

html_200: a login page with status 200. unauthorized: 401. unavailable: 503. truncated: half the
body, with the length of the whole. truncated_silently: half the body and no length. corrupt: the
right length, other bytes. stall: half the body, and then nothing more.
"""


class Fault(BaseModel):
    """One rule: requests that match it misbehave."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    match: str
    """Regular expression, looked for in the request's path with its query."""
    behaviour: Behaviour
    times: int | None = None
    """How many matching requests it hits, the first ones; None for all."""


class Faults:
    """The rules in force and how often each has struck."""

    def __init__(self) -> None:
        self._rules: list[tuple[Fault, int]] = []

    def add(self, fault: Fault) -> None:
        """Put a rule in force; of several that match, the first one added strikes."""
        self._rules.append((fault, 0))

    def clear(self) -> None:
        """Take all rules back."""
        self._rules.clear()

    def strike(self, path: str) -> Behaviour | None:
        """Return how a request to `path` misbehaves, None where it does not, and count it."""
        for index, (fault, struck) in enumerate(self._rules):
            if (fault.times is None or struck < fault.times) and re.search(fault.match, path):
                self._rules[index] = fault, struck + 1
                return fault.behaviour
        return None
