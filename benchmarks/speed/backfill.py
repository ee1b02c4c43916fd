"""Run a backfill of half a year, and replay a revised day: `make backfill`, after `make replay`.

One fetch stores the forcing of 2016-04-01..2016-09-30 from the sandbox, which replays real NLDAS-2
forcing. `msm backfill` publishes the maps of CONUS after its own spin-up. They are compared with
SMAP like those of the replay. Then the sandbox revises a granule of one day, and a backfill replays
the days that depend on it.
"""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.progress import Progress

from benchmarks.results import PIXELS, keep
from benchmarks.skill.replay import link_inputs, score
from benchmarks.speed.footprint import peak_memory
from msm.archive import store
from msm.cli.demo import logged_in
from msm.model.checkpoint import WEIGHTS
from msm.operations.backfill import backfill
from msm.operations.fetch import fetch
from msm.pipeline.executor import local_cluster
from msm.pipeline.ledger import stale_days
from msm.pipeline.run import Run, open_run
from msm.sandbox.process import Sandbox, start

FIRST, LAST = date(2016, 4, 1), date(2016, 9, 30)
DAYS = [FIRST + timedelta(days=n) for n in range((LAST - FIRST).days + 1)]
FOLDER = Path("build/backfill")
MONTH = 30
"""Days of a period whose peak memory is reported."""
REVISED = date(2016, 9, 10)
GRANULE = f"NLDAS_FORA0125_H.A{REVISED:%Y%m%d}.1800.020.nc"
WORKERS = 2


def publish_all(run: Run) -> dict[str, Any]:
    """Fetch the forcing, and backfill; return the cost of both."""
    with Progress() as bar, local_cluster(run.settings, WORKERS) as executor:
        task = bar.add_task("", total=None)

        def progress(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total)

        began = time.perf_counter()
        fetched = fetch(run, FIRST, LAST, executor, progress)
        took = time.perf_counter() - began
    with (
        Progress() as bar,
        peak_memory() as peak,
        local_cluster(run.settings, WORKERS) as executor,
    ):
        task = bar.add_task("", total=None)
        months: list[float] = []

        def watched(what: str, done: int, total: int) -> None:
            if done // MONTH > len(months):
                months.append(peak.gib)
                peak.gib = 0.0
            bar.update(task, description=what, completed=done, total=total)

        report = backfill(run, DAYS, "missing", executor, datetime.now(UTC), watched)
    return {
        "days fetched": len(fetched),
        "minutes of the fetch": took / 60,
        "days": len(report.published),
        "days run": report.days_run,
        "minutes": report.seconds / 60,
        "days a minute": 60 * report.days_run / report.seconds,
        "peak memory of each 30 days, GiB": months,
    }


def revise(run: Run, sandbox: Sandbox) -> dict[str, Any]:
    """Revise a granule of one day, and replay the days that depend on it."""
    archive = run.settings.archive

    def shas() -> dict[date, str]:
        items = ((day, store.read_item(archive, "conus", day)) for day in DAYS)
        return {day: item.sha256 for day, item in items if item}

    before = shas()
    sandbox.revise(GRANULE)
    with local_cluster(run.settings, WORKERS) as executor:
        refetched = fetch(run, FIRST, LAST, executor)
        chain = store.read_item(archive, "conus", LAST)
        stale, after = stale_days(run, chain.chain_id if chain else "")
        report = backfill(run, DAYS, "changed", executor, datetime.now(UTC))
    changed = [day for day, sha256 in shas().items() if sha256 != before[day]]
    return {
        "revised": GRANULE,
        "forcing regenerated": [str(day) for day in refetched],
        "stale": {str(day): why for day, why in stale.items()},
        "days after it": len(after),
        "replayed": len(report.published),
        "files that changed": [str(changed[0]), str(changed[-1]), len(changed)],
        "files that kept their bytes": len(DAYS) - len(changed),
        "minutes": report.seconds / 60,
        "stale afterwards": len(stale_days(run, chain.chain_id if chain else "")[0]),
    }


def main() -> None:
    """Publish the maps, score them, revise a day, and write the result."""
    link_inputs(FOLDER)
    with start(FOLDER / "sandbox", str(PIXELS)) as sandbox:
        settings = logged_in(sandbox, FOLDER, spin_up_days=366)
        settings = settings.model_copy(update={"checkpoint": WEIGHTS / "first.json"})
        with open_run(settings) as run:
            result: dict[str, Any] = {"first": str(FIRST), "last": str(LAST)}
            result["cost"] = publish_all(run)
            archives = {"msm, first checkpoint": settings.archive}
            result["median over cells"] = score(archives, DAYS)
            result["revision"] = revise(run, sandbox)
    keep(result, "backfill")


if __name__ == "__main__":
    main()
