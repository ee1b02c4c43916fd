"""The files next to the maps: items, catalogues, checksums, list of changes, `latest.json`.

Each is a pure function of the published files. A publication touches only what it changes: it
builds the items of its own days, adds their lines to `SHA256SUMS`, and lists the names in its own
month. A missing or damaged file is built again from the items. The caller holds the lock of
the domain.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from itertools import chain, groupby
from pathlib import Path
from typing import Any

from msm.archive import stac
from msm.archive.assessment import Verdict, read_assessment
from msm.archive.naming import PRODUCT_VERSION, day_of, domain_folder
from msm.archive.netcdf import Header, read_header
from msm.archive.validate import CHECKSUMS, read_checksums, sha256_of_file
from msm.atomic_files import locked, replacing
from msm.errors import MsmError
from msm.read_once import read_once

LATEST = "latest.json"
FRESHNESS = "freshness.json"
CHANGES = "changes.jsonl"
COLLECTION = "collection.json"
CATALOG = "catalog.json"

LINE = 65_536
"""Bytes that no line of the list of changes exceeds."""


@dataclass(frozen=True)
class PublishedDay:
    """One published day, as its STAC item describes it."""

    day: date
    path: Path
    """The NetCDF file."""
    item: Path
    """Its STAC item."""
    picture: Path
    """Its quick look."""
    picture_sha256: str
    sha256: str
    size: int
    """Bytes of the NetCDF file."""
    status: str
    revision: int
    replaced_sha256: str | None
    """SHA-256 of the file that this one replaced."""
    fingerprint: str
    created: datetime
    chain_id: str
    """Chain of states that the map comes from."""
    checkpoint: str
    """Name and version of the checkpoint that computed the map."""
    verdict: str | None
    """Verdict of the quality limits; None where the map was not assessed."""


@read_once
def read_published(item: Path) -> PublishedDay:
    """Read a STAC item.

    Raises
    ------
    MsmError
        If the item is not one of msm's.
    """
    try:
        return _published(item, json.loads(_bytes(item)))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise MsmError(
            f"{item} is not a STAC item of msm ({error!r}): remove it and publish its day again."
        ) from error


def _published(item: Path, document: dict[str, Any]) -> PublishedDay:
    properties: dict[str, Any] = document["properties"]
    lineage = properties["msm:lineage"]
    return PublishedDay(
        day=datetime.fromisoformat(properties["datetime"]).date(),
        path=item.with_suffix(".nc"),
        item=item,
        picture=item.with_suffix(".png"),
        picture_sha256=stac.sha256_of(document, "quicklook"),
        sha256=stac.sha256_of(document, "data"),
        size=document["assets"]["data"]["file:size"],
        status=properties["msm:status"],
        revision=properties["msm:revision"],
        replaced_sha256=properties["msm:replaces"],
        fingerprint=properties["msm:fingerprint"],
        created=datetime.fromisoformat(properties["created"]),
        chain_id=lineage["chain_id"],
        checkpoint=f"{lineage['checkpoint_name']} {lineage['checkpoint_version']}",
        verdict=properties.get("msm:quality", {}).get("verdict"),
    )


def put(archive: Path, domain_name: str, files: Mapping[Path, str]) -> list[PublishedDay]:
    """Bring all that describes published files up to date.

    Parameters
    ----------
    archive, domain_name
        The archive and the domain of the files.
    files
        SHA-256 of each published NetCDF file; its picture is next to it.

    Returns
    -------
    list of PublishedDay
        The days of the files, oldest first.
    """
    domain = domain_folder(archive, domain_name)
    published: list[PublishedDay] = []
    for month, paths in groupby(sorted(files), key=lambda path: path.parent):
        published += _put_month(domain, month, {path: files[path] for path in paths})
    with locked(archive / ".lock"):
        labels = [path.parent.name for path in archive.glob(f"*/{COLLECTION}")]
        _put_json(archive / CATALOG, stac.root(labels))
    for day in published:
        if not is_listed(domain / CHANGES, day.sha256):
            append_change(domain / CHANGES, day)
    _point_to_latest(domain, published)
    return published


def _put_month(domain: Path, month: Path, files: Mapping[Path, str]) -> list[PublishedDay]:
    headers = {path: read_header(path) for path in files}
    pictures = {path: sha256_of_file(path.with_suffix(".png")) for path in files}
    # Before the items: a day whose item is up to date also has its lines here.
    _put_checksums(
        month,
        {path.name: sha256 for path, sha256 in files.items()}
        | {path.with_suffix(".png").name: sha256 for path, sha256 in pictures.items()},
    )
    published = [
        _put_item(path, headers[path], sha256, pictures[path]) for path, sha256 in files.items()
    ]
    first = headers[min(files)]
    stems = [path.stem for path in stac.item_paths(month)]
    _put_json(month / CATALOG, stac.month(first.domain, month.parent.name, month.name, stems))
    _put_collection(first, domain, month)
    return published


def _put_checksums(month: Path, changed: Mapping[str, str]) -> None:
    """Replace the lines of changed files; a line that is missing comes from the day's item."""
    path = month / CHECKSUMS
    stated = {**read_checksums(path), **changed}
    names = set(changed)
    for item in stac.item_paths(month):
        files = {item.with_suffix(suffix).name for suffix in (".nc", ".png")}
        if not files <= stated.keys():
            day = read_published(item)
            stated |= {day.path.name: day.sha256, day.picture.name: day.picture_sha256}
        names |= files
    lines = [f"{stated[name]}  {name}\n" for name in sorted(names)]
    _put(path, "".join(lines).encode())


