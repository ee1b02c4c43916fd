"""Publishing: the archive is its own ledger, and a reader never sees half a file.

A day is published in this order. Without a lock, so that processes publish different days at once:
NetCDF file and quick look under hidden names, flushed to disk, reopened and checked. Under the lock
of the domain: both renamed; STAC item; catalogue of the month; `SHA256SUMS`; collection and root
catalogue, where a month or a domain is new; `changes.jsonl`; `latest.json`. Everything after the
file itself is a pure function of the published files, so whatever a killed run left out is made by
the next.

Which revision a file is has to be known when it is written: it follows from what is published then.
Under the lock this is looked at again, and where another process has published the day meanwhile,
the day is done or its file is written anew.

One process publishes one day at a time: HDF5 is not thread-safe.
"""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path

from msm.archive import netcdf, quicklook, sidecars
from msm.archive.assessment import Assessment, assessment_path, write_assessment
from msm.archive.daily_map import DailyMap
from msm.archive.naming import PRODUCT_VERSION, day_of, domain_folder, map_path
from msm.archive.netcdf import Revision, read_header
from msm.archive.sidecars import Record, read_record
from msm.archive.validate import sha256_of_file, validate
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
class Published(Record):
    """The outcome of `publish`."""

    changed: bool
    """False where the day was already published with the same fingerprint and status."""


def publish(archive: Path, daily_map: DailyMap, assessment: Assessment | None = None) -> Published:
    """Publish one day's map, or find that it is published already.

    Running it again after a crash at any point ends in the same archive, and so do several
    processes that publish at once.

    Parameters
    ----------
    archive
        Folder of the archive; made where it is missing.
    daily_map
        The map and its lineage.
    assessment
        How good it looks: what is withheld does not become the latest.

    Raises
    ------
    PublishRefused
        If a provisional map would replace a final one.
    MsmError
        If the map fails its own checks or cannot be written; what was published stays.
    """
    name, day = daily_map.domain.name, daily_map.day
    path, domain = map_path(archive, name, day), domain_folder(archive, name)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with locked(domain / LOCK):
            _clean(domain, path.parent)
            due = _due(archive, path, daily_map)
            if isinstance(due, Record) and assessment and not assessment_path(path).exists():
                _put_assessment(path, assessment)
                due = _complete(archive, path, listed=True)
        while isinstance(due, Revision):
            with (
                locked(domain / WRITING, fcntl.LOCK_SH),
                _written(path, daily_map, due) as files,
                locked(domain / LOCK),
            ):
                planned, due = due, _due(archive, path, daily_map)
                if due == planned:
                    _rename(files, path)
                    if assessment is not None:
                        _put_assessment(path, assessment)
                    return _published(_complete(archive, path, listed=False), changed=True)
        return _published(due, changed=False)


def assess(archive: Path, domain_name: str, assessment: Assessment) -> Record:
    """Say of a published day how good it looks by now.

    Raises
    ------
    MsmError
        If the day is not published.
    """
    path = map_path(archive, domain_name, assessment.day)
    if not path.is_file():
        raise MsmError(f"{assessment.day} is not published: run msm daily --date {assessment.day}.")
    with writing(path), locked(domain_folder(archive, domain_name) / LOCK):
        _put_assessment(path, assessment)
        return _complete(archive, path, listed=True)


def _put_assessment(path: Path, assessment: Assessment) -> None:
    of_file = assessment.model_copy(update={"sha256": sha256_of_file(path)})
    write_assessment(path, of_file)


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
    with locked(domain_folder(archive, domain_name) / LOCK):
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
    return read_record(item) if item.is_file() else None


def published_items(archive: Path, domain_name: str) -> list[Record]:
    """Read the STAC items of all days that are published, oldest first."""
    days = published_days(archive, domain_name)
    return [item for day in days if (item := read_item(archive, domain_name, day))]


def fingerprint_of(archive: Path, domain_name: str, day: date) -> str | None:
    """Read the fingerprint of a published day from its file, None where there is none."""
    path = map_path(archive, domain_name, day)
    return read_header(path).lineage.fingerprint if path.is_file() else None


