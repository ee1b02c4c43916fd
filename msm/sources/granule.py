"""Granules that a source offers, granules on disk, and the choice between productions."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from msm.lineage import InputGranule, Role
from msm.products.product import GranuleError, Product

HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"


@dataclass(frozen=True)
class Granule:
    """One granule that a source offers."""

    product: str
    version: str
    name: str
    """File name."""
    time: datetime | None
    """UTC time in the name; None for a static product."""
    size: int | None = None
    """Bytes; None where the source does not state them."""
    checksum: tuple[str, str] | None = None
    """Algorithm as hashlib names it, and hexadecimal value."""
    production: datetime | None = None
    """Time of production by the provider, UTC."""
    release: str = ""
    counter: str = ""
    revision: int = 1
    """Revision of the metadata record."""
    source: str = ""
    """Host of the catalogue that offers it, or `mirror`."""
    record: Any = field(default=None, compare=False, repr=False)
    """The source's own object for it."""

    @property
    def rank(self) -> tuple[float, str, str, int]:
        """Sort key of the productions of one observation; the newest has the largest."""
        produced = self.production.timestamp() if self.production else 0.0
        return produced, self.release, self.counter, self.revision

    def superseded(self) -> InputGranule:
        """Return the lineage record of a production that a newer one replaced."""
        return InputGranule(
            product=self.product,
            version=self.version,
            granule=self.name,
            time=self.time,
            size=self.size or 0,
            checksum=":".join(self.checksum) if self.checksum else "not stated",
            production=self.production,
            role="superseded",
            source=self.source,
        )

    def is_same(self, used: InputGranule) -> bool:
        """Return whether it is the granule that was read, by size and checksum.

        A revision of its metadata alone does not count.
        """
        if self.name != used.granule or self.size not in (None, used.size):
            return False
        algorithm, value = self.checksum or ("", "")
        return algorithm != "sha256" or used.checksum == f"sha256:{value.lower()}"


@dataclass(frozen=True)
class GranuleFile:
    """A granule on disk that has passed all checks."""

    granule: Granule
    path: Path
    size: int
    sha256: str

    def used(self, role: Role) -> InputGranule:
        """Return the lineage record of a granule that was read."""
        return InputGranule(
            product=self.granule.product,
            version=self.granule.version,
            granule=self.granule.name,
            time=self.granule.time,
            size=self.size,
            checksum=f"sha256:{self.sha256}",
            production=self.granule.production,
            role=role,
            source=self.granule.source,
        )


@dataclass(frozen=True)
class Fetched:
    """The valid files of a download, and why the others were refused."""

    files: tuple[GranuleFile, ...]
    refused: dict[str, str]
    """Message by granule name."""


class Source(Protocol):
    """A catalogue of granules and the access to their files."""

    def search(self, product: Product, start: datetime, end: datetime) -> list[Granule]:
        """List the granules of a product with `start` <= time <= `end`; all of a static one."""

    def fetch(self, product: Product, granules: Sequence[Granule]) -> Fetched:
        """Download granules to disk and check them."""


def newest(granules: Iterable[Granule]) -> tuple[list[Granule], list[Granule]]:
    """Choose the newest production for each observation time.

    Returns
    -------
    chosen, superseded
        Both in order of time and rank; the superseded ones enter the lineage.
    """
    ordered = sorted(granules, key=lambda g: (g.time.timestamp() if g.time else 0.0, g.rank))
    chosen = {granule.time: granule for granule in ordered}
    kept = list(chosen.values())
    return kept, [g for g in ordered if g not in kept]


def verify(path: Path, granule: Granule) -> str:
    """Compare a file with the size and checksum that its source states.

    Returns
    -------
    str
        SHA-256 (hex) of the file.

    Raises
    ------
    GranuleError
        If it is a web page or not HDF5, or has another size or checksum.
    """
    content = path.read_bytes()
    if not content.startswith(HDF5_SIGNATURE):
        # earthaccess#307: the sign-in page of Earthdata Login is stored with status 200.
        if content[:512].lstrip().lower().startswith((b"<!doctype", b"<html")):
            raise GranuleError(
                f"{granule.name} is a web page, not data: log in to Earthdata with a browser and "
                f"authorise the application that serves {granule.product}."
            )
        raise GranuleError(f"{granule.name} is not a NetCDF-4/HDF5 file: it is fetched again.")
    if granule.size is not None and len(content) != granule.size:
        raise GranuleError(
            f"{granule.name} has {len(content)} bytes where its record states {granule.size}: "
            "the transfer was incomplete; it is fetched again."
        )
    sha256 = hashlib.sha256(content).hexdigest()
    if granule.checksum is not None:
        algorithm, stated = granule.checksum
        found = sha256 if algorithm == "sha256" else hashlib.new(algorithm, content).hexdigest()
        if found != stated.lower():
            raise GranuleError(
                f"{granule.name} does not have the {algorithm} checksum that its record states: "
                "it is fetched again; if nothing changes, report it to the provider."
            )
    return sha256
