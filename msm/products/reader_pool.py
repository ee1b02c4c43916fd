"""Processes that read granules.

HDF5 is not thread-safe, and may crash or hang on a damaged file.
"""

from __future__ import annotations

import mmap
import multiprocessing
import os
import shutil
import signal
import tempfile
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self
from uuid import uuid4

import numpy as np

from msm import malloc
from msm.errors import MsmError
from msm.products.placement import GridWindow
from msm.products.product import GranuleError, Product, Reading
from msm.products.registry import product

LIMIT_SECONDS = 60.0
"""Time limit for one granule; the largest take a few seconds."""

UNEXPECTED = (ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError)
"""Errors besides the library's own that an inconsistent file may raise."""

ALIGNMENT = 64
"""Alignment of arrays of every type, bytes."""

KEPT_BYTES = 256 * 2**20
"""Memory that a reading process keeps for its next granule, bytes."""


@dataclass(frozen=True)
class _Request:
    """A granule to read, and what of it."""

    short_name: str
    version: str
    path: Path
    names: tuple[str, ...] | None
    window: GridWindow | None


class _StoredField(NamedTuple):
    """Position and format of a field in a file."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    start: int
    """First byte."""
    order: Literal["C", "F"]
    """`F` (column-major) for a transposed granule, which is not copied."""


@dataclass(frozen=True)
class _Transfer:
    """A reading on its way from one process to another."""

    reading: Reading
    """Without its fields where they are in a file."""
    file: Path | None = None
    """Path of the fields; through a pipe they would take five times as long."""
    stored: tuple[_StoredField, ...] = ()

    def opened(self) -> Reading:
        """Return the reading with its fields in mapped memory, and remove the file."""
        if self.file is None:
            return self.reading
        with self.file.open("rb") as file:
            memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        # The mapping exists until the last field is freed.
        self.file.unlink()
        fields = {
            at.name: np.ndarray(at.shape, at.dtype, memory, at.start, order=at.order)
            for at in self.stored
        }
        return replace(self.reading, fields=fields)


def _pack(reading: Reading, folder: Path) -> _Transfer:
    if not any(field.size for field in reading.fields.values()):
        return _Transfer(reading)
    stored = []
    path = folder / uuid4().hex
    try:
        with path.open("xb") as file:
            for name, field in reading.fields.items():
                start = file.seek(-file.tell() % ALIGNMENT, os.SEEK_CUR)
                order: Literal["C", "F"] = "F" if field.flags.f_contiguous else "C"
                file.write(np.asarray(field, order=order).ravel("K").data)
                stored.append(_StoredField(name, field.shape, field.dtype, start, order))
    except OSError as error:
        path.unlink(missing_ok=True)
        raise MsmError(
            f"Fields could not be written to {folder} ({error.strerror}): free space there, or set "
            "TMPDIR to another folder."
        ) from error
    return _Transfer(replace(reading, fields={}), path, tuple(stored))


def _read(request: _Request, limit: float, folder: Path) -> _Transfer:
    path = request.path
    # By default the alarm ends the process, even inside the library, where no thread or signal
    # handler of Python runs.
    signal.setitimer(signal.ITIMER_REAL, limit)
    try:
        known = product(request.short_name, request.version)
        reading = known.read(path, request.names, request.window)
    except UNEXPECTED as error:
        raise GranuleError(
            f"{path.name} cannot be read ({type(error).__name__}: {error}): it is fetched again; "
            "if nothing changes, report it to the provider."
        ) from error
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    for name, field in reading.fields.items():
        if field.dtype.kind == "f" and np.isinf(field).any():
            raise GranuleError(
                f"{path.name} has infinite values of {name}: it is fetched again; if nothing "
                "changes, report it to the provider."
            )
    return _pack(reading, folder)


def _begin(folder: Path) -> None:
    """Let a reading process keep its memory, and end when its parent is killed."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    with suppress(OSError):  # it exists already, or the first reading reports the error
        folder.mkdir(mode=0o700)
    # Freeing and allocating memory for each field takes a fifth of the time.
    malloc.keep(KEPT_BYTES)
    parent = multiprocessing.parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


