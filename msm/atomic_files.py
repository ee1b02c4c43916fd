"""Files that are there whole or not at all, whatever happens to the process or the power.

And locks that end with the process that holds them.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from msm.errors import MsmError

T = TypeVar("T")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a hidden name beside `path` to write to; at the end it is flushed and renamed.

    Its folder is made where it is missing. After an error nothing of it stays, and what `path` held
    before is untouched. What a killed process left under such a name is removed.

    Raises
    ------
    MsmError
        If it cannot be written, as on a full disk.
    """
    _sweep(path)
    new = path.with_name(f".{path.name}.{os.getpid()}@{os.uname().nodename}.tmp")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield new
            flush(new)
            os.replace(new, path)
            flush(path.parent)
        finally:
            new.unlink(missing_ok=True)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Say in one sentence that `path` could not be written.

    Raises
    ------
    MsmError
        In the place of what a full disk, a broken one, or one without the right to write raises.
    """
    try:
        yield
    # HDF5 tells of a full disk by the second.
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise MsmError(
            f"{path} could not be written ({reason}): make room, mend the disk or let msm write "
            "there, and run the same command again. What was there before is untouched."
        ) from error


def _sweep(path: Path) -> None:
    """Remove what killed processes of this machine left of a file; another machine's may live."""
    for left in path.parent.glob(f".{path.name}.*@{os.uname().nodename}.tmp"):
        pid = left.name.rpartition("@")[0].rpartition(".")[2]
        if not alive(int(pid)):
            left.unlink(missing_ok=True)


def read_document(path: Path, validate: Callable[[bytes], T]) -> T | None:
    """Read a small document that a run makes; None where there is none.

    Raises
    ------
    MsmError
        If `validate`, of pydantic, finds it damaged.
    """
    try:
        return validate(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise MsmError(f"{path} is damaged: remove it; the next run makes it anew.") from error


@contextmanager
def locked(path: Path, how: int = fcntl.LOCK_EX) -> Iterator[None]:
    """Hold the lock file `path`; the kernel lets go when the process ends, however it ends.

    `how` is what `fcntl.flock` takes: `LOCK_SH` holds it in common with others, and with `LOCK_NB`
    `BlockingIOError` is raised instead of waiting. Its folder is made where it is missing.

    Raises
    ------
    MsmError
        If it cannot be written.
    """
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
    with file:
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
