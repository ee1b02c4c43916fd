"""Measure one global day, and the cost of a day by its number of cells: `make global`.

The sandbox serves SPL4SMGP from its global weather, and GLDAS with IMERG to a second site where one
granule of SPL4SMGP is withheld. Each day is produced from granules on disk to the published file by
its own process, whose memory is measured with that of its readers. The chain starts cold, which
does not affect the cost.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, date, datetime
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.results import keep
from benchmarks.speed.footprint import peak_memory
from msm.archive.quicklook import draw
from msm.cli.demo import logged_in
from msm.operations.daily import daily
from msm.pipeline.advance import advance
from msm.pipeline.chains import open_chain
from msm.pipeline.day_sources import select_and_fetch
from msm.pipeline.executor import SerialExecutor
from msm.pipeline.model_inputs import stored_forcing, stored_statics
from msm.pipeline.publish import publish
from msm.pipeline.run import open_run
from msm.products.definitions import SPL4SMGP_008 as SMAP_L4
from msm.sandbox.process import start
from msm.settings import Settings

DAY = date(2024, 6, 3)
NOW = datetime(2024, 9, 1, tzinfo=UTC)
FOLDER = Path("build/global")
PICTURE = Path("docs/images/global.png")
DOMAINS = {"a quarter of CONUS": "box:33,43.5,-112,-86", "CONUS": "conus", "global": "global"}
ROUNDS = 3


def prepare(folder: Path) -> dict[str, Settings]:
    """Fetch the granules of both sources, each into its own site; draw the first map."""
    sites = {}
    shutil.rmtree(folder, ignore_errors=True)
    with start(folder / "sandbox", "global") as sandbox:
        for name in ("SPL4SMGP", "GLDAS and IMERG"):
            if name != "SPL4SMGP":
                stamp = SMAP_L4.layout.stamps(DAY)[0]
                sandbox.withhold(
                    SMAP_L4.layout.file_name.format(time=stamp, release="Vv8011", counter="001")
                )
            site = folder / name.replace(" ", "-")
            settings = logged_in(sandbox, site, spin_up_days=0)
            settings = settings.model_copy(update={"domain": "global"})
            with open_run(settings) as run:
                if name == "SPL4SMGP":
                    # With the catalogue of the sandbox the map is labelled as synthetic weather.
                    draw(daily(run, DAY, NOW).path, PICTURE, "")
                select_and_fetch(run, DAY, DAY)
                stored_statics(run)
            sites[name] = settings.model_copy(update={"mirror": site / "work" / "granules"})
    return sites


def run_day(settings: Settings) -> dict[str, Any]:
    """Produce the day from the granules on disk; return seconds of each step and peak memory."""
    for kind in ("forcing", "states", "statics"):
        shutil.rmtree(settings.work / kind, ignore_errors=True)
    shutil.rmtree(settings.archive, ignore_errors=True)
    seconds = {}
    with peak_memory() as peak, open_run(settings) as run:

        def timed(step: str, work: Callable[[], Any]) -> Any:
            began = time.perf_counter()
            result = work()
            seconds[step] = time.perf_counter() - began
            return result

        timed("statics, once", lambda: stored_statics(run))
        timed("forcing", lambda: stored_forcing(run, DAY))
        chain = open_chain(run, DAY)
        timed("network", lambda: list(advance(run, chain, {DAY}, SerialExecutor(run))))
        published = timed("publish", lambda: publish(run, chain, DAY, NOW))
        cells = run.domain.n_cell
    return {
        "cells": cells,
        "seconds": seconds,
        "day": sum(seconds.values()) - seconds["statics, once"],
        "peak memory, GiB": peak.gib,
        "file, MB": published.path.stat().st_size / 1e6,
    }


def measured(settings: Settings, rounds: int) -> dict[str, Any]:
    """Run the day several times, each in a new process; return the run with the median time."""
    runs = []
    for _ in range(rounds):
        with ProcessPoolExecutor(1, get_context("spawn")) as process:
            runs.append(process.submit(run_day, settings).result())
    middle = median(run["day"] for run in runs)
    return min(runs, key=lambda run: abs(run["day"] - middle))


def main() -> None:
    """Measure, and write the result."""
    sites = prepare(FOLDER)
    result: dict[str, Any] = {"one global day": {}, "against cells": {}}
    for name, settings in sites.items():
        result["one global day"][name] = measured(settings, ROUNDS)
    for name, domain in DOMAINS.items():
        settings = sites["SPL4SMGP"].model_copy(
            update={"domain": domain, "archive": FOLDER / "archives" / name.replace(" ", "-")}
        )
        result["against cells"][name] = measured(settings, ROUNDS)
    keep(result, "global_day")


if __name__ == "__main__":
    main()
