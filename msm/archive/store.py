"""Publish maps: the archive itself records the work done, and a reader never sees half a file.

A day is published in this order. Without a lock, so that processes publish different days at once:
NetCDF file and quick look under hidden names, flushed to disk, reopened and checked. Under the lock
of the domain: both renamed; `SHA256SUMS`; STAC item; catalogue of the month; collection and root
catalogue, where a month or a domain is new; `changes.jsonl`; `latest.json`. Everything after the
file itself is a pure function of the published files, so the next publication completes what a
killed run left out.

The number of a revision is part of the file, so it is known before the file is written: it follows
from what is published then. Under the lock this is checked again; where another process has
published the day meanwhile, the day starts over.

The bytes of a NetCDF file are hashed once in a publication.

One process publishes one day at a time: HDF5 is not thread-safe.
"""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import NamedTuple

from msm.archive import netcdf, quicklook, sidecars
from msm.archive.assessment import Assessment, assessment_path, write_assessment
from msm.archive.daily_map import DailyMap
from msm.archive.naming import PRODUCT_VERSION, day_of, domain_folder, map_path
from msm.archive.netcdf import Revision, read_header
from msm.archive.sidecars import PublishedDay, read_published
from msm.archive.validate import check_content, check_sidecars, sha256_of_file
from msm.atomic_files import flush, locked, replacing, writing
from msm.errors import MsmError

LOCK = ".lock"
"""Held by the one process that changes what is published of a domain."""

WRITING = ".writing"
"""Held in common by all processes that are writing files of a domain."""

log = logging.getLogger(__name__)


class PublishRefused(MsmError):
    """A map that may not take the place of the one that is published."""


@dataclass(frozen=True)
class Published(PublishedDay):
    """The outcome of `publish`."""

    changed: bool
    """False where the day was already published with the same fingerprint and status."""


class _NewFiles(NamedTuple):
    """A checked NetCDF file and its picture, under hidden names."""

    path: Path
    picture: Path
    sha256: str
    """Of the NetCDF file."""


def publish(archive: Path, daily_map: DailyMap, assessment: Assessment | None = None) -> Published:
    """Publish one day's map, unless it is published already.

    Running it again after a crash at any point ends in the same archive, and so do several
    processes that publish at once.

    Parameters
    ----------
    archive
        Folder of the archive; created where it is missing.
    daily_map
        The map and its lineage.
    assessment
        The quality of the map: a withheld map does not become the latest.

    Raises
    ------
    PublishRefused
        If a provisional map would replace a final one.
    MsmError
        If the map fails its own checks or cannot be written; what was published stays.
    """
    name = daily_map.domain.name
    path, domain = map_path(archive, name, daily_map.day), domain_folder(archive, name)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            with locked(domain / LOCK):
                _clean(domain, path.parent)
                seen, sha256 = _identity(path), _valid_sha256(path)
                before = _complete(archive, name, {path: sha256})[0] if sha256 else None
                if before and _is_same(before, daily_map):
                    if assessment and not assessment_path(path).exists():
                        _put_assessment(path, assessment, before.sha256)
                        (before,) = _complete(archive, name, {path: before.sha256})
                    return Published(**vars(before), changed=False)
                revision = _next_revision(path, before, daily_map.lineage.status)
            with (
                locked(domain / WRITING, fcntl.LOCK_SH),
                _written(path, daily_map, revision) as new,
                locked(domain / LOCK),
            ):
                # Where another process has published the day meanwhile, start over.
                if _identity(path) == seen:
                    _rename(new, path)
                    if assessment:
                        _put_assessment(path, assessment, new.sha256)
                    (published,) = _complete(archive, name, {path: new.sha256})
                    return Published(**vars(published), changed=True)


def assess(
    archive: Path, domain_name: str, assessments: Iterable[Assessment]
) -> list[PublishedDay]:
    """Replace the assessments of published days, and all that depends on them.

    A damaged map is left as it is, with a warning: its assessment would describe other bytes.

    Returns
    -------
    list of PublishedDay
        The days whose maps are valid, oldest first.

    Raises
    ------
    MsmError
        If one of the days is not published; none is assessed then.
    """
    found = {map_path(archive, domain_name, each.day): each for each in assessments}
    for path, assessment in found.items():
        if not path.is_file():
            raise MsmError(
                f"{assessment.day} is not published: run msm daily --date {assessment.day}."
            )
    if not found:
        return []
    domain = domain_folder(archive, domain_name)
    with writing(domain), locked(domain / LOCK):
        valid = {path: sha256 for path in found if (sha256 := _valid_sha256(path))}
        for path, sha256 in valid.items():
            _put_assessment(path, found[path], sha256)
        return _complete(archive, domain_name, valid)


