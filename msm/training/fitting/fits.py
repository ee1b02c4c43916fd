"""Run many fits in parallel; a finished fit is kept and not repeated."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

from msm.atomic_files import replacing
from msm.model import network, scaling
from msm.model.card import Card
from msm.model.network import weights_of
from msm.training.code_hash import code_sha256
from msm.training.fitting import fit as fit_module
from msm.training.fitting import losses
from msm.training.fitting.fit import OnStep, Stream, fit
from msm.training.fitting.recipe import Measurement, WrittenRecipe

CODE = (network, scaling, fit_module, losses)
"""Modules whose code determines the weights of a fit."""

Weights = dict[str, NDArray[np.float32]]


@dataclass(frozen=True, eq=False)
class Job:
    """Everything that determines the weights of one fit, apart from the code."""

    recipe: WrittenRecipe
    card: Card
    streams: dict[Measurement, Stream]
    seed: int

    @property
    def sha256(self) -> str:
        """SHA-256 (hex) of the job and the code."""
        digest = hashlib.sha256(code_sha256(CODE).encode())
        digest.update(f"{self.recipe.sha256} {self.seed}".encode())
        digest.update(repr((self.card.inputs, self.card.heads)).encode())
        for name, stream in sorted(self.streams.items()):
            places, targets = stream.places, stream.targets
            arrays = places.forcing | places.statics | vars(targets) | stream.auxiliary
            for key, values in sorted(arrays.items()):
                digest.update(f"{name} {key} {values.shape}".encode())
                digest.update(np.ascontiguousarray(values).tobytes())
        return digest.hexdigest()


def fit_all(jobs: Sequence[Job], folder: Path, workers: int | None = None) -> list[Weights]:
    """Run all unfinished fits in parallel, with a progress bar.

    Each fit runs in one thread of one process, so its weights do not depend on the number of
    processes. Its result is kept under the hash of the job: a run after an interruption continues
    with the remaining fits.

    Parameters
    ----------
    jobs
    folder
        Folder of finished fits, ``<hash>.safetensors``.
    workers
        Number of processes; the number of processors if not given.

    Returns
    -------
    list of dict
        Weights of each job, by the names of the network's parameters.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{job.sha256}.safetensors" for job in jobs]
    missing = {path: job for path, job in zip(paths, jobs, strict=True) if not path.exists()}
    if missing:
        _fit_missing(missing, workers or len(os.sched_getaffinity(0)))
    return [safetensors.numpy.load_file(path) for path in paths]


def _fit_missing(missing: dict[Path, Job], workers: int) -> None:
    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
    total = sum(job.recipe.recipe.steps for job in missing.values())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task(f"steps of {len(missing)} fits", total=total)
        if workers == 1:
            _run_serially(missing, lambda _: progress.advance(bar))
        else:
            _run_in_parallel(missing, workers, lambda done: progress.update(bar, completed=done))


def _run_serially(missing: dict[Path, Job], on_step: OnStep) -> None:
    """Run the fits in this process, in one thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for path, job in missing.items():
            _fit_one(job, path, on_step)
    finally:
        torch.set_num_threads(threads)


def _run_in_parallel(
    missing: dict[Path, Job], workers: int, on_progress: Callable[[int], None]
) -> None:
    context = multiprocessing.get_context("spawn")
    steps = context.Value("q", 0)
    with ProcessPoolExecutor(
        min(workers, len(missing)), context, initializer=_init_worker, initargs=(steps,)
    ) as pool:
        running = {pool.submit(_fit_in_process, job, path) for path, job in missing.items()}
        try:
            while running:
                done, running = wait(running, timeout=1, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()
                on_progress(steps.value)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


_steps: Any = None


def _init_worker(steps: Any) -> None:
    """Set up a worker process: one thread, and the shared step counter."""
    global _steps
    torch.set_num_threads(1)
    _steps = steps


def _fit_in_process(job: Job, path: Path) -> None:
    parent = multiprocessing.parent_process()

    def count_step(_: float) -> None:
        if parent is not None and not parent.is_alive():
            raise SystemExit("The parent process of this fit has ended.")
        with _steps.get_lock():
            _steps.value += 1

    _fit_one(job, path, count_step)


def _fit_one(job: Job, path: Path, on_step: OnStep) -> None:
    network = fit(job.recipe.recipe, job.card, job.streams, job.seed, on_step)
    weights = {name.removeprefix("0."): w for name, w in weights_of([network]).items()}
    with replacing(path) as new:
        new.write_bytes(safetensors.numpy.save(weights))