def _due(archive: Path, path: Path, daily_map: DailyMap) -> Revision | Record:
    """Return the revision that a map is to be published as, or the record of the same map."""
    before = _resume(archive, path)
    if before is None:
        item = path.with_suffix(".json")
        if not item.is_file():
            return Revision()
        # The file is damaged or gone: its item remembers which revision it was.
        before = read_record(item)
    elif _same(before, daily_map):
        return before
    elif (before.status, daily_map.lineage.status) == ("final", "provisional"):
        raise PublishRefused(
            f"{path.name} is published as final and is not replaced by a provisional map: bring "
            "the first-choice inputs, or leave the day as it is."
        )
    return Revision(before.revision + 1, before.sha256)


def _same(before: Record, daily_map: DailyMap) -> bool:
    """Tell whether a day is published as well as the new map would publish it.

    The same values may be published once more only to become final.
    """
    lineage = daily_map.lineage
    promoted = (before.status, lineage.status) == ("provisional", "final")
    return before.fingerprint == lineage.fingerprint and not promoted


@contextmanager
def _written(path: Path, daily_map: DailyMap, revision: Revision) -> Iterator[tuple[Path, Path]]:
    """Make the file and its picture under names of this run's own, checked and on the disk."""
    token = secrets.token_hex(4)
    new, new_picture = (
        path.with_name(f".{token}.{path.stem}{suffix}.tmp") for suffix in (".nc", ".png")
    )
    try:
        netcdf.write(new, daily_map, revision)
        flush(new)
        if problems := validate(new):
            raise MsmError(
                f"{path.name} was not published, because its own check failed: {' '.join(problems)}"
            )
        quicklook.draw(new, new_picture, sha256_of_file(new))
        flush(new_picture)
        yield new, new_picture
    finally:
        new.unlink(missing_ok=True)
        new_picture.unlink(missing_ok=True)


def _rename(files: tuple[Path, Path], path: Path) -> None:
    new, new_picture = files
    os.replace(new, path)
    os.replace(new_picture, path.with_suffix(".png"))
    flush(path.parent)


def _resume(archive: Path, path: Path) -> Record | None:
    """Complete what a killed run left of a day; None where its file is missing or damaged."""
    if not path.is_file():
        return None
    item, sha256 = path.with_suffix(".json"), sha256_of_file(path)
    if item.is_file():
        stated = read_record(item).sha256
        # A run killed before it wrote the item leaves the next revision beside the old item.
        good = stated == sha256 or _replaces(path) == stated
    else:
        good = not validate(path)
    if not good:
        log.warning("%s is damaged and will be replaced when its day is made again", path)
        return None
    changes = path.parents[2] / sidecars.CHANGES
    return _complete(archive, path, listed=sidecars.is_listed(changes, sha256))


def _replaces(path: Path) -> str | None:
    try:
        return read_header(path).revision.replaces
    except MsmError:
        return None


def _complete(archive: Path, path: Path, *, listed: bool) -> Record:
    """Make what belongs beside a published file and is missing or out of date, in order.

    `listed` says whether the list of changes tells of the file, which is long in a long archive.
    """
    header, sha256 = read_header(path), sha256_of_file(path)
    picture, domain = path.with_suffix(".png"), domain_folder(archive, header.domain)
    if quicklook.drawn_from(picture) != sha256:
        with replacing(picture) as new:
            quicklook.draw(path, new, sha256)
    record = sidecars.put_item(path, header, sha256)
    sidecars.put_catalogue(archive, header, path.parent)
    if not listed:
        sidecars.append_change(domain / sidecars.CHANGES, record)
    sidecars.point_to_latest(domain)
    return record


def _published(record: Record, *, changed: bool) -> Published:
    return Published(**{f.name: getattr(record, f.name) for f in fields(record)}, changed=changed)


def _clean(domain: Path, month: Path) -> None:
    """Remove what killed runs left under hidden names; while somebody writes, leave it to the next.

    The kernel knows who is: a process id says nothing across machines and containers.
    """
    try:
        with locked(domain / WRITING, fcntl.LOCK_EX | fcntl.LOCK_NB):
            for path in month.glob(".*.tmp"):
                path.unlink()
    except BlockingIOError:
        return
