"""Crew: who does the work of many days, this process alone or the workers of a dask cluster."""

from __future__ import annotations

import logging
import os
import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from msm import malloc
from msm.errors import MsmError
from msm.model.state import TILE
from msm.pipeline.run import Run
from msm.products.reader_pool import Readers
from msm.settings import Settings

BLOCKS_PER_WORKER = 2
"""More give a worker that has published a map something to do; fewer cost less handing over."""

DAYS_AHEAD = 3
"""Days that are begun while an earlier one is not finished."""

KEPT_BYTES = 512 * 2**20
"""Memory that a process keeps for its next day: taking it anew costs a tenth of the time."""

SCHEDULER_SECONDS = 10
"""Time in which a scheduler has to answer."""

Work = Callable[..., Any]
"""A function of an open run and further arguments; what it gives may be an argument of another."""


class Crew(ABC):
    """Who does the work."""

    blocks: int
    """Into how many blocks of cells a day is split, at most."""
    ahead: int
    """Days that are begun while an earlier one is not finished."""
    threads: int | None
    """Threads of one worker; None for one a processor."""

    @abstractmethod
    def submit(self, work: Work, *arguments: Any, urgent: bool = False, **named: Any) -> Any:
        """Have something done; what other work gave is taken as an argument as it is.

        What is `urgent` is done before what was submitted earlier.
        """

    @abstractmethod
    def result(self, done: Any) -> Any:
        """Wait for what some work gives."""


class Alone(Crew):
    """The process itself: it does all work at once and in order, a thread on each processor."""

    blocks = 1
    ahead = 0
    threads = None

    def __init__(self, run: Run) -> None:
        malloc.keep(KEPT_BYTES)
        self._run = run

    def submit(self, work: Work, *arguments: Any, urgent: bool = False, **named: Any) -> Any:
        """Do it."""
        return work(self._run, *arguments, **named)

    def result(self, done: Any) -> Any:
        """Return it."""
        return done


class Cluster(Crew):
    """The workers of a dask cluster, which reach the same folders."""

    ahead = DAYS_AHEAD
    threads = 1

    def __init__(self, client: Any, settings: Settings) -> None:
        self.client = client
        # A worker may run in another folder.
        paths = {name: path.resolve() for name, path in settings if isinstance(path, Path)}
        self._settings = settings.model_copy(update=paths)
        self.blocks = BLOCKS_PER_WORKER * len(client.scheduler_info()["workers"])

    def submit(self, work: Work, *arguments: Any, urgent: bool = False, **named: Any) -> Any:
        """Send it to a worker."""
        priority = int(urgent)
        return self.client.submit(
            _on_worker, work, self._settings, *arguments, **named, pure=False, priority=priority
        )

    def result(self, done: Any) -> Any:
        """Wait for it.

        Raises
        ------
        MsmError
            What the work raised, or that its workers die.
        """
        from distributed import KilledWorker

        try:
            return done.result()
        except KilledWorker as error:
            raise MsmError(
                f"The workers die ({error.last_worker.address if error.last_worker else 'all'}): "
                "give them more memory or take fewer, and run the same command again; it goes on "
                "where this one stopped."
            ) from error


@contextmanager
def open_crew(run: Run, workers: int | None, scheduler: str | None) -> Iterator[Crew]:
    """Open the workers of a scheduler, or so many of this machine, or one a processor.

    Raises
    ------
    MsmError
        If both are asked for, or the scheduler does not answer.
    """
    if workers and scheduler:
        raise MsmError("--workers starts workers here, --scheduler uses others: give one of them.")
    if scheduler:
        opened = remote_cluster(run.settings, scheduler)
    else:
        opened = local_cluster(run.settings, workers or len(os.sched_getaffinity(0)))
    with opened as crew:
        yield crew


@contextmanager
def local_cluster(settings: Settings, workers: int) -> Iterator[Crew]:
    """Start workers on this machine, each a process with one thread, and end them afterwards."""
    import dask
    from distributed import Client, LocalCluster

    configured = {
        # They start processes that read granules.
        "distributed.worker.daemon": False,
        # A worker that publishes is silent for seconds.
        "distributed.admin.tick.limit": "1h",
    }
    with dask.config.set(configured), ExitStack() as opened:
        with _interrupts_held_back():
            cluster = LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                dashboard_address=None,
                host="127.0.0.1",
                # A worker that is ended in the middle of something tells so in a page; what fails
                # comes here as an exception.
                silence_logs=logging.CRITICAL,
            )
        client = Client(opened.enter_context(cluster))
        yield Cluster(opened.enter_context(client), settings)


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Let Ctrl-C reach this process alone: threads and processes begun here do not feel it.

    It is for this process to end them, after they have stored what they were computing.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def remote_cluster(settings: Settings, address: str) -> Iterator[Crew]:
    """Use the workers of a scheduler that runs somewhere.

    Raises
    ------
    MsmError
        If it does not answer, or has no workers.
    """
    from distributed import Client

    try:
        client = Client(address, timeout=SCHEDULER_SECONDS)
    except (OSError, ValueError) as error:
        raise MsmError(
            f"The scheduler at {address} does not answer ({error}): start it with `dask "
            "scheduler`, or leave --scheduler out for workers on this machine."
        ) from error
    with client:
        if not client.scheduler_info()["workers"]:
            raise MsmError(
                f"The scheduler at {address} has no workers: start them with `dask worker "
                f"{address} --nthreads 1 --no-nanny`, where the same folders are reached."
            )
        yield Cluster(client, settings)


def split(n_cell: int, blocks: int) -> list[slice]:
    """Split cells into at most so many blocks of whole tiles, as even as these allow."""
    tiles = -(-n_cell // TILE)
    blocks = min(blocks, tiles)
    bounds = [TILE * (tiles * n // blocks) for n in range(blocks)] + [n_cell]
    return [slice(*pair) for pair in pairwise(bounds)]


def _on_worker(work: Work, settings: Settings, *arguments: Any, **named: Any) -> Any:
    return work(_opened(settings.model_dump_json()), *arguments, **named)


@lru_cache(maxsize=1)
def _opened(settings: str) -> Run:
    """Open the run of a worker process, which lives as long as the process."""
    malloc.keep(KEPT_BYTES)
    return Run(Settings.model_validate_json(settings), Readers(1))
