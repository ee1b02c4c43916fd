"""Measure training against the rate of matrix products, a peer and the reference scheme.

A step draws windows and runs forward pass, backward pass and optimiser. msm's steps are those of
`msm.training.fitting.fit`, with the recipe of the product on the real data: on the CPU with one
thread, and with one thread in each of two processes, as in `fit_all`.

- rate: cell-days through the network per second, for msm and for neuralhydrology's cudalstm on
  windows of the same data, number, length, width and dropout;
- share: floating-point operations per second as a share of sgemm. The forward pass has
  2 n H (i + 8 H + o) operations for n cell-days, i channels, H units and o outputs, or
  2 n H (4 i + 4 H + o) where the inputs are connected directly to the LSTM. The gradients with
  respect to weights and to inputs have as many each, three times the forward pass in total. This
  includes two gradients that are not needed, those of the channels and of the state before the
  first day. sgemm is the product of a day's states with the recurrent weights, and a large
  square one;
- scheme: scored targets per second, for msm's scheme and the reference scheme.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.results import DATA
from benchmarks.speed.other_training import (
    COARSE,
    DAYS,
    FINE,
    SITES,
    UNITS,
    CudaLSTM,
    Record,
    Reference,
    peer_version,
    seconds_a_step,
)
from benchmarks.speed.timing import medians_of
from msm.model.card import Card
from msm.training.data.datasets import Data, read_data, select_inputs
from msm.training.data.samples import Samples
from msm.training.fitting.ensemble import plan
from msm.training.fitting.fit import Stream, channels, fit
from msm.training.fitting.recipe import Measurement, Recipe, WrittenRecipe, read_recipe

RECIPE = "multiscale"
ROUNDS = 5
STEPS = 10
"""Measured steps of a round. The reference has larger steps, so it runs a fifth of them."""
SQUARE = 2048
MOST_PRODUCTS = 2000
"""Largest number of repetitions of a small product, to measure about as long as a large one."""
PROCESSES = 2
NO_PEER = (
    "neuralhydrology is not installed in build/peers, so cudalstm is not measured: `make bench`"
    " installs it if a package registry is available."
)


@dataclass(frozen=True)
class Step:
    """Size of a training step."""

    sequences: int
    """Number of windows, counted by fine cells."""
    days: int
    """Length of a window."""
    n_channels: int
    hidden_size: int
    n_outputs: int
    inlet: bool = True
    """Whether a linear layer as wide as the network precedes the LSTM."""

    @property
    def cell_days(self) -> int:
        """Number of days in all windows."""
        return self.sequences * self.days

    @property
    def shape(self) -> tuple[int, int, int]:
        """Rows, inner size and columns of the product of a day's states with their weights."""
        return self.sequences, self.hidden_size, 4 * self.hidden_size

    @property
    def flop(self) -> int:
        """Floating-point operations of its matrix products, forward and backward."""
        i, units, o = self.n_channels, self.hidden_size, self.n_outputs
        each = i + 8 * units + o if self.inlet else 4 * i + 4 * units + o
        return 3 * 2 * self.cell_days * units * each


@dataclass(frozen=True, eq=False)
class Fit:
    """A fit of msm with few steps."""

    recipe: Recipe
    card: Card
    streams: dict[Measurement, Stream]
    device: str
    steps: int

    def run(self) -> tuple[float, float]:
        """Fit; return the clock after the first and after the last step."""
        ends: list[float] = []
        # The first step is not measured, nor the normalisation of the data before it.
        few = self.recipe.model_copy(update={"steps": self.steps + 1})
        fit(
            few,
            self.card,
            self.streams,
            self.recipe.seed,
            lambda _: ends.append(time.perf_counter()),
            self.device,
        )
        return ends[0], ends[-1]

    def seconds_a_step(self) -> float:
        """Fit; return the mean seconds of a step."""
        first, last = self.run()
        return (last - first) / self.steps


def scored(target: NDArray[np.float32], days: int, warm_up: int) -> float:
    """Return the mean number of scored targets of a random window of a random sample."""
    seen = np.pad(np.isfinite(target).cumsum(axis=1), ((0, 0), (1, 0)))
    begins = seen[:, warm_up : seen.shape[1] - days + warm_up]
    return float((seen[:, days:] - begins).mean())


