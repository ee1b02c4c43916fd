"""Processes that read granules: HDF5 is not thread-safe, and may crash or hang on a broken file."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from msm.inputs.product import GranuleError, Product, Reading
from msm.inputs.registry import product

LIMIT_SECONDS = 60.0
"""Longest time that one granule may take; the largest need a few seconds."""

SURPRISES = (ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError)
"""What reading a file that is not what it says may raise beside the library's own errors."""

Names = tuple[str, ...] | None


def _read(short_name: str, version: str, path: Path, names: Names, limit: float) -> Reading:
    # The alarm's default is to end the process: it strikes in the midst of the library too, where
    # no thread or handler of Python would get its turn.
    signal.setitimer(signal.ITIMER_REAL, limit)
    try:
        reading = product(short_name, version).read(path, names)
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
    return reading


def _begin() -> None:
    """Let a reading process end when the run that it reads for is killed."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    parent = multiprocessing.parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


@dataclass(frozen=True, eq=False)
class Pending:
    """A granule that is being read."""

    _readers: Readers
    _product: Product
    _path: Path
    _names: Names
    _pool: ProcessPoolExecutor
    _future: Future[Reading] | None

    def result(self) -> Reading:
        """Wait for the reading.

        Raises
        ------
        GranuleError
            If it cannot be read, or takes its process down.
        """
        try:
            if self._future is not None:
                return self._future.result()
        except BrokenProcessPool:
            pass
        # Some granule took its process down, and with it the others' answers: this one is read
        # alone, which tells whether it was the one.
        return self._readers._alone(self._pool, self._product, self._path, self._names)


class Readers:
    """A pool of reading processes, used as a context manager and shared by a whole run."""

    def __init__(self, processes: int, limit: float = LIMIT_SECONDS) -> None:
        self._processes, self._limit = processes, limit
        self._start()

    def _start(self) -> None:
        # Spawned, not forked: a fork would copy the locks of the parent's threads. The processes
        # start with the first granule.
        self._pool = ProcessPoolExecutor(
            self._processes, multiprocessing.get_context("spawn"), initializer=_begin
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

    def submit(self, product: Product, path: Path, names: Iterable[str] | None = None) -> Pending:
        """Start reading one granule; `names` as in `Product.read`."""
        chosen = None if names is None else tuple(names)
        try:
            future = self._send(product, path, chosen)
        except BrokenProcessPool:
            future = None
        return Pending(self, product, path, chosen, self._pool, future)

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

    def _send(self, product: Product, path: Path, names: Names) -> Future[Reading]:
        layout = product.layout
        return self._pool.submit(_read, layout.product, layout.version, path, names, self._limit)

    def _alone(
        self, broken: ProcessPoolExecutor, product: Product, path: Path, names: Names
    ) -> Reading:
        if self._pool is broken:
            self._start()
        try:
            return self._send(product, path, names).result()
        except BrokenProcessPool:
            self._start()
            raise GranuleError(
                f"{path.name} takes down the process that reads it (a crash of the HDF5 library, "
                f"or no end within {self._limit:.0f} s): it is fetched again; if it comes back the "
                "same, the provider has to mend it."
            ) from None