@dataclass(frozen=True, eq=False)
class Pending:
    """A granule that is being read."""

    _readers: Readers
    _request: _Request
    _pool: ProcessPoolExecutor
    _future: Future[_Transfer] | None

    def result(self) -> Reading:
        """Wait for the reading, once, and free its disk space.

        Raises
        ------
        GranuleError
            If it cannot be read, or ends its process.
        """
        try:
            if self._future is not None:
                return self._future.result().opened()
        except BrokenProcessPool:
            pass
        # A granule ended its process and lost the readings of the others. This one is read alone,
        # which shows whether it was the cause.
        return self._readers._read_alone(self._pool, self._request)


class Readers:
    """A pool of reading processes, a context manager, for all granules of a run."""

    def __init__(self, processes: int, limit: float = LIMIT_SECONDS) -> None:
        self._processes, self._limit = processes, limit
        # The processes create and remove it: a run that is killed before they start leaves nothing.
        self._folder = Path(tempfile.gettempdir()) / f"msm-readers-{uuid4().hex}"
        self._start()

    def _start(self) -> None:
        # Spawned, because a fork would copy the locks of the parent's threads. The processes start
        # with the first granule.
        self._pool = ProcessPoolExecutor(
            self._processes,
            multiprocessing.get_context("spawn"),
            initializer=_begin,
            initargs=(self._folder,),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown(cancel_futures=True)
        shutil.rmtree(self._folder, ignore_errors=True)

    def submit(
        self,
        product: Product,
        path: Path,
        names: Iterable[str] | None = None,
        window: GridWindow | None = None,
    ) -> Pending:
        """Start reading one granule; `names` and `window` as in `Product.read`."""
        chosen = None if names is None else tuple(names)
        layout = product.layout
        request = _Request(layout.product, layout.version, path, chosen, window)
        try:
            future = self._send(request)
        except BrokenProcessPool:
            future = None
        return Pending(self, request, self._pool, future)

    def each(
        self,
        product: Product,
        granules: Iterable[tuple[Path, Iterable[str] | None]],
        window: GridWindow | None = None,
    ) -> Iterator[Reading]:
        """Read granules in order, only as far ahead as keeps the processes busy.

        The memory for readings that wait does not grow with the number of granules.

        Parameters
        ----------
        product
            Product of the granules.
        granules
            Path of each and its layout variables to read, as in `Product.read`.
        window
            As in `Product.read`.

        Raises
        ------
        GranuleError
            If a granule cannot be read; those before it have been yielded.
        """
        ahead: deque[Pending] = deque()
        for path, names in granules:
            ahead.append(self.submit(product, path, names, window))
            if len(ahead) > self._processes:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()

    def problems(self, product: Product, paths: Sequence[Path]) -> dict[Path, str]:
        """Check the layout, axes and time of granules without reading their fields.

        Returns
        -------
        dict
            Message for each invalid granule.
        """
        pending = {path: self.submit(product, path, ()) for path in paths}
        found = {}
        for path, granule in pending.items():
            try:
                granule.result()
            except GranuleError as error:
                found[path] = str(error)
        return found

    def _send(self, request: _Request) -> Future[_Transfer]:
        return self._pool.submit(_read, request, self._limit, self._folder)

    def _read_alone(self, broken: ProcessPoolExecutor, request: _Request) -> Reading:
        if self._pool is broken:
            self._start()
        try:
            return self._send(request).result().opened()
        except BrokenProcessPool:
            self._start()
            raise GranuleError(
                f"{request.path.name} ends the process that reads it (a crash of the HDF5 library, "
                f"or more than {self._limit:.0f} s): it is fetched again; if nothing changes, "
                "report it to the provider."
            ) from None
