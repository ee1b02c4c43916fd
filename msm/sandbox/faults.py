"""Faults of the sandbox, as data: which request misbehaves, and how."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field

from msm.frozen import FrozenModel

Behaviour = Literal[
    "html_200",
    "unauthorized",
    "eula",
    "too_many",
    "unavailable",
    "truncated",
    "truncated_silently",
    "corrupt",
    "stall",
    "slow",
    "empty",
    "sign_in",
    "reply",
    "bytes",
]
"""What a request meets.

html_200: a login page with status 200. unauthorized: 401. eula: 403, the licence is not accepted.
too_many: 429 with Retry-After. unavailable: 503. truncated: half the body, with the length of the
whole. truncated_silently: half the body and no length. corrupt: the right length, other bytes.
stall: half the body, and then nothing more. slow: the whole body, in drops. empty: a search that
finds nothing. sign_in: a redirect to Earthdata Login, which wants user and password. reply: any
body, as a search's. bytes: any body, as a granule's.
"""


class Fault(FrozenModel):
    """One rule: requests that match it misbehave."""

    match: str
    """Regular expression, looked for in the request's path with its query."""
    behaviour: Behaviour
    times: int | None = None
    """How many matching requests it hits, the first ones; None for all."""
    seconds: Annotated[int, Field(ge=0)] = 1
    """Retry-After of too_many; how long slow takes."""
    body: str = ""
    """What reply says; what bytes says, in base64."""


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

    def strike(self, path: str) -> Fault | None:
        """Return the rule that a request to `path` meets, None where there is none; count it."""
        for index, (fault, struck) in enumerate(self._rules):
            if (fault.times is None or struck < fault.times) and re.search(fault.match, path):
                self._rules[index] = fault, struck + 1
                return fault
        return None
