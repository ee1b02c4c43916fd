"""Write docs/results.md from what the last `make replay` and `make bench` measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

REPLAY, BENCH = Path("build/replay/replay.json"), Path("build/bench/bench.json")
TEMPLATE = Path("benchmarks/results.template.md")
PAGE = Path("docs/results.md")


def replay_table(replay: dict[str, Any]) -> str:
    """Return the skill of the maps and the baselines as a Markdown table."""
    rows = [
        "| 2016-04-01..2016-05-31 | R | RMSE | ubRMSE | bias | cells | cell-days |",
        "|---|---|---|---|---|---|---|",
    ]
    rows += [
        f"| {name} | {row['r']:.3f} | {row['rmse']:.4f} | {row['ubrmse']:.4f} "
        f"| {row['bias']:+.4f} | {row['cells']} | {row['cell_days']} |"
        for name, row in replay["median over cells"].items()
    ]
    return "\n".join(rows)


def page(replay: dict[str, Any], bench: dict[str, Any]) -> str:
    """Return the whole page."""
    cost, regridding, day = replay["cost"], bench["regridding"], bench["one CONUS day"]
    seconds = "\n".join(f"| {n} | {s:.2f} |" for n, s in regridding["seconds"].items())
    errors = ", ".join(f"{n} {e:.0e}" for n, e in regridding["conservation error"].items())
    return TEMPLATE.read_text().format(
        replay_table=replay_table(replay),
        **cost,
        regridding_table=seconds,
        times_xarray_regrid=regridding["times as fast as xarray-regrid"],
        times_rioxarray=regridding["times as fast as rioxarray"],
        errors=errors,
        cells=day["cells"],
        granules=day["granules"],
        day=day["seconds of the day"],
        floor=day["seconds of the floor"],
        ratio=day["day / floor"],
        read=day["of which read and inflate"],
        products=day["of which matrix products"],
        gflop=day["gflop of the products"],
        rate=day["gflop/s of the square sgemm"],
        write=day["of which write"],
        memory=day["peak memory, GiB"],
    )


if __name__ == "__main__":
    measured = json.loads(REPLAY.read_text()), json.loads(BENCH.read_text())
    PAGE.write_text(page(*measured))
    print(replay_table(measured[0]))
