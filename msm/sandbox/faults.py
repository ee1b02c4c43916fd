"""Faults of the sandbox, as data: which requests fail, and how."""

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
"""Answer to a request.

html_200: a login page with status 200. unauthorized: 401. eula: 403, the licence is not accepted.
too_many: 429 with Retry-After. unavailable: 503. truncated: half the body, with the length of all
of it. truncated_silently: half the body and no length. corrupt: the right length, other bytes.
stall: half the body, and then nothing more. slow: the complete body, in small pieces. empty: a
search that finds nothing. sign_in: a redirect to Earthdata Login, which asks for user and password.
reply: any body, as the answer to a search. bytes: any body, as a granule.
"""


class Fault(FrozenModel):
    """One rule: requests that match it fail."""

    match: str
    """Regular expression, searched in the request's path with its query."""
    behaviour: Behaviour
    times: int | None = None
    """Number of matching requests that fail, the first ones; None for all."""
    seconds: Annotated[int, Field(ge=0)] = 1
    """Retry-After of too_many; duration of slow."""
    body: str = ""
    """Body of reply; body of bytes, in base64."""


class Faults:
    """The rules in force, and how many requests each has matched."""

    def __init__(self) -> None:
        self._rules: list[tuple[Fault, int]] = []

    def add(self, fault: Fault) -> None:
        """Put a rule in force; of several that match a request, the first one added applies."""
        self._rules.append((fault, 0))

    def clear(self) -> None:
        """Remove all rules."""
        self._rules.clear()

    def match(self, path: str) -> Fault | None:
        """Return the rule that applies to a request, None if there is none; count the match."""
        for index, (fault, matched) in enumerate(self._rules):
            if (fault.times is None or matched < fault.times) and re.search(fault.match, path):
                self._rules[index] = fault, matched + 1
                return fault
        return None
