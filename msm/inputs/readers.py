"""Processes that read granules: HDF5 is not thread-safe, and may crash on a broken file."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import TracebackType
from typing import Self

from msm.inputs.product import GranuleError, Product, Reading
from msm.inputs.registry import product


def _read(short_name: str, version: str, path: Path, names: tuple[str, ...] | None) -> Reading:
    return product(short_name, version).read(path, names)


def _end_with_parent() -> None:
    """Let a reading process end when the run that it reads for is killed."""
    parent = multiprocessing.parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


class Readers:
    """A pool of reading processes, used as a context manager and shared by a whole run."""

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._start()

    def _start(self) -> None:
        # Spawned, not forked: a fork would copy the locks of the parent's threads. The processes
        # start with the first granule.
        self._pool = ProcessPoolExecutor(
            self._processes,
            multiprocessing.get_context("spawn"),
            initializer=_end_with_parent,
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

    def submit(
        self, product: Product, path: Path, names: Iterable[str] | None = None
    ) -> Future[Reading]:
        """Start reading one granule; `names` as in `Product.read`."""
        layout = product.layout
        chosen = None if names is None else tuple(names)
        return self._pool.submit(_read, layout.product, layout.version, path, chosen)

    def problems(self, product: Product, paths: Sequence[Path]) -> dict[Path, str]:
        """Open each granule, checking its layout, axes and time without reading its fields.

        Returns
        -------
        dict
            The sentence for each granule that is not good.
        """
        try:
            futures = {path: self.submit(product, path, ()) for path in paths}
            checked = {path: _sentence(future) for path, future in futures.items()}
        except BrokenProcessPool:
            # One of them took its process down, and with it the others' answers.
            checked = {path: self._alone(product, path) for path in paths}
        return {path: sentence for path, sentence in checked.items() if sentence}

    def _alone(self, product: Product, path: Path) -> str | None:
        self._start()
        try:
            return _sentence(self.submit(product, path, ()))
        except BrokenProcessPool:
            self._start()
            return f"{path.name} crashes the HDF5 library: it is fetched again."


def _sentence(future: Future[Reading]) -> str | None:
    """Return what is wrong with a granule, None where nothing is."""
    try:
        future.result()
    except GranuleError as error:
        return str(error)
    return None
