"""Executors: the work of many days is done by this process, or by the workers of a dask cluster."""

from __future__ import annotations

import logging
import os
import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from msm import malloc
from msm.errors import MsmError
from msm.model.state import TILE
from msm.pipeline.run import Run
from msm.products.reader_pool import Readers
from msm.settings import Settings

BLOCKS_PER_WORKER = 2
"""More blocks keep a worker busy that has published a map; fewer cost less transfer."""

DAYS_AHEAD = 3
"""Number of days that are begun while an earlier one is not finished."""

KEPT_BYTES = 512 * 2**20
"""Memory that a process keeps for its next day: allocating it again costs a tenth of the time."""

SCHEDULER_SECONDS = 10
"""Time within which a scheduler must answer."""

log = logging.getLogger(__name__)

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Future(Protocol[T_co]):
    """The result of submitted work; `Executor.result` waits for it."""


@dataclass(frozen=True, eq=False)
class Done(Generic[T]):
    """The result of finished work."""

    value: T


class Executor(ABC):
    """Runs functions of an open run, here or elsewhere."""

    blocks: int
    """Number of blocks of cells that a day is split into, at most."""
    ahead: int
    """Number of days that are begun while an earlier one is not finished."""
    threads: int | None
    """Threads of one worker; None for one a processor."""

    @abstractmethod
    def submit(
        self, work: Callable[..., T], *arguments: Any, urgent: bool = False, **named: Any
    ) -> Future[T]:
        """Submit ``work(run, *arguments, **named)``.

        Futures among the arguments, also in lists, are replaced by their results. Work that is
        `urgent` is done before what was submitted earlier.
        """

    @abstractmethod
    def result(self, future: Future[T]) -> T:
        """Wait for a result.

        Raises
        ------
        MsmError
            What the work raised.
        """


class SerialExecutor(Executor):
    """The present process: it does all work at once, in order, with a thread on each processor."""

    blocks = 1
    ahead = 0
    threads = None

    def __init__(self, run: Run) -> None:
        malloc.keep(KEPT_BYTES)
        self._run = run

    def submit(
        self, work: Callable[..., T], *arguments: Any, urgent: bool = False, **named: Any
    ) -> Done[T]:
        """Do the work."""
        return Done(work(self._run, *map(_value, arguments), **named))

    def result(self, future: Future[T]) -> T:
        """Return the result."""
        found: T = _value(future)
        return found


def _value(argument: Any) -> Any:
    if isinstance(argument, Done):
        return argument.value
    if isinstance(argument, list):
        return [_value(part) for part in argument]
    return argument


class DaskExecutor(Executor):
    """The workers of a dask cluster, which reach the same folders."""

    ahead = DAYS_AHEAD
    threads = 1

    def __init__(self, client: Any, settings: Settings) -> None:
        self.client = client
        # A worker may run in another folder.
        paths = {name: path.resolve() for name, path in settings if isinstance(path, Path)}
        self._settings = settings.model_copy(update=paths)
        self.blocks = BLOCKS_PER_WORKER * len(client.scheduler_info()["workers"])

    def submit(
        self, work: Callable[..., T], *arguments: Any, urgent: bool = False, **named: Any
    ) -> Future[T]:
        """Send the work to a worker."""
        priority = int(urgent)
        sent: Future[T] = self.client.submit(
            _on_worker, work, self._settings, *arguments, **named, pure=False, priority=priority
        )
        return sent

    def result(self, future: Future[T]) -> T:
        """Wait for a result.

        Raises
        ------
        MsmError
            What the work raised, or that the workers die.
        """
        from distributed import KilledWorker

        try:
            found: T = future.result()  # type: ignore[attr-defined]
        except KilledWorker as error:
            raise MsmError(
                f"The workers die ({error.last_worker.address if error.last_worker else 'all'}): "
                "give them more memory or take fewer, and run the same command again; it goes on "
                "where this one stopped."
            ) from error
        return found


@contextmanager
def open_executor(run: Run, workers: int | None, scheduler: str | None) -> Iterator[Executor]:
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
    with opened as executor:
        yield executor


@contextmanager
def local_cluster(settings: Settings, workers: int) -> Iterator[Executor]:
    """Start workers on this machine, each a process with one thread, and end them afterwards."""
    import dask
    from distributed import Client, LocalCluster

    configured = {
        # They start processes that read granules.
        "distributed.worker.daemon": False,
        # A worker that publishes is silent for seconds.
        "distributed.admin.tick.limit": "1h",
    }
    with dask.config.set(configured):
        with _interrupts_held_back():
            cluster = LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                dashboard_address=None,
                host="127.0.0.1",
                # A worker that is stopped at work logs a page; failures arrive as exceptions.
                silence_logs=logging.CRITICAL,
            )
        client = Client(cluster)
        try:
            yield DaskExecutor(client, settings)
        finally:
            for part in (client, cluster):
                _close(part)


def _close(part: Any) -> None:
    """Close a client or a cluster; all results have arrived by then."""
    try:
        part.close()
    except TimeoutError as error:
        log.warning("The workers did not stop in time: %s", error)


@contextmanager
def _interrupts_held_back() -> Iterator[None]:
    """Let Ctrl-C interrupt this process alone, not the threads and processes begun here.

    This process ends them, after they have stored what they were computing.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def remote_cluster(settings: Settings, address: str) -> Iterator[Executor]:
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
        yield DaskExecutor(client, settings)


def split(n_cell: int, blocks: int) -> list[slice]:
    """Split cells into at most so many blocks of whole tiles, as even as these allow."""
    tiles = -(-n_cell // TILE)
    blocks = min(blocks, tiles)
    bounds = [TILE * (tiles * n // blocks) for n in range(blocks)] + [n_cell]
    return [slice(*pair) for pair in pairwise(bounds)]


def _on_worker(work: Callable[..., T], settings: Settings, *arguments: Any, **named: Any) -> T:
    return work(_opened(settings.model_dump_json()), *arguments, **named)


@lru_cache(maxsize=1)
def _opened(settings: str) -> Run:
    """Open the run of a worker process, which lives as long as the process."""
    malloc.keep(KEPT_BYTES)
    return Run(Settings.model_validate_json(settings), Readers(1))
