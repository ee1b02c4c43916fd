"""Files that are there whole or not at all, whatever happens to the process or the power.

And locks that end with the process that holds them.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a hidden name beside `path` to write to; at the end it is flushed and renamed.

    After an error nothing of it stays, and what `path` held before is untouched. What a killed
    process left under such a name is removed.
    """
    for left in path.parent.glob(f".{path.name}.*.tmp"):
        if not alive(int(left.suffixes[-2].removeprefix("."))):
            left.unlink(missing_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        flush(temporary)
        os.replace(temporary, path)
        flush(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def locked(path: Path, how: int = fcntl.LOCK_EX) -> Iterator[None]:
    """Hold the lock file `path`; the kernel lets go when the process ends, however it ends.

    `how` is what `fcntl.flock` takes: `LOCK_SH` holds it in common with others, and with `LOCK_NB`
    `BlockingIOError` is raised instead of waiting.
    """
    with path.open("a+") as file:
        fcntl.flock(file, how)
        yield


def flush(path: Path) -> None:
    """Wait until a file's content, or a folder's entries, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def alive(pid: int) -> bool:
    """Tell whether a process of this machine is running."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
