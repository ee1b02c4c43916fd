"""The command `msm`."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from msm import __version__
from msm.cli.doctor import app as doctor_app
from msm.cli.status import app as status_app
from msm.cli.training import app as training_app
from msm.errors import MsmError
from msm.settings import read_settings

if TYPE_CHECKING:
    from msm.archive.store import Published
    from msm.operations.backfill import Plan, Report
    from msm.operations.scheduled_run import Watched

app = typer.Typer(
    help="Daily soil-moisture maps at 9 km, and the archive that people download them from.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
sandbox_app = typer.Typer(help="A simulated Earthdata on this machine.", no_args_is_help=True)
app.add_typer(sandbox_app, name="sandbox")
app.add_typer(doctor_app)
app.add_typer(status_app)
app.add_typer(training_app)

screen = Console(stderr=True)

Json = Annotated[bool, typer.Option("--json", help="Print JSON for a machine.")]
Start = Annotated[datetime, typer.Argument(formats=["%Y-%m-%d"], help="First UTC day.")]
End = Annotated[datetime, typer.Argument(formats=["%Y-%m-%d"], help="Last UTC day.")]
Workers = Annotated[
    int | None, typer.Option(min=1, help="Processes on this machine; its processors by default.")
]
Scheduler = Annotated[
    str | None, typer.Option(help="Address of a dask scheduler whose workers reach these folders.")
]
DomainOption = Annotated[
    str | None, typer.Option(help="conus, global or box:SOUTH,NORTH,WEST,EAST.")
]


class Replace(StrEnum):
    """Which published days are made again."""

    missing = "missing"
    changed = "changed"
    all = "all"


def main() -> None:
    """Run the command; an expected failure is one sentence and status 1."""
    try:
        app()
    except MsmError as error:
        screen.print(f"msm: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(1)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"msm {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")
    ] = False,
) -> None:
    """Daily soil-moisture maps at 9 km, and the archive that people download them from."""


@app.command()
def daily(
    day: Annotated[
        datetime | None,
        typer.Option("--date", formats=["%Y-%m-%d"], help="This UTC day alone."),
    ] = None,
    domain: DomainOption = None,
    as_json: Json = False,
) -> None:
    """Make the newest days and what has changed before them, or one day; safe to run again."""
    from msm.operations.scheduled_run import watch
    from msm.pipeline.run import open_run

    now = datetime.now(UTC)
    with open_run(read_settings(domain=domain)) as run, _progress() as progress:
        if day:
            # It needs torch, which a run that finds nothing to do is without.
            from msm.operations.daily import daily as make

            _tell(make(run, day.date(), now, progress), as_json)
        else:
            _tell_watched(watch(run, now, progress), as_json)


@app.command()
def fetch(
    start: Start,
    end: End,
    domain: DomainOption = None,
    workers: Workers = None,
    scheduler: Scheduler = None,
    as_json: Json = False,
) -> None:
    """Store what days are given, and make it anew where other granules are offered by now."""
    from msm.operations.backfill import days_between
    from msm.operations.fetch import fetch as bring
    from msm.pipeline.executor import open_crew
    from msm.pipeline.run import open_run

    days = days_between(start.date(), end.date(), datetime.now(UTC))
    with (
        open_run(read_settings(domain=domain)) as run,
        open_crew(run, workers, scheduler) as crew,
        _progress() as progress,
    ):
        made = bring(run, days[0], days[-1], crew, progress)
    if as_json:
        typer.echo(json.dumps(_named(made)))
        return
    for day, why in made.items():
        typer.echo(f"{day} made: {why}")
    screen.print(f"{len(made)} of {len(days)} days made, the others are as offered", style="green")


@app.command()
def backfill(
    start: Start,
    end: End,
    domain: DomainOption = None,
    days_file: Annotated[
        Path | None, typer.Option(help="Only the days that this file lists, one a line.")
    ] = None,
    replace: Annotated[
        Replace, typer.Option(help="Which of the days are made again where they are published.")
    ] = Replace.missing,
    workers: Workers = None,
    scheduler: Scheduler = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Tell what would be done, and do nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Make many days, or make them again, and publish them; safe to run again at any time."""
    from msm.operations import backfill as many
    from msm.pipeline.executor import open_crew
    from msm.pipeline.run import open_run

    now = datetime.now(UTC)
    days = many.days_between(start.date(), end.date(), now)
    if days_file:
        days = many.days_of_file(days_file, days)
    with open_run(read_settings(domain=domain)) as run:
        if dry_run:
            _tell_plan(many.plan(run, days, replace.value, online=True), as_json)
            return
        with open_crew(run, workers, scheduler) as crew, _progress() as progress:
            report = many.backfill(run, days, replace.value, crew, now, progress)
    _tell_report(report, as_json)


def _tell_plan(plan: Plan, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(_named(asdict(plan)), default=str))
        return
    for day, why in plan.why.items():
        typer.echo(f"{day}: {why}")
    typer.echo(f"{len(plan.why)} days to make; {len(plan.after)} days after them may follow")


def _tell_report(report: Report, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(_named(asdict(report)), default=str))
    else:
        rate = f", {60 * report.run / report.seconds:.0f} a minute" if report.run else ""
        screen.print(
            f"{len(report.published)} days published, {len(report.unchanged)} were so already; "
            f"{report.run} days run in {report.seconds:.0f} s{rate}",
            style="green",
        )
    if report.failed:
        first = min(report.failed)
        raise MsmError(
            f"{len(report.failed)} days could not be published, {first} the first: "
            f"{report.failed[first]}"
        )


