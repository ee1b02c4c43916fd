"""The sandbox's files: made when first asked for, by worker processes, and kept for a while."""

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
from msm.sandbox.granules.granule import Facts, make_granule
from msm.sandbox.server.catalogue import Granule
from msm.sandbox.weather.interface import Weather

KEPT_BYTES = 4 * 2**30
"""Size of the files on disk; an older one is made anew, the same, when it is asked for again."""

WORKERS = 2

MARKER = ".made-by-msm-sandbox"
"""File that tells the sandbox's own folder, which it may empty, from any other."""

_weather: Weather
"""The weather of a worker process."""


class Shelf:
    """Granule files by what is in them."""

    def __init__(self, folder: Path, weather: Weather) -> None:
        """Start the workers; call it before any thread runs, as they are forked.

        Forked workers share the weather's tables and start at once. HDF5 is not thread-safe, so
        files are made in processes. Files of an earlier run are removed: what they hold may have
        come from other weather.

        Raises
        ------
        MsmError
            If the folder holds something else.
        """
        marker = folder / MARKER
        if folder.exists() and not marker.exists():
            raise MsmError(f"{folder} was not made by the sandbox: move it, or give another root.")
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        marker.touch()
        self._folder = folder
        self._facts: dict[Path, Facts] = {}
        self._kept: OrderedDict[Path, None] = OrderedDict()
        self._making: dict[Path, asyncio.Task[Facts]] = {}
        self._pool = ProcessPoolExecutor(
            WORKERS, multiprocessing.get_context("fork"), _begin_work, (weather, os.getpid())
        )
        self._pool.submit(os.getpid).result()

    def close(self) -> None:
        """Stop the workers."""
        self._pool.shutdown(cancel_futures=True)

    async def facts(self, granule: Granule) -> Facts:
        """Return size and checksum of a granule's file, making it if it was never made."""
        path = self._path(granule)
        return self._facts.get(path) or await self._make(granule, path)

    async def file(self, granule: Granule) -> Path:
        """Return the path of a granule's file, making it if it is not there."""
        path = self._path(granule)
        if path in self._kept:
            self._kept.move_to_end(path)
        else:
            await self._make(granule, path)
        return path

    def _path(self, granule: Granule) -> Path:
        short_name = granule.product.layout.product
        content = f"{granule.content}-{granule.alteration or 'right'}"
        return self._folder / short_name / content / granule.name

    async def _make(self, granule: Granule, path: Path) -> Facts:
        if path not in self._making:
            self._making[path] = asyncio.create_task(self._work(granule, path))
        # A client that goes away must not stop the work that another one waits for.
        return await asyncio.shield(self._making[path])

    async def _work(self, granule: Granule, path: Path) -> Facts:
        try:
            facts = await asyncio.get_running_loop().run_in_executor(
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
        self._facts[path] = facts
        self._kept[path] = None
        while sum(self._facts[kept].size for kept in self._kept) > KEPT_BYTES:
            self._kept.popitem(last=False)[0].unlink(missing_ok=True)
        return facts


def _begin_work(weather: Weather, parent: int) -> None:
    global _weather
    _weather = weather
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # A worker waits on a pipe that it holds both ends of: without this it outlives the server.
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _work(
    short_name: str, stamp: datetime, content: int, path: Path, alteration: Alteration | None
) -> Facts:
    return make_granule(_weather, short_name, stamp, content, path, alteration)
