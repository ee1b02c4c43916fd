"""What a day and a training step cost beside their peers and floors: `make bench`.

Every figure is a ratio taken in one run, from medians of several repetitions in turn, because the
speed of a machine drifts.
"""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console

from benchmarks import (
    idle_run,
    inference,
    many_days,
    one_day,
    reading,
    regridding,
    training,
)


def main() -> None:
    """Run the benchmarks and print their tables."""
    result = {
        "reading": reading.measure(Path("../shared/data/granules")),
        "regridding": regridding.measure(),
        "inference": inference.measure(Path("../shared/data")),
        "training": training.measure(Path("../shared/data")),
        "one CONUS day": one_day.measure(),
        "many CONUS days": many_days.measure(),
        "a scheduled run": idle_run.measure(),
    }
    folder = Path("build/bench")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "bench.json").write_text(json.dumps(result, indent=1) + "\n")
    Console().print_json(json.dumps(result))


if __name__ == "__main__":
    main()
