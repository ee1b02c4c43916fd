"""What stands beside the published files: items, catalogues, checksums, changes, `latest.json`.

Each is a pure function of the published files and may be made again at any time. A publication
reads and writes its own month; the other months are looked through only where a month, or an
earlier first day, is new. Whoever calls holds the lock of the domain.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

from msm.archive import stac
from msm.archive.assessment import Verdict, read_assessment
from msm.archive.naming import PRODUCT_VERSION, day_of, domain_folder
from msm.archive.netcdf import Header
from msm.archive.validate import CHECKSUMS, sha256_of_file
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
class Record:
    """One published day."""

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
    """Chain of states that made it."""
    checkpoint: str
    """Name and version of the checkpoint that made it."""
    verdict: str | None
    """What the quality limits say of it; None where it was not assessed."""


@read_once
def read_record(item: Path) -> Record:
    """Read a STAC item.

    Raises
    ------
    MsmError
        If the item is not one of msm's.
    """
    try:
        document = json.loads(item.read_text())
        properties: dict[str, Any] = document["properties"]
        lineage = properties["msm:lineage"]
        return Record(
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
    except (ValueError, KeyError) as error:
        raise MsmError(
            f"{item} is not a STAC item of msm ({error!r}): remove it and publish its day again."
        ) from error


def put_item(path: Path, header: Header, sha256: str) -> Record:
    """Make the STAC item of a published file and its picture.

    Parameters
    ----------
    path, header, sha256
        The NetCDF file, what it says about itself, and its checksum.
    """
    picture, item = path.with_suffix(".png"), path.with_suffix(".json")
    assessment = read_assessment(path)
    document = stac.item(
        header,
        (sha256, path.stat().st_size),
        (sha256_of_file(picture), picture.stat().st_size),
        # One of an earlier revision says nothing of this one.
        assessment if assessment and assessment.sha256 == sha256 else None,
    )
    _put_json(item, document)
    return read_record(item)


def put_catalogue(archive: Path, header: Header, month: Path) -> None:
    """Bring the catalogue of a month up to date, and those above it, which seldom change."""
    items = stac.item_paths(month)
    _put_json(
        month / CATALOG,
        stac.month(header.domain, month.parent.name, month.name, [p.stem for p in items]),
    )
    lines = []
    for record in map(read_record, items):
        lines.append(f"{record.sha256}  {record.path.name}\n")
        lines.append(f"{record.picture_sha256}  {record.picture.name}\n")
    _put(month / CHECKSUMS, "".join(lines).encode())
    _put_collection(header, domain_folder(archive, header.domain), month)
    with locked(archive / ".lock"):
        labels = [path.parent.name for path in archive.glob(f"*/{COLLECTION}")]
        _put_json(archive / CATALOG, stac.root(labels))


def _put_collection(header: Header, domain: Path, month: Path) -> None:
    """Make a domain's collection, unless it covers the day already."""
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
    """Tell whether a collection is this version's, begins by a day and links to its month."""
    try:
        document = json.loads(collection.read_bytes())
        first = datetime.fromisoformat(document["extent"]["temporal"]["interval"][0][0]).date()
        return (
            document["summaries"]["msm:product_version"] == [PRODUCT_VERSION]
            and first <= day
            and any(link["href"] == f"./{month}/{CATALOG}" for link in document["links"])
        )
    except (FileNotFoundError, LookupError, TypeError, ValueError):
        # Not there, or damaged: it is made anew.
        return False


def is_listed(changes: Path, sha256: str) -> bool:
    """Tell whether a domain's list of changes has a whole line for a file."""
    whole = changes.read_bytes().rpartition(b"\n")[0] if changes.is_file() else b""
    return f'"sha256": "{sha256}"'.encode() in whole


def append_change(changes: Path, record: Record) -> None:
    """Add a publication to a domain's list of changes."""
    line = json.dumps(
        {
            "published": f"{record.created:%Y-%m-%dT%H:%M:%SZ}",
            "day": str(record.day),
            "file": record.path.relative_to(changes.parent).as_posix(),
            "status": record.status,
            "revision": record.revision,
            "sha256": record.sha256,
            "replaces": record.replaced_sha256,
            "fingerprint": record.fingerprint,
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


def point_to_latest(domain: Path) -> None:
    """Let `latest.json` name the newest published day that is not withheld.

    Where all are, it names the newest: an archive of nothing but doubtful maps has a newest map.
    """
    years = sorted(domain.glob("[0-9]*"), reverse=True)
    months = (month for year in years for month in sorted(year.glob("[0-9]*"), reverse=True))
    items = (item for month in months for item in reversed(stac.item_paths(month)))
    newest = record = read_record(next(items))
    while record.verdict == Verdict.withheld:
        following = next(items, None)
        if following is None:
            record = newest
            break
        record = read_record(following)
    _put_json(
        domain / LATEST,
        {
            "day": str(record.day),
            "file": record.path.relative_to(domain).as_posix(),
            "item": record.item.relative_to(domain).as_posix(),
            "quicklook": record.picture.relative_to(domain).as_posix(),
            "sha256": record.sha256,
            "status": record.status,
            "revision": record.revision,
            "fingerprint": record.fingerprint,
            "published": f"{record.created:%Y-%m-%dT%H:%M:%SZ}",
        },
    )


def _put_json(path: Path, document: dict[str, Any]) -> None:
    _put(path, (json.dumps(document, indent=2) + "\n").encode())


def _put(path: Path, content: bytes) -> None:
    """Give a small file its content, atomically, and leave it alone where it has it."""
    if path.is_file() and path.read_bytes() == content:
        return
    with replacing(path) as new:
        new.write_bytes(content)
