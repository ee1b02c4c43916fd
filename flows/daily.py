"""The daily flow: the steps of `msm.pipeline` as Prefect tasks, and a report of the map.

Correctness does not rest on Prefect's state: every step finds what is already done on disk. Between
tasks go paths and small records, never arrays, and Prefect caches nothing.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

from prefect import flow, get_run_logger, runtime, task
from prefect.artifacts import create_image_artifact, create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from flows.alert import TOLD
from flows.report import address, report
from flows.retries import TRIED_AGAIN
from msm.archive import store
from msm.archive.assessment import read_assessment
from msm.errors import MsmError
from msm.model.current import card_in_use
from msm.operations.daily import bring_to
from msm.operations.scheduled_run import Watched, watch
from msm.pipeline.assess import later
from msm.pipeline.chains import open_chain
from msm.pipeline.model_inputs import better_forcing, stored_forcing, stored_statics
from msm.pipeline.publish import publish
from msm.pipeline.run import check_day, open_run
from msm.pipeline.stored_retrievals import better_retrievals, store_retrievals
from msm.settings import read_settings

LONGEST_SECONDS = 12 * 3600
"""A run that hangs would keep its place for ever; a first run fetches a year of weather."""


@task(
    task_run_name="fetch {day}",
    cache_policy=NO_CACHE,
    **TRIED_AGAIN,
)
def fetch(day: date, domain: str, checkpoint: Path | None) -> Path:
    """Fetch granules and store what the day is given; the statics too, the first time."""
    with open_run(read_settings(domain=domain, checkpoint=checkpoint)) as run:
        stored_statics(run)
        better_forcing(run, day)
        better_retrievals(run, day)
        stored_forcing(run, day)
        store_retrievals(run, [day])
        return run.workspace.forcing(day)


@task(task_run_name="advance to {day}", cache_policy=NO_CACHE)
def advance_to(day: date, domain: str, checkpoint: Path | None) -> list[date]:
    """Advance the chain of states to the day; return replayed days that are to be published too."""
    logger = get_run_logger()
    with open_run(read_settings(domain=domain, checkpoint=checkpoint)) as run:
        return bring_to(
            run,
            open_chain(run, day),
            day,
            lambda what, done, total: logger.info("%s %d/%d", what, done, total),
        )


@task(task_run_name="publish {day}", cache_policy=NO_CACHE)
def publish_day(day: date, domain: str, checkpoint: Path | None, now: datetime) -> Path:
    """Publish the day's map."""
    with open_run(read_settings(domain=domain, checkpoint=checkpoint)) as run:
        return publish(run, open_chain(run, day), day, now).path


@task(
    task_run_name="assess {day}",
    cache_policy=NO_CACHE,
    **TRIED_AGAIN,
)
def assess_day(day: date, domain: str, checkpoint: Path | None) -> None:
    """Hold the day's map against that day's SMAP, where there is one, and other years."""
    with open_run(read_settings(domain=domain, checkpoint=checkpoint)) as run:
        later(run, [day])


@task(task_run_name="report {day}", cache_policy=NO_CACHE)
def report_day(day: date, domain: str) -> None:
    """Leave the map and how good it looks as artifacts of the run."""
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


@task(
    task_run_name="look over {domain}",
    cache_policy=NO_CACHE,
    **TRIED_AGAIN,
)
def look_over(domain: str, checkpoint: Path | None, moment: datetime) -> Watched:
    """Make the newest days, and what has changed before them."""
    logger = get_run_logger()
    with open_run(read_settings(domain=domain, checkpoint=checkpoint)) as run:
        return watch(
            run,
            moment,
            lambda what, done, total: logger.info("%s %d/%d", what, done, total),
        )


@flow(
    name="msm-daily",
    flow_run_name="daily {domain}",
    timeout_seconds=LONGEST_SECONDS,
    **TOLD,
)
def daily(day: date | None = None, domain: str = "conus") -> list[Path]:
    """Make the newest days, and what has changed before them; or one day.

    Parameters
    ----------
    day
        UTC day of the product. By default all days of the window (`MSM_WINDOW_DAYS`) up to the
        newest whose best sources are due at the scheduled time of the run, so that a run that
        starts late makes what it was meant for.
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
        moment = runtime.flow_run.scheduled_start_time or now
        return _window(domain, checkpoint, moment)
    check_day(day, now)
    fetch(day, domain, checkpoint)
    for other in advance_to(day, domain, checkpoint):
        publish_day(other, domain, checkpoint, now)
    path = publish_day(day, domain, checkpoint, now)
    assess_day(day, domain, checkpoint)
    report_day(day, domain)
    return [path]


def _window(domain: str, checkpoint: Path | None, moment: datetime) -> list[Path]:
    """Look over the window, and report; a day that needs attention fails the run in the end."""
    watched = look_over(domain, checkpoint, moment)
    rows = "\n".join(f"| {s.day} | {s.state} | {s.note} |" for s in watched.states)
    create_markdown_artifact(
        f"# {watched.first} to {watched.last}\n\n| day | state | |\n|---|---|---|\n{rows}\n",
        key=f"msm-{domain.partition(':')[0]}-days",
        description=f"Days up to {watched.last}",
    )
    if watched.published:
        report_day(watched.published[-1].day, domain)
    watched.raise_alarms()
    return [done.path for done in watched.published]