def published_days(archive: Path, domain_name: str) -> list[date]:
    """List the days that are published for a domain, oldest first."""
    paths = domain_folder(archive, domain_name).glob(f"[0-9]*/[0-9]*/*-v{PRODUCT_VERSION}.nc")
    return sorted(day for path in paths if (day := day_of(path.stem)))


def read_item(archive: Path, domain_name: str, day: date) -> PublishedDay | None:
    """Read the STAC item of a day, None where there is none.

    Raises
    ------
    MsmError
        If the item is not one of msm's.
    """
    item = map_path(archive, domain_name, day).with_suffix(".json")
    return read_published(item) if item.is_file() else None


def published_items(archive: Path, domain_name: str) -> list[PublishedDay]:
    """Read the STAC items of all days that are published, oldest first."""
    days = published_days(archive, domain_name)
    return [item for day in days if (item := read_item(archive, domain_name, day))]


def _identity(path: Path) -> tuple[int, ...] | None:
    """Return what changes with the content of a file, None where there is no file."""
    if not path.is_file():
        return None
    status = path.stat()
    return status.st_ino, status.st_size, status.st_mtime_ns


def _valid_sha256(path: Path) -> str | None:
    """Hash a published file; None where it is missing or damaged."""
    if not path.is_file():
        return None
    item, sha256 = path.with_suffix(".json"), sha256_of_file(path)
    if item.is_file():
        stated = read_published(item).sha256
        # A run killed before it wrote the item leaves the next revision next to the old item.
        valid = stated == sha256 or _replaces(path) == stated
    else:
        valid = not (check_content(path) + check_sidecars(path, sha256))
    if not valid:
        log.warning("%s is damaged and will be replaced when its day is made again", path)
        return None
    return sha256


def _replaces(path: Path) -> str | None:
    try:
        return read_header(path).revision.replaces
    except MsmError:
        return None


def _is_same(before: PublishedDay, daily_map: DailyMap) -> bool:
    """Return whether a day is published just as the new map would publish it.

    The same values may be published once more only to become final.
    """
    lineage = daily_map.lineage
    promoted = (before.status, lineage.status) == ("provisional", "final")
    return before.fingerprint == lineage.fingerprint and not promoted


def _next_revision(path: Path, before: PublishedDay | None, status: str) -> Revision:
    """Return the revision of a new map with a status, which replaces a valid file `before`."""
    if before and (before.status, status) == ("final", "provisional"):
        raise PublishRefused(
            f"{path.name} is published as final and is not replaced by a provisional map: bring "
            "the first-choice inputs, or leave the day as it is."
        )
    item = path.with_suffix(".json")
    if before is None and item.is_file():
        # The file is damaged or gone: its item keeps the number of the revision.
        before = read_published(item)
    return Revision(before.revision + 1, before.sha256) if before else Revision()


@contextmanager
def _written(path: Path, daily_map: DailyMap, revision: Revision) -> Iterator[_NewFiles]:
    """Write the file and its picture under hidden names, checked and flushed to the disk."""
    token = secrets.token_hex(4)
    new, picture = (
        path.with_name(f".{token}.{path.stem}{suffix}.tmp") for suffix in (".nc", ".png")
    )
    try:
        netcdf.write(new, daily_map, revision)
        flush(new)
        if problems := check_content(new):
            raise MsmError(
                f"{path.name} was not published, because its own check failed: {' '.join(problems)}"
            )
        sha256 = sha256_of_file(new)
        quicklook.draw(new, picture, sha256)
        flush(picture)
        yield _NewFiles(new, picture, sha256)
    finally:
        new.unlink(missing_ok=True)
        picture.unlink(missing_ok=True)


def _rename(new: _NewFiles, path: Path) -> None:
    os.replace(new.path, path)
    os.replace(new.picture, path.with_suffix(".png"))
    flush(path.parent)


def _put_assessment(path: Path, assessment: Assessment, sha256: str) -> None:
    write_assessment(path, assessment.model_copy(update={"sha256": sha256}))


def _complete(archive: Path, domain_name: str, files: Mapping[Path, str]) -> list[PublishedDay]:
    """Draw pictures of published files and bring all that describes the files up to date."""
    for path, sha256 in files.items():
        picture = path.with_suffix(".png")
        if quicklook.drawn_from(picture) != sha256:
            with replacing(picture) as new:
                quicklook.draw(path, new, sha256)
    return sidecars.put(archive, domain_name, files)


def _clean(domain: Path, month: Path) -> None:
    """Remove what killed runs left under hidden names, unless a process is writing.

    A lock in the kernel shows that: a process id says nothing across machines and containers.
    """
    try:
        with locked(domain / WRITING, fcntl.LOCK_EX | fcntl.LOCK_NB):
            for path in month.glob(".*.tmp"):
                path.unlink()
    except BlockingIOError:
        return
