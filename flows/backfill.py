"""The backfill flow: `msm backfill` with a progress bar and a report in Prefect."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import Any

from prefect import flow, task
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    update_progress_artifact,
)
from prefect.cache_policies import NO_CACHE

from flows.alert import TOLD
from flows.retries import TRIED_AGAIN
from msm.errors import MsmError
from msm.operations.backfill import Replace, Report, days_between
from msm.operations.backfill import backfill as make
from msm.pipeline.executor import open_crew
from msm.pipeline.run import open_run
from msm.settings import read_settings


@task(
    task_run_name="make {start}..{end}",
    cache_policy=NO_CACHE,
    **TRIED_AGAIN,
)
def make_days(
    start: date,
    end: date,
    domain: str,
    replace: Replace,
    workers: int | None,
    scheduler: str | None,
) -> Report:
    """Make the days that are wanted; a retry goes on where the last one stopped."""
    now = datetime.now(UTC)
    days = days_between(start, end, now)
    bar: Any = create_progress_artifact(0.0, description=f"{domain} {start}..{end}")

    def progress(what: str, done: int, total: int) -> None:
        update_progress_artifact(bar, 100.0 * done / max(total, 1), description=what)

    with (
        open_run(read_settings(domain=domain)) as run,
        open_crew(run, workers, scheduler) as crew,
    ):
        return make(run, days, replace, crew, now, progress)


@flow(
    name="msm-backfill",
    flow_run_name="backfill {domain} {start}..{end}",
    **TOLD,
)
def backfill(
    start: date,
    end: date,
    domain: str = "conus",
    replace: Replace = "missing",
    workers: int | None = None,
    scheduler: str | None = None,
) -> dict[str, Any]:
    """Make many days, or make them again, and publish them.

    Parameters
    ----------
    start, end
        First and last UTC day.
    domain
        `conus`, `global` or `box:SOUTH,NORTH,WEST,EAST`.
    replace
        `missing`: days that are not published; `changed`: those, and days that no longer follow
        from their inputs; `all`.
    workers
        Processes on the worker's machine, one a processor by default.
    scheduler
        Address of a dask scheduler instead.

    Returns
    -------
    dict
        The report.
    """
    report = make_days(start, end, domain, replace, workers, scheduler)
    failed = "\n".join(f"| {day} | {why} |" for day, why in report.failed.items())
    create_markdown_artifact(
        f"# {domain}, {start}..{end}\n\n{len(report.published)} days published, "
        f"{len(report.unchanged)} were so already; {report.run} days run in {report.seconds:.0f} "
        "s.\n" + (f"\n| not published | why |\n|---|---|\n{failed}\n" if failed else ""),
        key=f"msm-{domain.partition(':')[0]}-backfill",
    )
    if report.failed:
        raise MsmError(f"{len(report.failed)} days could not be published, see the report.")
    return asdict(report)