def _tell(published: Published, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(asdict(published), default=str))
        return
    what = "published" if published.changed else "already published"
    screen.print(
        f"{published.day} {what}, {published.status}, revision {published.revision}", style="green"
    )
    typer.echo(published.path)


def _tell_watched(watched: Watched, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(asdict(watched), default=str))
    else:
        counts = Counter(state.state.value for state in watched.states)
        told = ", ".join(f"{number} {state}" for state, number in counts.items())
        screen.print(
            f"{len(watched.published)} maps published or made anew; "
            f"{watched.first} to {watched.last}: {told}",
            style="green",
        )
        for state in watched.states:
            if state.state != "published":
                until = f" until {state.until:%Y-%m-%d}" if state.until else ""
                screen.print(f"{state.day} {state.state}{until}: {state.note}", soft_wrap=True)
        for published in watched.published:
            typer.echo(published.path)
    watched.raise_alarms()


def _named(document: dict[Any, Any]) -> dict[str, Any]:
    """Name days in keys, at any depth, as JSON needs it."""
    return {
        str(key): _named(value) if isinstance(value, dict) else value
        for key, value in document.items()
    }


@app.command()
def validate(files: Annotated[list[Path], typer.Argument(help="Published files.")]) -> None:
    """Check published files: layout, coordinates, ranges, flags, checksum."""
    from msm.archive.validate import validate as check

    bad = 0
    for path in files:
        problems = check(path)
        bad += bool(problems)
        typer.echo(f"{path}: " + (" ".join(problems) if problems else "good"))
    if bad:
        raise MsmError(f"{bad} of {len(files)} files are not good: run msm daily for their days.")


@app.command()
def inspect(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="An input granule or a product.")],
    as_json: Json = False,
) -> None:
    """Summarise any input granule or product, as read before any masking."""
    from msm.cli.inspect import inspect as summarise

    summary = summarise(path)
    if as_json:
        typer.echo(json.dumps(summary))
        return
    table = Table("variable", "units", "count", "min", "mean", "max")
    for name, found in summary["variables"].items():
        numbers = (found[key] for key in ("min", "mean", "max"))
        shown = ("" if number is None else f"{number:.6g}" for number in numbers)
        table.add_row(name, found["units"], str(found["count"]), *shown)
    typer.echo(f"{summary['product']} {summary['version']}, {summary['day'] or 'static'}")
    Console().print(table)


@app.command()
def probe(as_json: Json = False) -> None:
    """Compare one real granule of each product with its layout file; needs credentials."""
    from msm.operations.probe import probe as compare
    from msm.pipeline.run import open_run

    with open_run(read_settings()) as run:
        findings = compare(run, datetime.now(UTC))
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings], default=str))
    else:
        for finding in findings:
            typer.echo(f"{finding.product} ({finding.granule or 'no granule'}):")
            for line in finding.differences or ("as its layout file says",):
                typer.echo(f"  {line}")
    if any(finding.differences for finding in findings):
        raise MsmError("Layouts differ from the real granules: bring the layout files up to date.")


@app.command()
def prune(
    domain: DomainOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would go.")] = False,
    as_json: Json = False,
) -> None:
    """Remove what the work folder holds and no run needs any more; the archive is not touched."""
    from msm.operations import prune as pruning
    from msm.pipeline.run import open_run

    with open_run(read_settings(domain=domain)) as run:
        items = pruning.plan(run, datetime.now(UTC))
    if not dry_run:
        items = pruning.remove(items)
    totals = pruning.totals(items)
    if as_json:
        typer.echo(json.dumps([asdict(total) for total in totals], default=str))
        return
    table = Table("kind", "number", "MB", "oldest", "newest")
    for total in totals:
        days = (str(day) if day else "" for day in (total.first, total.last))
        table.add_row(total.kind, str(total.number), f"{total.size / 1e6:.1f}", *days)
    if totals:
        Console().print(table)
    size = sum(total.size for total in totals)
    typer.echo(f"{size / 1e6:.1f} MB {'can go' if dry_run else 'removed'}")


@app.command()
def demo(
    folder: Annotated[Path, typer.Option(help="Where everything is written.")] = Path("demo"),
) -> None:
    """Make one map of the contiguous United States against the sandbox, without credentials."""
    from msm.cli.demo import demo as make

    with _progress() as progress:
        published = make(folder, progress)
    _tell(published, as_json=False)
    screen.print(f"the picture: {published.picture}\nthe archive: {folder / 'archive'}")


@sandbox_app.command()
def serve(
    root: Annotated[Path, typer.Option(help="Where granules and the certificate are kept.")],
    weather: Annotated[
        str, typer.Option(help="`synthetic`, `global`, or a table of daily values to replay.")
    ] = "synthetic",
    port: Annotated[int, typer.Option(help="0 takes a free one.")] = 0,
) -> None:
    """Serve a simulated Earthdata on loopback until interrupted."""
    from msm.sandbox.server.serve import serve as run

    run(root, weather, port=port)


class _Rate(ProgressColumn):
    """Days a minute."""

    def render(self, task: Task) -> Text:
        """Return what is shown."""
        return Text(f"{60 * task.speed:.0f} a minute" if task.speed else "")


@contextmanager
def _progress() -> Iterator[Any]:
    """Show a bar from the first report on; nothing where the screen is no terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate())
    with Progress(
        *columns,
        TimeRemainingColumn(),
        console=screen,
        transient=True,
        disable=not screen.is_terminal,
    ) as bar:
        task = bar.add_task("", total=None, visible=False)

        def report(what: str, done: int, total: int) -> None:
            bar.update(task, description=what, completed=done, total=total, visible=True)

        yield report


if __name__ == "__main__":
    main()
