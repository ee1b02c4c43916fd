"""Publishing: the archive is its own ledger, and a reader never sees half a file.

A day is published in this order: NetCDF file and quick look under temporary names, flushed to disk,
reopened and checked; then, under a lock of the domain, renamed; STAC item; catalogue of the month;
`SHA256SUMS`; collection and root catalogue, where a month or a domain is new; `changes.jsonl`;
`latest.json`. Everything after the file itself is a pure function of the published files, so
whatever a killed run left out is made by the next. Days are written side by side: a file is renamed
only if nobody has published its day since it was begun.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Any

from msm.archive import netcdf, quicklook, stac
from msm.archive.daily_map import DailyMap
from msm.archive.naming import PRODUCT_VERSION, day_of, domain_folder, map_path
from msm.archive.netcdf import Header, Revision, read_header
from msm.archive.validate import CHECKSUMS, sha256_of_file, validate
from msm.durable import flush, replacing, sweep, temporary
from msm.errors import MsmError

LATEST = "latest.json"
CHANGES = "changes.jsonl"

log = logging.getLogger(__name__)


class PublishRefused(MsmError):
    """A map that may not take the place of the one that is published."""


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


@dataclass(frozen=True)
class Published(Record):
    """The outcome of `publish`."""

    changed: bool
    """False where the day was already published with the same fingerprint and status."""


def publish(archive: Path, daily_map: DailyMap) -> Published:
    """Publish one day's map, or find that it is published already.

    Running it again after a crash at any point ends in the same archive.

    Parameters
    ----------
    archive
        Folder of the archive; made where it is missing.
    daily_map
        The map and its lineage.

    Raises
    ------
    PublishRefused
        If a provisional map would replace a final one.
    MsmError
        If the map fails its own checks or cannot be written; what was published stays.
    """
    name, day = daily_map.domain.name, daily_map.day
    path = map_path(archive, name, day)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        domain = domain_folder(archive, name)
        while True:
            with _lock(domain):
                sweep(path.parent)
                before = _resume(archive, path)
            if before and _same(before, daily_map):
                return _published(before, changed=False)
            revision = _next_revision(path, before, daily_map)
            with _written(path, daily_map, revision) as rename, _lock(domain):
                if _resume(archive, path) == before:
                    rename()
                    return _published(_complete(archive, path), changed=True)
    except OSError as error:
        raise MsmError(
            f"{path.name} could not be published in {archive}: {error.strerror or error}. What was "
            "published before is untouched; make room or mend the disk and run the day again."
        ) from error


def resume(archive: Path, domain_name: str, day: date) -> Record | None:
    """Complete a day whose publication was cut off, and say what is published.

    Ask here whether a day needs work: the answer has the fingerprint of a file that is whole, with
    every side-car in place.

    Returns
    -------
    Record or None
        None where the day is not published, or its file is damaged and must be made again.
    """
    path = map_path(archive, domain_name, day)
    if not path.is_file():
        return None
    with _lock(domain_folder(archive, domain_name)):
        return _resume(archive, path)


def published_days(archive: Path, domain_name: str) -> list[date]:
    """List the days that are published for a domain, oldest first."""
    paths = domain_folder(archive, domain_name).glob(f"[0-9]*/[0-9]*/*-v{PRODUCT_VERSION}.nc")
    return sorted(day for path in paths if (day := day_of(path.stem)))


def read_item(archive: Path, domain_name: str, day: date) -> Record | None:
    """Read the STAC item of a day, None where there is none.

    Raises
    ------
    MsmError
        If the item is not one of msm's.
    """
    item = map_path(archive, domain_name, day).with_suffix(".json")
    return _record(item) if item.is_file() else None


def fingerprint_of(archive: Path, domain_name: str, day: date) -> str | None:
    """Read the fingerprint of a published day from its file, None where there is none."""
    path = map_path(archive, domain_name, day)
    return read_header(path).lineage.fingerprint if path.is_file() else None


def _same(before: Record, daily_map: DailyMap) -> bool:
    """Tell whether a day is published as well as the new map would publish it.

    The same values may be published once more only to become final.
    """
    lineage = daily_map.lineage
    promoted = (before.status, lineage.status) == ("provisional", "final")
    return before.fingerprint == lineage.fingerprint and not promoted


def _next_revision(path: Path, before: Record | None, daily_map: DailyMap) -> Revision:
    if before is None:
        item = path.with_suffix(".json")
        if not item.is_file():
            return Revision()
        # The file is damaged or gone: its item remembers which revision it was.
        before = _record(item)
    elif (before.status, daily_map.lineage.status) == ("final", "provisional"):
        raise PublishRefused(
            f"{path.name} is published as final and is not replaced by a provisional map: bring "
            "the first-choice inputs, or leave the day as it is."
        )
    return Revision(before.revision + 1, before.sha256)


@contextmanager
def _written(path: Path, daily_map: DailyMap, revision: Revision) -> Iterator[Callable[[], None]]:
    """Make the file and its picture under temporary names and check them; give their renaming."""
    picture = path.with_suffix(".png")
    new, new_picture = temporary(path), temporary(picture)

    def rename() -> None:
        os.replace(new, path)
        os.replace(new_picture, picture)
        flush(path.parent)

    try:
        netcdf.write(new, daily_map, revision)
        flush(new)
        if problems := validate(new):
            raise MsmError(
                f"{path.name} was not published, because its own check failed: {' '.join(problems)}"
            )
        quicklook.draw(new, new_picture, sha256_of_file(new))
        flush(new_picture)
        yield rename
    finally:
        new.unlink(missing_ok=True)
        new_picture.unlink(missing_ok=True)


def _resume(archive: Path, path: Path) -> Record | None:
    """Complete what a killed run left of a day; None where its file is missing or damaged."""
    if not path.is_file():
        return None
    item = path.with_suffix(".json")
    if item.is_file():
        stated, actual = _record(item).sha256, sha256_of_file(path)
        # A run killed before it wrote the item leaves the next revision beside the old item.
        good = stated == actual or _replaces(path) == stated
    else:
        good = not validate(path)
    if not good:
        log.warning("%s is damaged and will be replaced when its day is made again", path)
        return None
    return _complete(archive, path)


def _replaces(path: Path) -> str | None:
    try:
        return read_header(path).revision.replaces
    except MsmError:
        return None


def _complete(archive: Path, path: Path) -> Record:
    """Make what belongs beside a published file and is missing or out of date, in order."""
    header, sha256 = read_header(path), sha256_of_file(path)
    picture, item = path.with_suffix(".png"), path.with_suffix(".json")
    if quicklook.drawn_from(picture) != sha256:
        with replacing(picture) as new:
            quicklook.draw(path, new, sha256)
    document = stac.item(
        header,
        (sha256, path.stat().st_size),
        (sha256_of_file(picture), picture.stat().st_size),
    )
    _put_json(item, document)
    _catalogue(archive, header, path.parent)
    record = _record(item)
    _append_change(domain_folder(archive, header.domain) / CHANGES, record)
    _point_to_latest(domain_folder(archive, header.domain))
    return record


def _catalogue(archive: Path, header: Header, month: Path) -> None:
    """Bring month and checksums up to date, and the collection and root, which seldom change."""
    domain = domain_folder(archive, header.domain)
    items = stac.item_paths(month)
    _put_json(
        month / "catalog.json",
        stac.month(header.domain, month.parent.name, month.name, [p.stem for p in items]),
    )
    lines = []
    for path in items:
        record = _record(path)
        lines.append(f"{record.sha256}  {record.path.name}\n")
        lines.append(f"{record.picture_sha256}  {record.picture.name}\n")
    _put(month / CHECKSUMS, "".join(lines).encode())

    months = sorted(domain.glob("[0-9]*/[0-9]*/catalog.json"))
    first = min(day for path in stac.item_paths(months[0].parent) if (day := day_of(path.stem)))
    _put_json(
        domain / "collection.json",
        stac.collection(
            header.domain,
            header.bbox,
            datetime.combine(first, time(), UTC),
            [path.parent.relative_to(domain).as_posix() for path in months],
        ),
    )
    with _lock(archive):
        labels = [path.parent.name for path in archive.glob("*/collection.json")]
        _put_json(archive / "catalog.json", stac.root(labels))


def _append_change(path: Path, record: Record) -> None:
    """Add a publication to the domain's list of changes, once."""
    text = path.read_text() if path.is_file() else ""
    whole = text[: text.rfind("\n") + 1]
    if f'"sha256": "{record.sha256}"' in whole:
        return
    line = json.dumps(
        {
            "published": f"{record.created:%Y-%m-%dT%H:%M:%SZ}",
            "day": str(record.day),
            "file": record.path.relative_to(path.parent).as_posix(),
            "status": record.status,
            "revision": record.revision,
            "sha256": record.sha256,
            "replaces": record.replaced_sha256,
            "fingerprint": record.fingerprint,
        }
    )
    with path.open("a") as file:
        # A run killed while it wrote may have left part of a line.
        file.truncate(len(whole.encode()))
        file.write(line + "\n")
        file.flush()
        os.fsync(file.fileno())


def _point_to_latest(domain: Path) -> None:
    """Let `latest.json` name the newest published day."""
    months = (p for p in sorted(domain.glob("[0-9]*/[0-9]*"), reverse=True) if stac.item_paths(p))
    record = _record(stac.item_paths(next(months))[-1])
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


def _record(item: Path) -> Record:
    """Read a STAC item."""
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
        )
    except (ValueError, KeyError) as error:
        raise MsmError(
            f"{item} is not a STAC item of msm ({error!r}): remove it and publish its day again."
        ) from error


def _published(record: Record, *, changed: bool) -> Published:
    return Published(**{f.name: getattr(record, f.name) for f in fields(record)}, changed=changed)


def _put_json(path: Path, document: dict[str, Any]) -> None:
    _put(path, (json.dumps(document, indent=2) + "\n").encode())


def _put(path: Path, content: bytes) -> None:
    """Give a small file its content, atomically, and leave it alone where it has it."""
    if path.is_file() and path.read_bytes() == content:
        return
    with replacing(path) as new:
        new.write_bytes(content)


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """Hold a folder for one process; the kernel lets go when the process ends, however it ends."""
    with (folder / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
