"""Check of an archive from outside: fetch and open its newest map as a downloader would."""

from __future__ import annotations

import hashlib
import json
import tempfile
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import requests
import xarray as xr

from msm.archive.naming import domain_label
from msm.archive.sidecars import CATALOG, COLLECTION, FRESHNESS, LATEST
from msm.errors import MsmError

SIGNATURE = b"\x89HDF\r\n\x1a\n"
OVERDUE = timedelta(days=1)
"""Delay that is tolerated after the time at which the archive announces a day."""


@dataclass(frozen=True)
class NewestMap:
    """The newest map as a downloader gets it."""

    day: date
    status: str
    address: str
    valid_fraction: float
    """Share of the cells of the map's rectangle that have a value."""
    ranges: bool | None
    """Whether the server answers range requests; None for a folder."""


class CanaryError(MsmError):
    """A downloader would not get a valid newest map."""


def fetch_newest_map(root: str, domain: str, now: datetime, timeout: float = 60.0) -> NewestMap:
    """Find the newest map of a domain in the catalogue, fetch it, and open it.

    Parameters
    ----------
    root
        Address of the archive (`http://` or `https://`), or its folder.
    domain
        `conus`, `global`, or `box:SOUTH,NORTH,WEST,EAST`.
    now
        The present time, UTC.
    timeout
        Longest silence of the server, seconds.

    Raises
    ------
    CanaryError
        If a step fails, or the archive is later than it announced.
    """
    archive = _Remote(root.rstrip("/"), timeout)
    label = domain_label(domain)
    children = [link for link in archive.document(CATALOG)["links"] if link["rel"] == "child"]
    if not any(label in link["href"] for link in children):
        raise CanaryError(f"{archive.at(CATALOG)} lists no domain {label}: was it published?")
    months = [
        link
        for link in archive.document(f"{label}/{COLLECTION}")["links"]
        if link["rel"] in ("child", "item")
    ]
    if not months:
        raise CanaryError(f"{archive.at(f'{label}/{COLLECTION}')} is empty.")
    latest = archive.document(f"{label}/{LATEST}")
    path = f"{label}/{latest['file']}"
    content = archive.read(path)
    if hashlib.sha256(content).hexdigest() != latest["sha256"]:
        raise CanaryError(
            f"{archive.at(path)} has another checksum than {LATEST} states: it is damaged, or a "
            "cache holds an old version."
        )
    valid = _opened(content, latest["day"], archive.at(path))
    _refuse_overdue(archive.document(f"{label}/{FRESHNESS}", optional=True), now)
    return NewestMap(
        day=date.fromisoformat(latest["day"]),
        status=latest["status"],
        address=archive.at(path),
        valid_fraction=valid,
        ranges=archive.answers_ranges(path),
    )


def _opened(content: bytes, day: str, address: str) -> float:
    """Open a map and return the share of cells with a value."""
    with tempfile.NamedTemporaryFile(suffix=".nc") as file:
        Path(file.name).write_bytes(content)
        try:
            with xr.open_dataset(file.name) as dataset:
                values = dataset["soil_moisture"].to_numpy()
                stated = str(dataset["time"].to_numpy()[0])[:10]
        except (OSError, KeyError, ValueError) as error:
            raise CanaryError(f"{address} does not open in xarray: {error}") from error
    known = values[np.isfinite(values)]
    if stated != day or not known.size or known.min() < 0 or known.max() > 1:
        raise CanaryError(
            f"{address} is of {stated}, with {known.size} values: not a map of {day}."
        )
    return float(known.size / values.size)


def _refuse_overdue(freshness: dict[str, Any] | None, now: datetime) -> None:
    if freshness is None:
        return
    due = freshness["next_due"]
    late = now - datetime.fromisoformat(due["at"])
    if late > OVERDUE:
        raise CanaryError(
            f"{due['day']} was due at {due['at']}, and the last run was at "
            f"{freshness['last_run']}: is the schedule running?"
        )


@dataclass(frozen=True)
class _Remote:
    """An archive on a server or in a folder."""

    root: str
    timeout: float

    @property
    def served(self) -> bool:
        return self.root.startswith(("http://", "https://"))

    def at(self, path: str) -> str:
        return f"{self.root}/{path}"

    def read(self, path: str) -> bytes:
        try:
            if not self.served:
                return Path(self.at(path)).read_bytes()
            answer = requests.get(self.at(path), timeout=self.timeout)
            answer.raise_for_status()
        except (OSError, requests.RequestException) as error:
            raise CanaryError(f"{self.at(path)} cannot be read: {error}") from error
        else:
            return answer.content

    def document(self, path: str, *, optional: bool = False) -> Any:
        try:
            return json.loads(self.read(path))
        except ValueError as error:
            raise CanaryError(f"{self.at(path)} is not JSON: {error}") from error
        except CanaryError as error:
            if optional and _is_missing(error):
                return None
            raise

    def answers_ranges(self, path: str) -> bool | None:
        if not self.served:
            return None
        answer = requests.get(
            self.at(path), headers={"Range": "bytes=0-7"}, timeout=self.timeout, stream=True
        )
        with answer:
            return answer.status_code == requests.codes.partial and answer.content == SIGNATURE


def _is_missing(error: CanaryError) -> bool:
    cause = error.__cause__
    if isinstance(cause, requests.HTTPError):
        return cause.response.status_code == requests.codes.not_found
    return isinstance(cause, FileNotFoundError)
