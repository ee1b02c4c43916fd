"""Many fits side by side; one that was done is not done again."""

import hashlib
import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import safetensors.numpy
import torch
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

from msm.atomic_files import replacing
from msm.model import network, scaling
from msm.model.card import Card
from msm.model.network import weights_of
from msm.training.code_hash import code_sha256
from msm.training.fitting import fit as fit_module
from msm.training.fitting import losses
from msm.training.fitting.fit import Stream, Tick, fit
from msm.training.fitting.recipe import Measurement, WrittenRecipe

CODE = (network, scaling, fit_module, losses)
"""Modules that a fit depends on."""

Weights = dict[str, npt.NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Job:
    """One fit: everything that its weights depend on besides the code."""

    recipe: WrittenRecipe
    card: Card
    streams: dict[Measurement, Stream]
    seed: int

    @property
    def sha256(self) -> str:
        """SHA-256 (hex) of all of it, the code included."""
        whole = hashlib.sha256(code_sha256(CODE).encode())
        whole.update(f"{self.recipe.sha256} {self.seed}".encode())
        whole.update(repr((self.card.inputs, self.card.heads)).encode())
        for name, stream in sorted(self.streams.items()):
            places, coarse = stream.places, stream.coarse
            arrays = places.forcing | places.statics | vars(coarse) | stream.auxiliary
            for key, values in sorted(arrays.items()):
                whole.update(f"{name} {key} {values.shape}".encode())
                whole.update(np.ascontiguousarray(values).tobytes())
        return whole.hexdigest()


def fit_all(jobs: Sequence[Job], folder: Path, workers: int | None = None) -> list[Weights]:
    """Do all fits that are not done, side by side, with a progress bar.

    Each fit takes one thread of one process, so its weights do not depend on how many there are.
    What is done is kept under the hash of the job: an interrupted run goes on with what is left.

    Parameters
    ----------
    jobs : sequence of Job
    folder : Path
        Where the weights of finished fits lie, ``<hash>.safetensors``.
    workers : int, optional
        Processes; as many as there are processors if not given.

    Returns
    -------
    list of dict
        Weights of each job, by the names of the network's parameters.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{job.sha256}.safetensors" for job in jobs]
    left = {path: job for path, job in zip(paths, jobs, strict=True) if not path.exists()}
    if left:
        _fit_left(left, workers or len(os.sched_getaffinity(0)))
    return [safetensors.numpy.load_file(path) for path in paths]


def _fit_left(left: dict[Path, Job], workers: int) -> None:
    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
    total = sum(job.recipe.recipe.steps for job in left.values())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task(f"steps of {len(left)} fits", total=total)
        if workers == 1:
            _one_by_one(left, lambda _: progress.advance(bar))
        else:
            _side_by_side(left, workers, lambda done: progress.update(bar, completed=done))


def _one_by_one(left: dict[Path, Job], tick: Tick) -> None:
    """Do the fits in this process, in one thread as in any other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for path, job in left.items():
            _fit_one(job, path, tick)
    finally:
        torch.set_num_threads(threads)


def _side_by_side(left: dict[Path, Job], workers: int, told: Callable[[int], None]) -> None:
    context = multiprocessing.get_context("spawn")
    steps = context.Value("q", 0)
    with ProcessPoolExecutor(
        min(workers, len(left)), context, initializer=_begin, initargs=(steps,)
    ) as pool:
        running = {pool.submit(_fit_in_process, job, path) for path, job in left.items()}
        try:
            while running:
                done, running = wait(running, timeout=1, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()
                told(steps.value)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


_steps: Any = None


def _begin(steps: Any) -> None:
    """Prepare a process for fits: one thread, and the counter that all of them share."""
    global _steps
    torch.set_num_threads(1)
    _steps = steps


def _fit_in_process(job: Job, path: Path) -> None:
    parent = multiprocessing.parent_process()

    def tick(_: float) -> None:
        if parent is not None and not parent.is_alive():
            raise SystemExit("the run that asked for this fit is gone")
        with _steps.get_lock():
            _steps.value += 1

    _fit_one(job, path, tick)


def _fit_one(job: Job, path: Path, tick: Tick) -> None:
    network = fit(job.recipe.recipe, job.card, job.streams, job.seed, tick)
    weights = {name.removeprefix("0."): w for name, w in weights_of([network]).items()}
    with replacing(path) as new:
        new.write_bytes(safetensors.numpy.save(weights))
