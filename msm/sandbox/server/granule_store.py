"""The sandbox's granule files, written on demand by worker processes and kept for a while."""

from __future__ import annotations

import asyncio
import ctypes
import multiprocessing
import os
import shutil
import signal
from collections import OrderedDict
from concurrent.futures import ProcessPoolExecutor
from datetime import datetime
from pathlib import Path

from msm.errors import MsmError
from msm.sandbox.granules.alterations import Alteration
from msm.sandbox.granules.granule import FileInfo, make_granule
from msm.sandbox.server.catalogue import ServedGranule
from msm.sandbox.weather.interface import Weather

KEPT_BYTES = 4 * 2**30
"""Maximum size of the files on disk; older ones are written again on demand, byte for byte."""

WORKERS = 2

MARKER = ".made-by-msm-sandbox"
"""File that marks a folder as the sandbox's own, which it may empty."""

_weather: Weather
"""The weather of a worker process."""


class GranuleStore:
    """Granule files by product, content and name."""

    def __init__(self, folder: Path, weather: Weather) -> None:
        """Start the workers; call it before any thread runs, since they are forked.

        Forked workers share the weather's tables and start at once. HDF5 is not thread-safe, so
        processes write the files. Files of an earlier run are removed, since they may come from
        another weather.

        Raises
        ------
        MsmError
            If the folder is not the sandbox's own.
        """
        marker = folder / MARKER
        if folder.exists() and not marker.exists():
            raise MsmError(
                f"{folder} was not created by the sandbox: move it, or choose another root."
            )
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        marker.touch()
        self._folder = folder
        self._info: dict[Path, FileInfo] = {}
        self._kept: OrderedDict[Path, None] = OrderedDict()
        self._making: dict[Path, asyncio.Task[FileInfo]] = {}
        self._pool = ProcessPoolExecutor(
            WORKERS, multiprocessing.get_context("fork"), _begin_work, (weather, os.getpid())
        )
        self._pool.submit(os.getpid).result()

    def close(self) -> None:
        """Stop the workers."""
        self._pool.shutdown(cancel_futures=True)

    async def info(self, granule: ServedGranule) -> FileInfo:
        """Return size and checksum of a granule's file, which is written if it never was."""
        path = self._path(granule)
        return self._info.get(path) or await self._make(granule, path)

    async def file(self, granule: ServedGranule) -> Path:
        """Return the path of a granule's file, which is written if it does not exist."""
        path = self._path(granule)
        if path in self._kept:
            self._kept.move_to_end(path)
        else:
            await self._make(granule, path)
        return path

    def _path(self, granule: ServedGranule) -> Path:
        short_name = granule.product.layout.product
        content = f"{granule.content}-{granule.alteration or 'right'}"
        return self._folder / short_name / content / granule.name

    async def _make(self, granule: ServedGranule, path: Path) -> FileInfo:
        if path not in self._making:
            self._making[path] = asyncio.create_task(self._work(granule, path))
        # A client that disconnects must not stop the work that another one waits for.
        return await asyncio.shield(self._making[path])

    async def _work(self, granule: ServedGranule, path: Path) -> FileInfo:
        try:
            info = await asyncio.get_running_loop().run_in_executor(
                self._pool,
                _work,
                granule.product.layout.product,
                granule.stamp,
                granule.content,
                path,
                granule.alteration,
            )
        finally:
            del self._making[path]
        self._info[path] = info
        self._kept[path] = None
        while sum(self._info[kept].size for kept in self._kept) > KEPT_BYTES:
            self._kept.popitem(last=False)[0].unlink(missing_ok=True)
        return info


def _begin_work(weather: Weather, parent: int) -> None:
    global _weather
    _weather = weather
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # A worker waits on a pipe of which it holds both ends: without this it outlives the server.
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _work(
    short_name: str, stamp: datetime, content: int, path: Path, alteration: Alteration | None
) -> FileInfo:
    return make_granule(_weather, short_name, stamp, content, path, alteration)