def _put_item(path: Path, header: Header, sha256: str, picture_sha256: str) -> PublishedDay:
    picture, item = path.with_suffix(".png"), path.with_suffix(".json")
    assessment = read_assessment(path)
    document = stac.item(
        header,
        (sha256, path.stat().st_size),
        (picture_sha256, picture.stat().st_size),
        # The assessment of an earlier revision does not describe this one.
        assessment if assessment and assessment.sha256 == sha256 else None,
    )
    _put_json(item, document)
    return _published(item, document)


def _put_collection(header: Header, domain: Path, month: Path) -> None:
    """Build a domain's collection, unless it already covers the day."""
    collection = domain / COLLECTION
    if _covers(collection, header.day, month.relative_to(domain).as_posix()):
        return
    months = sorted(domain.glob(f"[0-9]*/[0-9]*/{CATALOG}"))
    first = min(day for path in stac.item_paths(months[0].parent) if (day := day_of(path.stem)))
    _put_json(
        collection,
        stac.collection(
            header.domain,
            header.bbox,
            datetime.combine(first, time(), UTC),
            [path.parent.relative_to(domain).as_posix() for path in months],
        ),
    )


def _covers(collection: Path, day: date, month: str) -> bool:
    """Return whether a collection is of this version, starts by a day and links to its month."""
    try:
        document = json.loads(collection.read_bytes())
        first = datetime.fromisoformat(document["extent"]["temporal"]["interval"][0][0]).date()
        return (
            document["summaries"]["msm:product_version"] == [PRODUCT_VERSION]
            and first <= day
            and any(link["href"] == f"./{month}/{CATALOG}" for link in document["links"])
        )
    except (FileNotFoundError, LookupError, TypeError, ValueError):
        # Missing or damaged: it is built again.
        return False


def is_listed(changes: Path, sha256: str) -> bool:
    """Return whether a domain's list of changes has a complete line for a file."""
    complete = changes.read_bytes().rpartition(b"\n")[0] if changes.is_file() else b""
    return f'"sha256": "{sha256}"'.encode() in complete


def append_change(changes: Path, published: PublishedDay) -> None:
    """Add a publication to a domain's list of changes."""
    line = json.dumps(
        {
            "published": f"{published.created:%Y-%m-%dT%H:%M:%SZ}",
            "day": str(published.day),
            "file": published.path.relative_to(changes.parent).as_posix(),
            "status": published.status,
            "revision": published.revision,
            "sha256": published.sha256,
            "replaces": published.replaced_sha256,
            "fingerprint": published.fingerprint,
        }
    )
    with changes.open("ab+") as file:
        # A run killed while it wrote may have left part of a line.
        size = file.seek(0, os.SEEK_END)
        start = file.seek(max(0, size - LINE))
        file.truncate(start + file.read().rfind(b"\n") + 1)
        file.write(line.encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def _point_to_latest(domain: Path, published: Iterable[PublishedDay]) -> None:
    """Let `latest.json` name the newest published day that is not withheld.

    Where all days are withheld it names the newest: every archive has a newest map. `published`
    are days whose items need not be read.
    """
    known = {day.item: day for day in published}
    years = sorted(domain.glob("[0-9]*"), reverse=True)
    months = (month for year in years for month in sorted(year.glob("[0-9]*"), reverse=True))
    items = (item for month in months for item in reversed(stac.item_paths(month)))
    days = (known.get(item) or read_published(item) for item in items)
    newest = next(days)
    others = (day for day in chain([newest], days) if day.verdict != Verdict.withheld)
    latest = next(others, newest)
    _put_json(
        domain / LATEST,
        {
            "day": str(latest.day),
            "file": latest.path.relative_to(domain).as_posix(),
            "item": latest.item.relative_to(domain).as_posix(),
            "quicklook": latest.picture.relative_to(domain).as_posix(),
            "sha256": latest.sha256,
            "status": latest.status,
            "revision": latest.revision,
            "fingerprint": latest.fingerprint,
            "published": f"{latest.created:%Y-%m-%dT%H:%M:%SZ}",
        },
    )


@read_once
def _bytes(path: Path) -> bytes:
    return path.read_bytes()


def _put_json(path: Path, document: dict[str, Any]) -> None:
    _put(path, (json.dumps(document, indent=2) + "\n").encode())


def _put(path: Path, content: bytes) -> None:
    """Replace a small file atomically, unless it already has this content."""
    if path.is_file() and _bytes(path) == content:
        return
    with replacing(path) as new:
        new.write_bytes(content)
