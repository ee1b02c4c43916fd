"""Processes that read granules: HDF5 is not thread-safe, and may crash or hang on a broken file."""

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
"""Longest time that one granule may take; the largest need a few seconds."""

SURPRISES = (ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError)
"""What reading a file that is not what it says may raise beside the library's own errors."""

ALIGNMENT = 64
"""Bytes: arrays of every type may begin at their multiples."""

KEPT_BYTES = 256 * 2**20
"""Memory that a reading process keeps for its next granule."""


@dataclass(frozen=True)
class _Request:
    """What to read of which granule."""

    short_name: str
    version: str
    path: Path
    names: tuple[str, ...] | None
    window: GridWindow | None


class _Place(NamedTuple):
    """Where in a file a field lies, and how."""

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    start: int
    """First byte."""
    order: Literal["C", "F"]
    """`F` where columns follow each other: a turned granule is not turned in memory."""


@dataclass(frozen=True)
class _Parcel:
    """A reading on its way from one process to another."""

    reading: Reading
    """Without its fields, if they are in a file."""
    file: Path | None = None
    """Where the fields are: through a pipe they would take five times as long."""
    places: tuple[_Place, ...] = ()

    def opened(self) -> Reading:
        """Return the reading, its fields in the memory that the file is mapped to."""
        if self.file is None:
            return self.reading
        with self.file.open("rb") as file:
            memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
        # What is mapped stays until the last field is let go of.
        self.file.unlink()
        fields = {
            at.name: np.ndarray(at.shape, at.dtype, memory, at.start, order=at.order)
            for at in self.places
        }
        return replace(self.reading, fields=fields)


def _packed(reading: Reading, folder: Path) -> _Parcel:
    if not any(field.size for field in reading.fields.values()):
        return _Parcel(reading)
    places = []
    path = folder / uuid4().hex
    try:
        with path.open("xb") as file:
            for name, field in reading.fields.items():
                start = file.seek(-file.tell() % ALIGNMENT, os.SEEK_CUR)
                order: Literal["C", "F"] = "F" if field.flags.f_contiguous else "C"
                file.write(np.asarray(field, order=order).ravel("K").data)
                places.append(_Place(name, field.shape, field.dtype, start, order))
    except OSError as error:
        path.unlink(missing_ok=True)
        raise MsmError(
            f"What was read cannot be put into {folder} ({error.strerror}): make room there, or "
            "set TMPDIR to another folder."
        ) from error
    return _Parcel(replace(reading, fields={}), path, tuple(places))


def _read(request: _Request, limit: float, folder: Path) -> _Parcel:
    path = request.path
    # The alarm's default is to end the process: it strikes in the midst of the library too, where
    # no thread or handler of Python would get its turn.
    signal.setitimer(signal.ITIMER_REAL, limit)
    try:
        known = product(request.short_name, request.version)
        reading = known.read(path, request.names, request.window)
    except SURPRISES as error:
        raise GranuleError(
            f"{path.name} cannot be read ({type(error).__name__}: {error}): it is fetched again; "
            "if it comes back the same, the provider has to mend it."
        ) from error
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    for name, field in reading.fields.items():
        if field.dtype.kind == "f" and np.isinf(field).any():
            raise GranuleError(
                f"{path.name} holds infinite values of {name}: it is fetched again; if it comes "
                "back the same, the provider has to mend it."
            )
    return _packed(reading, folder)


def _begin(folder: Path) -> None:
    """Let a reading process keep its memory, and end when the run that it reads for is killed."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    with suppress(OSError):  # another process made it, or it is told with the first reading
        folder.mkdir(mode=0o700)
    # To give memory back after each field and to take it anew costs a fifth of the time.
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
    _future: Future[_Parcel] | None

    def result(self) -> Reading:
        """Wait for the reading, once: what it takes up on disk is freed.

        Raises
        ------
        GranuleError
            If it cannot be read, or takes its process down.
        """
        try:
            if self._future is not None:
                return self._future.result().opened()
        except BrokenProcessPool:
            pass
        # Some granule took its process down, and with it the others' answers: this one is read
        # alone, which tells whether it was the one.
        return self._readers._alone(self._pool, self._request)


class Readers:
    """A pool of reading processes, used as a context manager and shared by a whole run."""

    def __init__(self, processes: int, limit: float = LIMIT_SECONDS) -> None:
        self._processes, self._limit = processes, limit
        # The processes make and remove it: a run that is killed before they begin leaves nothing.
        self._folder = Path(tempfile.gettempdir()) / f"msm-readers-{uuid4().hex}"
        self._start()

    def _start(self) -> None:
        # Spawned, not forked: a fork would copy the locks of the parent's threads. The processes
        # start with the first granule.
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
        """Read granules in their order, only as far ahead as keeps the processes at work.

        What waits to be used stays small, however many and large the granules are.

        Parameters
        ----------
        product
            What they are granules of.
        granules
            Path of each, and the layout variables to read of it, as in `Product.read`.
        window
            As in `Product.read`.

        Raises
        ------
        GranuleError
            If a granule cannot be read; those before it have been given.
        """
        ahead: deque[Pending] = deque()
        for path, names in granules:
            ahead.append(self.submit(product, path, names, window))
            if len(ahead) > self._processes:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()

    def problems(self, product: Product, paths: Sequence[Path]) -> dict[Path, str]:
        """Open each granule, checking its layout, axes and time without reading its fields.

        Returns
        -------
        dict
            The sentence for each granule that is not good.
        """
        checked = {path: self.submit(product, path, ()) for path in paths}
        found = {}
        for path, pending in checked.items():
            try:
                pending.result()
            except GranuleError as error:
                found[path] = str(error)
        return found

    def _send(self, request: _Request) -> Future[_Parcel]:
        return self._pool.submit(_read, request, self._limit, self._folder)

    def _alone(self, broken: ProcessPoolExecutor, request: _Request) -> Reading:
        if self._pool is broken:
            self._start()
        try:
            return self._send(request).result().opened()
        except BrokenProcessPool:
            self._start()
            raise GranuleError(
                f"{request.path.name} takes down the process that reads it (a crash of the HDF5 "
                f"library, or no end within {self._limit:.0f} s): it is fetched again; if it comes "
                "back the same, the provider has to mend it."
            ) from None
