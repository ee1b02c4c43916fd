"""Training beside the rate of matrix products, a peer and the reference's scheme.

What is timed is a step: windows drawn, forward, backward, optimiser. msm's are those of
`msm.training.fitting.fit` itself, with the recipe that the product is trained by, on the real data;
on the CPU with one thread, and as `fit_all` works with two: one thread in each of two processes.

- rate: cell-days that pass through the network in a second, beside neuralhydrology's cudalstm on
  windows of the same data, number, length, width and dropout;
- share: floating-point operations per second as a share of sgemm. The forward pass multiplies
  matrices with 2 n H (i + 8 H + o) operations for n cell-days, i channels, H units and o outputs,
  or 2 n H (4 i + 4 H + o) where the inputs meet the LSTM directly; the gradients with respect to
  weights and to inputs take as many each. That is three times the forward pass. It counts two
  gradients that nobody needs, those of the channels and of the state before the first day. sgemm is
  the product of a day's states with the recurrent weights, and a large square one;
- scheme: measured soil moisture that is scored in a second, by msm's scheme and the reference's.
"""

from __future__ import annotations

import argparse
import json
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
import numpy.typing as npt
import torch
from rich.console import Console

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
from benchmarks.speed.timing import medians_told
from msm.model.card import Card
from msm.training.data.datasets import Data, read_data, select_inputs
from msm.training.data.samples import Samples
from msm.training.fitting.ensemble import plan
from msm.training.fitting.fit import Stream, channels, fit
from msm.training.fitting.recipe import Measurement, Recipe, WrittenRecipe, read_recipe

RECIPE = "multiscale"
ROUNDS = 5
STEPS = 10
"""Steps of a round that are timed; those of the reference are larger, so it takes a fifth."""
SQUARE = 2048
MOST_PRODUCTS = 2000
"""Small products are done so often that they take as long as a large one, but not more often."""
PROCESSES = 2
NO_PEER = (
    "neuralhydrology is not installed in build/peers, so cudalstm was not measured: `make bench`"
    " installs it where a package registry can be reached."
)


@dataclass(frozen=True)
class Step:
    """What a step of training computes.

    Attributes
    ----------
    sequences, days : int
        Windows of fine places, and their length.
    n_channels, hidden_size, n_outputs : int
        The network's.
    inlet : bool
        Whether a linear layer as wide as the network stands before the LSTM.
    """

    sequences: int
    days: int
    n_channels: int
    hidden_size: int
    n_outputs: int
    inlet: bool = True

    @property
    def cell_days(self) -> int:
        """Days of all windows."""
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
    """A fit of msm, cut to a few steps."""

    recipe: Recipe
    card: Card
    streams: dict[Measurement, Stream]
    device: str
    steps: int

    def run(self) -> tuple[float, float]:
        """Fit; return when the first step had ended and when the last."""
        ends: list[float] = []
        # Not timed: the first step, and the data's way into the network's numbers before it.
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


def scored(target: npt.NDArray[np.float32], days: int, warm_up: int) -> float:
    """Return how many targets a window scores on average, drawn from any day of any sample."""
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
_together: Any = None


def _begin(made: Fit, together: Any) -> None:
    """Prepare a process: one thread, a fit, and the point where it waits for the others."""
    global _fit, _together
    torch.set_num_threads(1)
    _fit, _together = made, together


def _fit_together(_: int) -> tuple[float, float]:
    assert _fit is not None
    _together.wait(timeout=600)
    return _fit.run()


def _sgemm_together(shape: tuple[int, int, int]) -> float:
    _together.wait(timeout=600)
    return sgemm("cpu", *shape)


@contextmanager
def side_by_side(made: Fit) -> Iterator[ProcessPoolExecutor]:
    """Yield processes that hold a fit and begin each task together."""
    context = multiprocessing.get_context("spawn")
    together = context.Barrier(PROCESSES)
    with ProcessPoolExecutor(PROCESSES, context, _begin, (made, together)) as pool:
        yield pool


def fits_at_once(pool: ProcessPoolExecutor, made: Fit) -> float:
    """Return the seconds a step of as many fits, from the first's begin to the last's end."""
    spans = list(pool.map(_fit_together, range(PROCESSES)))
    taken = max(last for _, last in spans) - min(first for first, _ in spans)
    return taken / (PROCESSES * made.steps)


def sgemm_at_once(pool: ProcessPoolExecutor, *shape: int) -> float:
    """Return the rate of a matrix product in all processes together, operations per second."""
    return sum(pool.map(_sgemm_together, [shape] * PROCESSES))


def _record(card: Card, samples: Samples, device: str) -> Record:
    y = samples.target
    normalised = (y - np.nanmean(y)) / np.nanstd(y)
    return Record(channels(card, samples).to(device), torch.from_numpy(normalised).to(device))


