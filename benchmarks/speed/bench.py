"""Measure a day and a training step against their peers and lower bounds: `make bench`.

Each result is a ratio from medians of alternating repetitions in one run, because the speed of a
machine drifts. ``python -m benchmarks.speed.bench --part reading`` measures one part.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.results import keep
from benchmarks.speed import idle_run, inference, many_days, one_day, reading, regridding, training

PARTS: dict[str, Callable[[], Mapping[str, Any]]] = {
    "reading": reading.measure,
    "regridding": regridding.measure,
    "inference": inference.measure,
    "training": training.measure,
    "one_day": one_day.measure,
    "many_days": many_days.measure,
    "idle_run": idle_run.measure,
}


def main() -> None:
    """Run the benchmarks, write their results and print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", action="append", choices=PARTS, help="all of them by default")
    for name in parser.parse_args().part or PARTS:
        keep(PARTS[name](), name)


if __name__ == "__main__":
    main()
