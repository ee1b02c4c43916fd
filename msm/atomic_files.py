"""Files that are written atomically, and locks that end with the process that holds them."""

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
    """Yield a hidden path next to `path` to write to, and rename it to `path` at the end.

    The folder is created where it is missing. After an error the hidden file is removed and `path`
    is unchanged. Files of the same kind that killed processes left are removed.

    Raises
    ------
    MsmError
        If the file cannot be written, for example on a full disk.
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
    """Turn errors of writing `path` into one sentence.

    Raises
    ------
    MsmError
        If the disk is full or faulty, or `path` is not writable.
    """
    try:
        yield
    # HDF5 reports a full disk as a RuntimeError.
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise MsmError(
            f"{path} could not be written ({reason}): free space, repair the disk or grant write "
            "permission, and run the same command again. The previous content is unchanged."
        ) from error


def _sweep(path: Path) -> None:
    """Remove temporary files that killed processes of this machine left; others may be in use."""
    for left in path.parent.glob(f".{path.name}.*@{os.uname().nodename}.tmp"):
        pid = left.name.rpartition("@")[0].rpartition(".")[2]
        if not alive(int(pid)):
            left.unlink(missing_ok=True)


def read_document(path: Path, validate: Callable[[bytes], T]) -> T | None:
    """Read a small document that runs write; None where there is none.

    Raises
    ------
    MsmError
        If `validate`, a pydantic validator, refuses it.
    """
    try:
        return validate(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise MsmError(f"{path} is damaged: remove it; the next run creates it again.") from error


@contextmanager
def locked(path: Path, how: int = fcntl.LOCK_EX) -> Iterator[None]:
    """Hold the lock file `path`; the kernel releases it when the process ends.

    `how` is an operation of `fcntl.flock`: `LOCK_SH` shares the lock, and with `LOCK_NB`
    `BlockingIOError` is raised instead of waiting. The folder is created where it is missing.

    Raises
    ------
    MsmError
        If the lock file cannot be written.
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
    """Return whether a process of this machine is running."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
