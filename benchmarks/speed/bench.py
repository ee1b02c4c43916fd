"""What a day and a training step cost beside their peers and floors: `make bench`.

Every figure is a ratio taken in one run, from medians of several repetitions in turn, because the
speed of a machine drifts. ``python -m benchmarks.speed.bench --part reading`` measures one part.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from benchmarks.results import keep
from benchmarks.speed import idle_run, inference, many_days, one_day, reading, regridding, training

DATA = Path("../shared/data")
PARTS = {
    "reading": lambda: reading.measure(DATA / "granules"),
    "regridding": regridding.measure,
    "inference": lambda: inference.measure(DATA),
    "training": lambda: training.measure(DATA),
    "one_day": one_day.measure,
    "many_days": many_days.measure,
    "idle_run": idle_run.measure,
}


def main() -> None:
    """Run the benchmarks, keep what they measured and print it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", action="append", choices=PARTS, help="all of them by default")
    for name in parser.parse_args().part or PARTS:
        keep(PARTS[name](), name)


if __name__ == "__main__":
    main()
