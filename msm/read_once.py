"""Files that are replaced but never changed in place are read once a process."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

VERSIONS = 2048
"""Versions of files that are kept by one reader: years of days."""

Version = tuple[int, int, int, int]
"""Device, inode, time of modification (ns) and size."""


def read_once(read: Callable[[Path], T]) -> Callable[[Path], T]:
    """Decorate a reader of small files: each version of a file is read once.

    A file that `msm.atomic_files.replacing` has replaced, in this process or in another, has
    another inode and is read again. Failures are not kept.
    """

    @lru_cache(maxsize=VERSIONS)
    def cached(version: Version, path: Path) -> T:
        return read(path)

    @wraps(read)
    def reader(path: Path) -> T:
        try:
            found = path.stat()
        except OSError:
            # The reader itself says what is wrong with it.
            return read(path)
        version = (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)
        return cached(version, path)

    return reader
