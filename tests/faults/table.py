"""The fault table: faults of Earthdata while a day's forcing is fetched, and msm's response.

It is part of docs/reliability.md, which `make pages` writes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from msm.sandbox.faults import Behaviour, Fault
from msm.sandbox.process import Sandbox

HOUR = "NLDAS_FORA0125_H.A20160401.0100.020.nc"
"""The granule that faults of one file affect."""

OTHERS = (
    "SMAP_L4_SM_gph_20160401T013000_Vv8011_001.h5",
    "GLDAS_NOAH025_3H.A20160401.0300.021.nc4",
    "GLDAS_NOAH025_3H_EP.A20160401.0300.021.nc4",
    "MERRA2_400.tavg1_2d_slv_Nx.20160401.nc4",
)
"""A granule of each product that can replace the temperature of NLDAS."""

DATA = f"/data/.*{re.escape(HOUR)}"
ANY_DATA, SEARCH = "/data/", r"granules\.umm_json"

Injection = Callable[[Sandbox], object]
Answer = Literal["goes on", "tries again", "waits", "next source", "stops the day"]


@dataclass(frozen=True)
class Row:
    """One fault and its outcome."""

    fault: str
    inject: Injection
    answer: Answer
    says: str = ""
    """The sentence, with `...` for what varies; empty if there is no failure."""
    kept: bool = False
    """Whether the affected hour is in the cache afterwards; all others always are."""
    max_requests: int | None = None
    """Most requests for the affected hour that the data host receives, if limited."""
    cached: bool = False
    """Whether the affected hour was fetched before the fault."""
    password: bool = False
    """Whether the operator has set user and password instead of a token."""
    token: str = ""
    """Token that the operator has set instead of the valid one."""

    @property
    def sentence(self) -> str:
        """Regular expression of the sentence."""
        return expression(self.says)


def expression(says: str) -> str:
    """Return a regular expression of a sentence, in which `...` stands for what varies."""
    return ".*".join(re.escape(part.strip()) for part in says.split("..."))


def fail(match: str, behaviour: Behaviour, times: int | None = None, seconds: int = 1) -> Injection:
    """Make matching requests fail."""
    fault = Fault(match=match, behaviour=behaviour, times=times, seconds=seconds)
    return lambda sandbox: sandbox.fault(fault)


NOT_DOWNLOADED = f"{HOUR} could not be downloaded (...): the next run tries again."
CATALOGUE_DOWN = "Earthdata's catalogue fails (...): see status.earthdata.nasa.gov and run again"
UNREADABLE = (
    "The answer of Earthdata's catalogue cannot be read (...): see status.earthdata.nasa.gov"
)
SILENT = "Earthdata does not answer (...): see status.earthdata.nasa.gov and run again later."
MISSING_ONE = (
    "is missing 1 of 25 granules (2016-04-01T01Z): they arrive up to 10 days late, run again"
)

ROWS = (
    Row("a slow server", fail(DATA, "slow"), "goes on", kept=True),
    Row("a server that stalls once", fail(DATA, "stall", times=1), "tries again", kept=True),
    Row("a server that stalls", fail(DATA, "stall"), "next source", NOT_DOWNLOADED),
    Row(
        "a body cut off, its length stated",
        fail(DATA, "truncated"),
        "next source",
        NOT_DOWNLOADED,
    ),
    Row(
        "a body cut off, no length stated",
        fail(DATA, "truncated_silently"),
        "next source",
        f"{HOUR} has ... bytes where its record states ...: the transfer was incomplete; "
        "it is fetched again.",
    ),
    Row(
        "other bytes than the record's checksum",
        fail(DATA, "corrupt"),
        "next source",
        f"{HOUR} does not have the sha256 checksum that its record states: it is fetched again; "
        "if nothing changes, report it to the provider.",
    ),
    Row(
        "a web page with status 200",
        fail(DATA, "html_200"),
        "next source",
        f"{HOUR} is a web page, not data: log in to Earthdata with a browser and authorise the "
        "application that serves NLDAS_FORA0125_H.",
    ),
    Row(
        "a token that dies after the search (401), once",
        fail(ANY_DATA, "unauthorized", times=1),
        "tries again",
        kept=True,
    ),
    Row(
        "a token that dies after the search (401)",
        fail(ANY_DATA, "unauthorized"),
        "stops the day",
        "Earthdata refuses the token (...): generate a new one at ... and set EARTHDATA_TOKEN",
        max_requests=2,
    ),
    Row(
        "a wrong token",
        lambda sandbox: None,
        "stops the day",
        "Earthdata refuses the token (...): generate a new one at ... and set EARTHDATA_TOKEN",
        max_requests=0,
        token="planted-wrong",
    ),
    Row(
        "403, licence not accepted",
        fail(ANY_DATA, "eula"),
        "stops the day",
        "Earthdata does not serve NLDAS_FORA0125_H 2.0 before its licence is accepted: "
        "do so once at ... under Applications, EULAs.",
        max_requests=1,
    ),
    Row(
        "a redirect to Earthdata Login, token only",
        fail(ANY_DATA, "sign_in"),
        "stops the day",
        "The host of NLDAS_FORA0125_H 2.0 requires user and password, which a token does not "
        "replace: set EARTHDATA_USERNAME and EARTHDATA_PASSWORD and remove EARTHDATA_TOKEN.",
    ),
    Row(
        "a redirect to Earthdata Login, user and password set",
        fail(ANY_DATA, "sign_in"),
        "goes on",
        kept=True,
        password=True,
    ),
    Row(
        "429, Retry-After of a second",
        fail(ANY_DATA, "too_many", times=2),
        "waits",
        kept=True,
        max_requests=4,
    ),
    Row(
        "429, Retry-After of an hour",
        fail(ANY_DATA, "too_many", seconds=3600),
        "stops the day",
        "The host of NLDAS_FORA0125_H 2.0 asks to wait 3600 seconds (429, too many requests): "
        "run again then, with a lower MSM_CONNECTIONS.",
        max_requests=1,
    ),
    Row(
        "429 of the catalogue, Retry-After of a second",
        fail(SEARCH, "too_many", times=2),
        "waits",
        kept=True,
    ),
    Row(
        "429 of the catalogue, Retry-After of an hour",
        fail(SEARCH, "too_many", seconds=3600),
        "stops the day",
        "Earthdata's catalogue asks to wait 3600 seconds (429, too many requests): run again then.",
    ),
    Row("503, for a moment", fail(ANY_DATA, "unavailable", times=3), "tries again", kept=True),
    Row("503", fail(DATA, "unavailable"), "next source", NOT_DOWNLOADED),
    Row(
        "503 of the catalogue, for a moment",
        fail(SEARCH, "unavailable", times=3),
        "tries again",
        kept=True,
    ),
    Row("503 of the catalogue", fail(SEARCH, "unavailable"), "stops the day", CATALOGUE_DOWN),
    Row("a catalogue that stalls", fail(SEARCH, "stall"), "stops the day", SILENT),
    Row("a web page from the catalogue", fail(SEARCH, "html_200"), "stops the day", UNREADABLE),
    Row(
        "an empty answer for a past day",
        fail(SEARCH, "empty"),
        "stops the day",
        "NLDAS_FORA0125_H 2.0 of 2016-04-01 is missing 25 of 25 granules (...)",
    ),
    Row("a missing hour", lambda sandbox: sandbox.withhold(HOUR), "next source", MISSING_ONE),
    Row(
        "a missing hour, and the next source is not there either",
        lambda sandbox: [sandbox.withhold(name) for name in (HOUR, *OTHERS)],
        "stops the day",
        f"{MISSING_ONE}...SPL4SMGP 008, GLDAS_NOAH025_3H 2.1, GLDAS_NOAH025_3H_EP 2.1, "
        "M2T1NXSLV 5.12.4 cannot stand in: not complete either.",
    ),
    Row(
        "an hour published again with other values",
        lambda sandbox: sandbox.revise(HOUR),
        "goes on",
        kept=True,
        cached=True,
    ),
    Row("a granule listed twice", lambda sandbox: sandbox.duplicate(HOUR), "goes on", kept=True),
    Row(
        "a changed grid",
        lambda sandbox: sandbox.alter(HOUR, "changed_grid"),
        "next source",
        f"{HOUR}: the axis 'lat' is not the one of NLDAS_FORA0125_H 2.0: the grid has changed; "
        "its layout file must be updated.",
    ),
    Row(
        "a renamed variable",
        lambda sandbox: sandbox.alter(HOUR, "renamed_variable"),
        "next source",
        f"{HOUR} does not have the layout of NLDAS_FORA0125_H 2.0: it has no Tair. ...; "
        "fetch the complete granule",
    ),
    Row(
        "a field of fill only",
        lambda sandbox: sandbox.alter(HOUR, "empty_field"),
        "next source",
        "air_temperature of NLDAS_FORA0125_H 2.0 on 2016-04-01 has no value anywhere in ...: "
        "the granules are empty; remove them and run again",
        kept=True,
    ),
    Row(
        "an unknown version of the file",
        lambda sandbox: sandbox.alter(HOUR, "unknown_version"),
        "next source",
        MISSING_ONE,
    ),
)