def sgemm(device: str, rows: int, inner: int, columns: int) -> float:
    """Return the rate of a matrix product, operations per second."""
    left = torch.randn(rows, inner, device=device)
    right = torch.randn(columns, inner, device=device).T
    out = torch.empty(rows, columns, device=device)
    flop = 2 * rows * inner * columns
    times = min(MOST_PRODUCTS, max(1, 2 * SQUARE**3 // flop))
    torch.mm(left, right, out=out)
    _wait(device)
    began = time.perf_counter()
    for _ in range(times):
        torch.mm(left, right, out=out)
    _wait(device)
    return times * flop / (time.perf_counter() - began)


def _wait(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize(device)


_fit: Fit | None = None
_barrier: Any = None


def _initialise(fit: Fit, barrier: Any) -> None:
    """Prepare a process with one thread, a fit, and the barrier where it waits for the others."""
    global _fit, _barrier
    torch.set_num_threads(1)
    _fit, _barrier = fit, barrier


def _run_fit(_: int) -> tuple[float, float]:
    assert _fit is not None
    _barrier.wait(timeout=600)
    return _fit.run()


def _run_sgemm(shape: tuple[int, int, int]) -> float:
    _barrier.wait(timeout=600)
    return sgemm("cpu", *shape)


@contextmanager
def fit_processes(fit: Fit) -> Iterator[ProcessPoolExecutor]:
    """Yield processes that have a fit and start each task at the same time."""
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(PROCESSES)
    with ProcessPoolExecutor(PROCESSES, context, _initialise, (fit, barrier)) as pool:
        yield pool


def parallel_fits(pool: ProcessPoolExecutor, fit: Fit) -> float:
    """Return the seconds a step of fits in all processes, from the first start to the last end."""
    spans = list(pool.map(_run_fit, range(PROCESSES)))
    seconds = max(last for _, last in spans) - min(first for first, _ in spans)
    return seconds / (PROCESSES * fit.steps)


def parallel_sgemm(pool: ProcessPoolExecutor, *shape: int) -> float:
    """Return the rate of a matrix product in all processes together, operations per second."""
    return sum(pool.map(_run_sgemm, [shape] * PROCESSES))


def _record(card: Card, samples: Samples, device: str) -> Record:
    y = samples.target
    normalised = (y - np.nanmean(y)) / np.nanstd(y)
    return Record(channels(card, samples).to(device), torch.from_numpy(normalised).to(device))


@dataclass(frozen=True, eq=False)
class Course:
    """Training data of all methods, on a device."""

    fit: Fit
    ground: Samples
    satellite: Samples

    @classmethod
    def of(cls, recipe: WrittenRecipe, data: Data, device: str, steps: int) -> Course:
        """Plan a fit, and select the same days of both measurements for the other methods."""
        wanted = recipe.recipe
        planned = plan(recipe, data.ground, data.satellite, data.sha256)
        found: dict[str, Samples] = {}
        for name, samples in (("ground", data.ground), ("satellite", data.satellite)):
            inputs = select_inputs(
                samples,
                wanted.forcing,
                wanted.statics,
                wanted.optional,
                wanted.retrieval_lag_days,
            )
            stream = getattr(wanted, name)
            found[name] = inputs.between(stream.first, stream.last) if stream else inputs
        fit = Fit(wanted, planned.card, planned.streams, device, steps)
        return cls(fit, found["ground"], found["satellite"])

    def step(self, *, inlet: bool = True, n_outputs: int | None = None) -> Step:
        """Return the step of msm, or of a peer on the same windows."""
        recipe, card = self.fit.recipe, self.fit.card
        places = sum(
            recipe.streams[name].windows * stream.places.n_cell / len(stream.targets.target)
            for name, stream in self.fit.streams.items()
        )
        outputs = card.n_outputs if n_outputs is None else n_outputs
        return Step(
            round(places), recipe.window_days, card.n_channels, recipe.hidden_size, outputs, inlet
        )

    def reference_step(self, units: int) -> Step:
        """Return the step of the reference scheme."""
        return Step(COARSE * FINE + SITES, DAYS, self.fit.card.n_channels, units, 1)

    def scored(self) -> dict[str, float]:
        """Return the number of scored targets of a step of msm, by measurement."""
        recipe = self.fit.recipe
        return {
            name: recipe.streams[name].windows
            * scored(stream.targets.target, recipe.window_days, recipe.warm_up_days)
            for name, stream in self.fit.streams.items()
        }

    def reference_scored(self) -> dict[str, float]:
        """Return the number of scored targets of a step of the reference scheme, by measurement."""
        return {
            "ground": SITES * scored(self.ground.target, DAYS, 0),
            "satellite": COARSE * scored(self.satellite.target, DAYS, 0),
        }


@dataclass(frozen=True, eq=False)
class Method:
    """A training method and its matrix product for comparison."""

    step: Step
    seconds: Callable[[], float]
    """Runs steps; returns the mean seconds of one."""
    product: Callable[..., float]
    """Returns the rate of a matrix product of a given shape."""
    scored: Mapping[str, float]
    """Number of scored targets of a step, by measurement."""

    def row(self, seconds: float, at_shape: float, square: float) -> dict[str, Any]:
        """Return the results of this method."""
        cell_days, flops = self.step.cell_days / seconds, self.step.flop / seconds
        targets = sum(self.scored.values())
        return {
            "units": self.step.hidden_size,
            "windows": self.step.sequences,
            "days": self.step.days,
            "seconds a step": seconds,
            "cell-days/s": cell_days,
            "gflop/s": flops / 1e9,
            "sgemm at its shape, gflop/s": at_shape / 1e9,
            "square sgemm, gflop/s": square / 1e9,
            "share of sgemm at its shape": flops / at_shape,
            "share of square sgemm": flops / square,
            "cell-days a target": self.step.cell_days / targets,
            "targets/s": targets / seconds,
            **{f"targets/s, {name}": n / seconds for name, n in self.scored.items()},
        }


def _methods(course: Course, pool: ProcessPoolExecutor | None) -> dict[str, Method]:
    """Return all methods by name; parallel fits only with a pool."""
    device, recipe, card = course.fit.device, course.fit.recipe, course.fit.card
    product = partial(sgemm, device)
    methods = {"msm": Method(course.step(), course.fit.seconds_a_step, product, course.scored())}
    if pool is not None:
        methods[f"msm, {PROCESSES} processes"] = Method(
            course.step(),
            partial(parallel_fits, pool, course.fit),
            partial(parallel_sgemm, pool),
            course.scored(),
        )
    records = {
        "ground": _record(card, course.ground, device),
        "satellite": _record(card, course.satellite, device),
    }
    if peer_version() is not None:
        drawn = [(records[name], stream.windows) for name, stream in recipe.streams.items()]
        for name, embedded in (("cudalstm", False), ("cudalstm, inputs embedded", True)):
            peer = CudaLSTM(recipe, drawn, embedded=embedded)
            methods[name] = Method(
                course.step(inlet=embedded, n_outputs=1),
                partial(seconds_a_step, peer, course.fit.steps),
                product,
                course.scored(),
            )
    few = max(1, course.fit.steps // 5)
    for name, units in (("reference", UNITS), ("reference, as narrow as msm", recipe.hidden_size)):
        scheme = Reference(records["ground"], records["satellite"], units)
        methods[name] = Method(
            course.reference_step(units),
            partial(seconds_a_step, scheme, few),
            product,
            course.reference_scored(),
        )
    return methods


def on_device(course: Course, rounds: int) -> dict[str, dict[str, Any]]:
    """Measure all methods in turn on the device of the course."""
    with ExitStack() as stack:
        on_cpu = course.fit.device == "cpu"
        pool = stack.enter_context(fit_processes(course.fit)) if on_cpu else None
        methods = _methods(course, pool)
        # Methods with the same shape share one measurement of the product.
        products = {
            (method.product, shape): partial(method.product, *shape)
            for method in methods.values()
            for shape in (method.step.shape, (SQUARE,) * 3)
        }
        timed = {name: method.seconds for name, method in methods.items()}
        found = medians_of({**timed, **products}, rounds)
    return {
        name: method.row(
            found[name],
            found[method.product, method.step.shape],
            found[method.product, (SQUARE,) * 3],
        )
        for name, method in methods.items()
    }


def compare(
    recipe: WrittenRecipe, data: Data, rounds: int = ROUNDS, steps: int = STEPS
) -> dict[str, Any]:
    """Measure on the CPU, and on a GPU if one is available."""
    found = peer_version()
    result: dict[str, Any] = {
        "recipe": recipe.recipe.name,
        "peer": f"cudalstm is that of neuralhydrology {found}." if found else NO_PEER,
        "warm-up days": recipe.recipe.warm_up_days,
    }
    before = torch.get_num_threads(), torch.backends.cudnn.allow_tf32
    torch.set_num_threads(1)
    # The products must be in float32 like the sgemm that they are compared with.
    torch.backends.cudnn.allow_tf32 = False
    try:
        result["cpu"] = on_device(Course.of(recipe, data, "cpu", steps), rounds)
        if torch.cuda.is_available():
            result["gpu"] = on_device(Course.of(recipe, data, "cuda", steps), rounds)
            result["gpu name"] = torch.cuda.get_device_name()
    finally:
        torch.set_num_threads(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]
    return result


def measure() -> dict[str, Any]:
    """Measure with the real data."""
    return compare(read_recipe(Path(RECIPE)), read_data(DATA))