@dataclass(frozen=True, eq=False)
class Course:
    """The data that all ways learn from, on a device."""

    fit: Fit
    ground: Samples
    satellite: Samples

    @classmethod
    def of(cls, recipe: WrittenRecipe, data: Data, device: str, steps: int) -> Course:
        """Plan a fit, and take the same days of both measurements for the others."""
        wanted = recipe.recipe
        planned = plan(recipe, data.ground, data.satellite, data.sha256)
        found: dict[str, Samples] = {}
        for name, samples in (("ground", data.ground), ("satellite", data.satellite)):
            whole = select_inputs(
                samples,
                wanted.forcing,
                wanted.statics,
                wanted.optional,
                wanted.retrieval_lag_days,
            )
            taken = getattr(wanted, name)
            found[name] = whole.between(taken.first, taken.last) if taken else whole
        made = Fit(wanted, planned.card, planned.streams, device, steps)
        return cls(made, found["ground"], found["satellite"])

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
        """Return the step of the reference's scheme."""
        return Step(COARSE * FINE + SITES, DAYS, self.fit.card.n_channels, units, 1)

    def scored(self) -> dict[str, float]:
        """Return the targets that a step of msm scores, by measurement."""
        recipe = self.fit.recipe
        return {
            name: recipe.streams[name].windows
            * scored(stream.targets.target, recipe.window_days, recipe.warm_up_days)
            for name, stream in self.fit.streams.items()
        }

    def reference_scored(self) -> dict[str, float]:
        """Return the targets that a step of the reference's scheme scores, by measurement."""
        return {
            "ground": SITES * scored(self.ground.target, DAYS, 0),
            "satellite": COARSE * scored(self.satellite.target, DAYS, 0),
        }


@dataclass(frozen=True, eq=False)
class Way:
    """A way to train, and what to hold it against."""

    step: Step
    seconds: Callable[[], float]
    """Takes steps; returns the mean seconds of one."""
    product: Callable[..., float]
    """Returns the rate of a matrix product, given its shape."""
    scored: Mapping[str, float]
    """Targets that a step scores, by measurement."""

    def row(self, seconds: float, at_shape: float, square: float) -> dict[str, Any]:
        """Return the figures of this way."""
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


def _ways(course: Course, pool: ProcessPoolExecutor | None) -> dict[str, Way]:
    device, recipe, card = course.fit.device, course.fit.recipe, course.fit.card
    alone = partial(sgemm, device)
    ways = {"msm": Way(course.step(), course.fit.seconds_a_step, alone, course.scored())}
    if pool is not None:
        ways[f"msm, {PROCESSES} processes"] = Way(
            course.step(),
            partial(fits_at_once, pool, course.fit),
            partial(sgemm_at_once, pool),
            course.scored(),
        )
    records = {
        "ground": _record(card, course.ground, device),
        "satellite": _record(card, course.satellite, device),
    }
    if peer_version() is not None:
        given = [(records[name], stream.windows) for name, stream in recipe.streams.items()]
        for name, embedded in (("cudalstm", False), ("cudalstm, inputs embedded", True)):
            peer = CudaLSTM(recipe, given, embedded=embedded)
            ways[name] = Way(
                course.step(inlet=embedded, n_outputs=1),
                partial(seconds_a_step, peer, course.fit.steps),
                alone,
                course.scored(),
            )
    few = max(1, course.fit.steps // 5)
    for name, units in (("reference", UNITS), ("reference, as narrow as msm", recipe.hidden_size)):
        scheme = Reference(records["ground"], records["satellite"], units)
        ways[name] = Way(
            course.reference_step(units),
            partial(seconds_a_step, scheme, few),
            alone,
            course.reference_scored(),
        )
    return ways


def on_device(course: Course, rounds: int) -> dict[str, dict[str, Any]]:
    """Measure all ways in turn on the course's device."""
    with ExitStack() as stack:
        on_cpu = course.fit.device == "cpu"
        pool = stack.enter_context(side_by_side(course.fit)) if on_cpu else None
        ways = _ways(course, pool)
        # Ways of the same shape are held against the same measurement.
        products = {
            (way.product, shape): partial(way.product, *shape)
            for way in ways.values()
            for shape in (way.step.shape, (SQUARE,) * 3)
        }
        timed = {name: way.seconds for name, way in ways.items()}
        told = medians_told({**timed, **products}, rounds)
    return {
        name: way.row(
            told[name], told[way.product, way.step.shape], told[way.product, (SQUARE,) * 3]
        )
        for name, way in ways.items()
    }


def compare(
    recipe: WrittenRecipe, data: Data, rounds: int = ROUNDS, steps: int = STEPS
) -> dict[str, Any]:
    """Measure on the CPU, and on a GPU if torch finds one."""
    found = peer_version()
    result: dict[str, Any] = {
        "recipe": recipe.recipe.name,
        "peer": f"cudalstm is that of neuralhydrology {found}." if found else NO_PEER,
        "warm-up days": recipe.recipe.warm_up_days,
    }
    before = torch.get_num_threads(), torch.backends.cudnn.allow_tf32
    torch.set_num_threads(1)
    # A share of sgemm in float32 is of products in float32.
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


def measure(folder: Path) -> dict[str, Any]:
    """Measure with the real data of a folder."""
    return compare(read_recipe(Path(RECIPE)), read_data(folder))


def main() -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    Console().print_json(json.dumps(measure(parser.parse_args().data)))


if __name__ == "__main__":
    main()
