"""The work folder: the name and path of everything that msm keeps there, and listings of it.

    granules/<product>.<version>/          downloaded granules
    forcing/<label>/<YYYY>/<YYYYMMDD>.nc   daily forcing on the cells
    retrievals/<label>/<YYYY>/...          SMAP retrievals on the cells
    statics/<label>.nc                     static attributes of the cells
    states/<label>/<chain>/                chains of states (`msm.model.chain`)
    days/<label>.json, <label>-look.json   failures of days, and the last scheduled run

A label names a domain and its mask.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

REMOVED = ".removed"
"""Folder next to the chains that holds a chain while it is removed."""

YEAR = re.compile(r"\d{4}")
CHAIN = re.compile(r"[0-9a-f]{12}")
STATICS = re.compile(r"[\w.]+-[0-9a-f]{8}\.nc")
OF_A_DAY = re.compile(r"(?P<day>\d{8})\.nc")
"""Forcing or retrievals."""
RECORD = re.compile(r"(?P<day>\d{8})\.json")
PREDICTION = re.compile(r"(?P<day>\d{8})-prediction\.nc")
OF_A_CHAIN = re.compile(r"chain\.json|\.lock|\d{8}\.h5|\d{8}-prediction\.nc")
"""Files next to the records of a chain."""
TEMPORARY = re.compile(r"\.(?P<name>.+)\.(?P<pid>\d+)@.+\.tmp")
"""Name of a file until it is whole, as `msm.atomic_files.replacing` gives it."""
INCOMING = re.compile(r"\.incoming-(?P<pid>\d+)")
"""Folder of granules that are downloaded and not checked yet."""


@dataclass(frozen=True)
class Workspace:
    """The paths of one domain in a work folder."""

    root: Path
    label: str
    """Domain and mask."""

    @property
    def forcing_folder(self) -> Path:
        """Folder of the stored forcing."""
        return self.root / "forcing" / self.label

    @property
    def retrieval_folder(self) -> Path:
        """Folder of the stored SMAP retrievals."""
        return self.root / "retrievals" / self.label

    def forcing(self, day: date) -> Path:
        """Return the path of a day's stored forcing."""
        return day_path(self.forcing_folder, day)

    def retrieval(self, day: date) -> Path:
        """Return the path of a day's stored SMAP retrievals."""
        return day_path(self.retrieval_folder, day)

    @property
    def statics(self) -> Path:
        """Path of the domain's static attributes."""
        return self.root / "statics" / f"{self.label}.nc"

    @property
    def chains(self) -> Path:
        """Folder of the chains of states."""
        return self.root / "states" / self.label

    @property
    def failures(self) -> Path:
        """Path of the failures of days."""
        return self.root / "days" / f"{self.label}.json"

    @property
    def last_scan(self) -> Path:
        """Path of the record of the last scheduled run."""
        return self.root / "days" / f"{self.label}-look.json"


def granule_folder(root: Path, product: str, version: str) -> Path:
    """Return the folder of a product's downloaded granules in a work folder."""
    return root / "granules" / f"{product}.{version}"


def day_path(folder: Path, day: date) -> Path:
    """Return the path of a day in a folder of stored forcing or retrievals."""
    return folder / f"{day:%Y}" / f"{day:%Y%m%d}.nc"


def stored_days(folder: Path) -> list[date]:
    """List the days of a folder of stored forcing or retrievals, oldest first."""
    return sorted(
        day
        for year in folders(folder, YEAR)
        for path in files(year)
        if (day := day_of(OF_A_DAY, path.name)) and f"{day:%Y}" == year.name
    )


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
