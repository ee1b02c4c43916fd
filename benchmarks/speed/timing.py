"""Medians of several ways to do the same, taken in turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import partial
from statistics import median
from typing import TypeVar

K = TypeVar("K")


def medians(ways: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Time each way once per round, after a warm-up; seconds by name."""
    return medians_told({name: partial(_seconds, do) for name, do in ways.items()}, rounds)


def medians_told(ways: Mapping[K, Callable[[], float]], rounds: int) -> dict[K, float]:
    """Let each way tell once per round, after a warm-up, what it took; medians by name."""
    told: dict[K, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, do in ways.items():
            taken = do()
            if number > 0:
                told[name].append(taken)
    return {name: median(taken) for name, taken in told.items()}


def _seconds(do: Callable[[], object]) -> float:
    began = time.perf_counter()
    do()
    return time.perf_counter() - began
