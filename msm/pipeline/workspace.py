"""The work folder as it lies on the disk: how msm names things in it, and a look at them."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, date, datetime
from pathlib import Path

REMOVED = ".removed"
"""Folder beside the chains in which a chain lies while it is removed."""

YEAR = re.compile(r"\d{4}")
CHAIN = re.compile(r"[0-9a-f]{12}")
STATICS = re.compile(r"[\w.]+-[0-9a-f]{8}\.nc")
OF_A_DAY = re.compile(r"(?P<day>\d{8})\.nc")
"""Forcing or retrievals."""
RECORD = re.compile(r"(?P<day>\d{8})\.json")
PREDICTION = re.compile(r"(?P<day>\d{8})-prediction\.nc")
OF_A_CHAIN = re.compile(r"chain\.json|\.lock|\d{8}\.h5|\d{8}-prediction\.nc")
"""Files beside the records of a chain."""
TEMPORARY = re.compile(r"\.(?P<name>.+)\.(?P<pid>\d+)@.+\.tmp")
"""Name of a file until it is whole, as `msm.atomic_files.replacing` gives it."""
INCOMING = re.compile(r"\.incoming-(?P<pid>\d+)")
"""Folder of granules that are downloaded and not checked yet."""


def inside(folder: Path) -> list[Path]:
    """List a folder; nothing where a symbolic link leads to it."""
    if folder.resolve() != folder or not folder.is_dir():
        return []
    return sorted(folder.iterdir())


def files(folder: Path) -> list[Path]:
    """List the files of a folder, without symbolic links."""
    return [path for path in inside(folder) if path.is_file() and not path.is_symlink()]


def folders(folder: Path, name: re.Pattern[str]) -> list[Path]:
    """List the folders in a folder that are named so, without symbolic links."""
    return [
        path
        for path in inside(folder)
        if name.fullmatch(path.name) and path.is_dir() and not path.is_symlink()
    ]


def day_of(pattern: re.Pattern[str], name: str) -> date | None:
    """Return the day in a file's name; None where it is named otherwise or the day is none."""
    match = pattern.fullmatch(name)
    if match is None:
        return None
    try:
        return datetime.strptime(match["day"], "%Y%m%d").replace(tzinfo=UTC).date()
    except ValueError:
        return None


def written(path: Path) -> int:
    """Return when a file, or the newest file in a folder, was written; ns since 1970.

    Of an empty folder, when it was emptied or made.

    Raises
    ------
    FileNotFoundError
        If it is not there.
    """
    itself, *within = _stats(path)
    files = [found.st_mtime_ns for found in within if not stat.S_ISDIR(found.st_mode)]
    return max(files, default=itself.st_mtime_ns)


def size(path: Path) -> int:
    """Return the bytes of a file, or of all files in a folder."""
    return sum(found.st_size for found in _stats(path) if not stat.S_ISDIR(found.st_mode))


def _stats(path: Path) -> Iterator[os.stat_result]:
    """Look at a file, or at a folder and all in it; what goes meanwhile is not there."""
    yield path.lstat()
    if path.is_dir() and not path.is_symlink():
        for folder, names, others in os.walk(path):
            for name in (*names, *others):
                with suppress(FileNotFoundError):
                    yield Path(folder, name).lstat()
