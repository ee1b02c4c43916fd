"""Medians of several alternatives, measured in turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from statistics import median
from typing import TypeVar

K = TypeVar("K")


def medians(alternatives: Mapping[K, Callable[[], object]], rounds: int) -> dict[K, float]:
    """Run each alternative once per round, after a warm-up; return median seconds by name."""
    timed = {name: partial(_seconds, run) for name, run in alternatives.items()}
    return medians_of(timed, rounds)


def medians_of(measurements: Mapping[K, Callable[[], float]], rounds: int) -> dict[K, float]:
    """Take each measurement once per round, after a warm-up; return medians by name."""
    found: dict[K, list[float]] = {name: [] for name in measurements}
    for number in range(rounds + 1):
        for name, measure in measurements.items():
            value = measure()
            if number > 0:
                found[name].append(value)
    return {name: median(values) for name, values in found.items()}


def _seconds(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began
