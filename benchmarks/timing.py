"""Medians of several ways to do the same, taken in turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from statistics import median


def medians(ways: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Time each way once per round, after a warm-up; seconds by name."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, do in ways.items():
            began = time.perf_counter()
            do()
            if number > 0:
                seconds[name].append(time.perf_counter() - began)
    return {name: median(taken) for name, taken in seconds.items()}
