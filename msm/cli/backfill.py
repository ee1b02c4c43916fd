"""`msm backfill` and `msm fetch`: many days."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from msm.cli.shared import (
    DomainOption,
    End,
    Json,
    Scheduler,
    Start,
    Workers,
    progress_bar,
    screen,
    with_text_keys,
)
from msm.errors import MsmError
from msm.settings import read_settings

if TYPE_CHECKING:
    from datetime import date

    from msm.operations.decision import Plan
    from msm.operations.production import RunReport


class Replace(StrEnum):
    """Which published days are made again."""

    missing = "missing"
    changed = "changed"
    all = "all"


def fetch(
    start: Start,
    end: End,
    domain: DomainOption = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    as_json: Json = False,
) -> None:
    """Store the model inputs of days, and make them again where other granules are offered now."""
    from msm.operations.backfill import days_between
    from msm.operations.fetch import fetch as store
    from msm.pipeline.executor import open_executor
    from msm.pipeline.run import open_run

    days = days_between(start.date(), end.date(), datetime.now(UTC))
    with (
        open_run(read_settings(domain=domain)) as run,
        open_executor(run, workers, scheduler) as executor,
        progress_bar() as progress,
    ):
        made = store(run, days[0], days[-1], executor, progress)
    if as_json:
        typer.echo(json.dumps(with_text_keys(made)))
        return
    for day, why in made.items():
        typer.echo(f"{day} made: {why}")
    screen.print(f"{len(made)} of {len(days)} days made, the others are up to date", style="green")


def backfill(
    start: Start,
    end: End,
    domain: DomainOption = None,
    days_file: Annotated[
        Path | None, typer.Option(help="Only the days listed in this file, one a line.")
    ] = None,
    replace: Annotated[
        Replace, typer.Option(help="Which of the published days are made again.")
    ] = Replace.missing,
    workers: Workers = None,
    scheduler: Scheduler = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only report what would be done.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make many days, or make them again, and publish them; safe to repeat at any time."""
    from msm.operations import backfill as many
    from msm.pipeline.executor import open_executor
    from msm.pipeline.run import open_run

    now = datetime.now(UTC)
    days = many.days_between(start.date(), end.date(), now)
    if days_file:
        days = many.days_of_file(days_file, days)
    with open_run(read_settings(domain=domain)) as run:
        if dry_run:
            plan = many.plan(run, days, replace.value, now, online=True)
            _print_plan(plan, many.days_after(run, plan), as_json=as_json)
            return
        with open_executor(run, workers, scheduler) as executor, progress_bar() as progress:
            report = many.backfill(run, days, replace.value, executor, now, progress)
    _print_report(report, as_json=as_json)


def _print_plan(plan: Plan, after: list[date], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"why": with_text_keys(plan.why), "after": after}, default=str))
        return
    for day, why in plan.why.items():
        typer.echo(f"{day}: {why}")
    typer.echo(f"{len(plan.why)} days to make; {len(after)} days after them may follow")


def _print_report(report: RunReport, *, as_json: bool) -> None:
    if as_json:
        document = {
            "published": list(report.published),
            "unchanged": list(report.unchanged),
            "failed": with_text_keys({day: str(why) for day, why in report.errors.items()}),
            "run": report.days_run,
            "seconds": report.seconds,
        }
        typer.echo(json.dumps(document, default=str))
    else:
        rate = f", {60 * report.days_run / report.seconds:.0f} a minute" if report.days_run else ""
        screen.print(
            f"{len(report.published)} days published, {len(report.unchanged)} already up to date; "
            f"{report.days_run} days run in {report.seconds:.0f} s{rate}",
            style="green",
        )
    if report.errors:
        first = min(report.errors)
        raise MsmError(
            f"{len(report.errors)} days could not be published (first: {first}): "
            f"{report.errors[first]}"
        )
