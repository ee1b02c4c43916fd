"""The daily flow: `msm daily` as Prefect tasks, and a report of the map.

Correctness does not rest on Prefect's state: every step finds on disk what is already done. Paths
and small records pass between tasks, never arrays, and Prefect caches nothing.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

from prefect import flow, get_run_logger, runtime, task
from prefect.artifacts import create_image_artifact, create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from flows.alert import ALERT_HOOKS
from flows.report import address, report
from flows.retries import RETRY_POLICY
from msm.archive import store
from msm.archive.assessment import read_assessment
from msm.errors import MsmError
from msm.model.current import card_in_use
from msm.operations.daily import daily as make_one_day
from msm.operations.scheduled_run import ScheduledReport, scheduled_run
from msm.pipeline.run import check_day, open_run
from msm.settings import read_settings

LONGEST_SECONDS = 12 * 3600
"""A run that hangs would keep its place for ever; a first run fetches a year of weather."""


@task(task_run_name="make {day}", cache_policy=NO_CACHE, **RETRY_POLICY)
def make_day(day: date, domain: str, checkpoint: Path | None, now: datetime) -> Path:
    """Make and publish one day."""
    with open_run(read_settings(domain=domain, checkpoint=checkpoint)) as run:
        return make_one_day(run, day, now, _log_progress).path


@task(task_run_name="make the newest days of {domain}", cache_policy=NO_CACHE, **RETRY_POLICY)
def make_newest_days(domain: str, checkpoint: Path | None, moment: datetime) -> ScheduledReport:
    """Make the newest days that are due, and make again what has changed before them."""
    with open_run(read_settings(domain=domain, checkpoint=checkpoint)) as run:
        return scheduled_run(run, moment, _log_progress)


@task(task_run_name="report {day}", cache_policy=NO_CACHE)
def report_day(day: date, domain: str) -> None:
    """Leave the map and its assessment as artifacts of the run."""
    settings = read_settings(domain=domain)
    published = store.read_item(settings.archive, domain, day)
    if published is None:
        raise MsmError(f"{day} is not published for {domain}: run msm daily --date {day}.")
    text = report(settings, published, read_assessment(published.path))
    key = f"msm-{domain.partition(':')[0]}"
    create_markdown_artifact(text, key=f"{key}-quality", description=f"Map of {day}")
    create_image_artifact(
        address(settings, published.picture), key=f"{key}-map", description=f"Map of {day}"
    )


@flow(
    name="msm-daily",
    flow_run_name="daily {domain}",
    timeout_seconds=LONGEST_SECONDS,
    **ALERT_HOOKS,
)
def daily(day: date | None = None, domain: str = "conus") -> list[Path]:
    """Make the newest days, and what has changed before them; or one day.

    Parameters
    ----------
    day
        UTC day of the product. By default all days of the window (`MSM_WINDOW_DAYS`) up to the
        newest whose best sources are due at the scheduled time of the run: a run that starts late
        makes the days of its schedule.
    domain
        `conus`, `global` or `box:SOUTH,NORTH,WEST,EAST`.

    Returns
    -------
    list of Path
        The files that were published.
    """
    now = datetime.now(UTC)
    # A retry may come half an hour later, when another checkpoint is in use.
    checkpoint = card_in_use(read_settings().checkpoint)
    if day is None:
        return _newest_days(domain, checkpoint, runtime.flow_run.scheduled_start_time or now)
    check_day(day, now)
    path = make_day(day, domain, checkpoint, now)
    report_day(day, domain)
    return [path]


def _newest_days(domain: str, checkpoint: Path | None, moment: datetime) -> list[Path]:
    """Make the newest days, and report; a day that needs attention fails the run in the end."""
    done = make_newest_days(domain, checkpoint, moment)
    rows = "\n".join(f"| {s.day} | {s.state} | {s.note} |" for s in done.states)
    create_markdown_artifact(
        f"# {done.first} to {done.last}\n\n| day | state | |\n|---|---|---|\n{rows}\n",
        key=f"msm-{domain.partition(':')[0]}-days",
        description=f"Days up to {done.last}",
    )
    if done.published:
        report_day(done.published[-1].day, domain)
    done.raise_alarms()
    return [published.path for published in done.published]


def _log_progress(what: str, done: int, total: int) -> None:
    """Report progress in the log of the task."""
    get_run_logger().info("%s %d/%d", what, done, total)
