"""`msm daily`: the scheduled run, or one day."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from msm.cli.shared import DomainOption, Json, progress_bar, screen
from msm.settings import read_settings

if TYPE_CHECKING:
    from msm.archive.store import Published
    from msm.operations.scheduled_run import ScheduledReport


def daily(
    day: Annotated[
        datetime | None,
        typer.Option("--date", formats=["%Y-%m-%d"], help="Only this UTC day."),
    ] = None,
    domain: DomainOption = None,
    as_json: Json = False,
) -> None:
    """Make the newest days and what has changed before them, or one day; safe to repeat."""
    from msm.operations.daily import daily as make
    from msm.operations.scheduled_run import scheduled_run
    from msm.pipeline.run import open_run

    now = datetime.now(UTC)
    with open_run(read_settings(domain=domain)) as run, progress_bar() as progress:
        if day:
            print_published(make(run, day.date(), now, progress), as_json=as_json)
        else:
            _print_report(scheduled_run(run, now, progress), as_json=as_json)


def print_published(published: Published, *, as_json: bool) -> None:
    """Print a published map."""
    if as_json:
        typer.echo(json.dumps(asdict(published), default=str))
        return
    what = "published" if published.changed else "already up to date"
    screen.print(
        f"{published.day} {what}, {published.status}, revision {published.revision}", style="green"
    )
    typer.echo(published.path)


def _print_report(report: ScheduledReport, *, as_json: bool) -> None:
    if as_json:
        document = {
            "first": report.first,
            "last": report.last,
            "published": [asdict(done) for done in report.published],
            "states": [asdict(state) for state in report.states],
            "stopped": report.stopped,
        }
        typer.echo(json.dumps(document, default=str))
    else:
        counts = Counter(state.state.value for state in report.states)
        days = ", ".join(f"{number} {state}" for state, number in counts.items())
        screen.print(
            f"{len(report.published)} maps published or regenerated; "
            f"{report.first} to {report.last}: {days}",
            style="green",
        )
        for state in report.states:
            if state.state != "published":
                until = f" until {state.until:%Y-%m-%d}" if state.until else ""
                screen.print(f"{state.day} {state.state}{until}: {state.note}", soft_wrap=True)
        for published in report.published:
            typer.echo(published.path)
    report.raise_alarms()
