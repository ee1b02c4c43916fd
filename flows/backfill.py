"""The backfill flow: `msm backfill` with a progress bar and a report in Prefect."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from prefect import flow, task
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    update_progress_artifact,
)
from prefect.cache_policies import NO_CACHE

from flows.alert import ALERT_HOOKS
from flows.retries import RETRY_POLICY
from msm.errors import MsmError
from msm.operations.backfill import backfill as make
from msm.operations.backfill import days_between
from msm.operations.decision import Replace
from msm.operations.production import RunReport
from msm.pipeline.executor import open_executor
from msm.pipeline.run import open_run
from msm.settings import read_settings


@task(
    task_run_name="make {start}..{end}",
    cache_policy=NO_CACHE,
    **RETRY_POLICY,
)
def make_days(
    start: date,
    end: date,
    domain: str,
    replace: Replace,
    workers: int | None,
    scheduler: str | None,
) -> RunReport:
    """Make the days; a retry continues where the last one stopped."""
    now = datetime.now(UTC)
    days = days_between(start, end, now)
    bar: Any = create_progress_artifact(0.0, description=f"{domain} {start}..{end}")

    def progress(what: str, done: int, total: int) -> None:
        update_progress_artifact(bar, 100.0 * done / max(total, 1), description=what)

    with (
        open_run(read_settings(domain=domain)) as run,
        open_executor(run, workers, scheduler) as executor,
    ):
        return make(run, days, replace, executor, now, progress)


@flow(
    name="msm-backfill",
    flow_run_name="backfill {domain} {start}..{end}",
    **ALERT_HOOKS,
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
    failed = "\n".join(f"| {day} | {why} |" for day, why in report.errors.items())
    create_markdown_artifact(
        f"# {domain}, {start}..{end}\n\n{len(report.published)} days published, "
        f"{len(report.unchanged)} already up to date; {report.days_run} days run in "
        f"{report.seconds:.0f} s.\n"
        + (f"\n| not published | why |\n|---|---|\n{failed}\n" if failed else ""),
        key=f"msm-{domain.partition(':')[0]}-backfill",
    )
    if report.errors:
        raise MsmError(f"{len(report.errors)} days could not be published, see the report.")
    return {
        "published": list(report.published),
        "unchanged": list(report.unchanged),
        "run": report.days_run,
        "seconds": report.seconds,
    }
