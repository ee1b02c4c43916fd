"""`msm status`: the state of each day."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, date, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from msm.cli.shared import DomainOption, Json
from msm.settings import read_settings

if TYPE_CHECKING:
    from msm.archive.assessment import Assessment
    from msm.operations.day_states import DayState

SIGNS = {
    "final": ("●", "green"),
    "provisional": ("○", "green"),
    "pending": ("·", "yellow"),
    "accepted gap": ("-", "blue"),
    "gap": ("!", "bold red"),
    "failed": ("x", "bold red"),
}
"""The sign of a day in the calendar, by its state."""


def status(
    day: Annotated[
        datetime | None,
        typer.Option("--day", formats=["%Y-%m-%d"], help="Show why this UTC day is as it is."),
    ] = None,
    domain: DomainOption = None,
    quality: Annotated[
        bool, typer.Option("--quality", help="Show how good the maps look, day by day.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show the state of each day, and the days that no longer follow from their inputs."""
    from msm.archive import store
    from msm.archive.assessment import read_assessment
    from msm.operations.day_states import known_days, states
    from msm.operations.explain import explain
    from msm.pipeline.ledger import stale_days
    from msm.pipeline.run import open_run

    now = datetime.now(UTC)
    with open_run(read_settings(domain=domain)) as run:
        if day:
            _print_day(explain(run, day.date(), now), as_json=as_json)
            return
        settings = run.settings
        found = states(run, known_days(run), now)
        records = store.published_items(settings.archive, settings.domain)
        stale, after = stale_days(run, records[-1].chain_id) if records else ({}, [])
    assessed = [known for record in records if (known := read_assessment(record.path))]
    if as_json:
        document = {
            "quality": [known.model_dump(mode="json") for known in assessed],
            "days": [asdict(state) for state in found],
            "published": [asdict(record) for record in records],
            "stale": {str(day): why for day, why in stale.items()},
            "after_stale": after,
        }
        typer.echo(json.dumps(document, default=str))
        return
    console = Console()
    if quality:
        console.print(trend(assessed))
        return
    for line in calendar(found):
        console.print(line)
    for remark in remarks(found, stale, after):
        console.print(remark, soft_wrap=True, highlight=False, markup=False)


def trend(assessed: Iterable[Assessment]) -> Table:
    """Lay out the assessments of maps, a line for each day; soil moisture in m3 m-3."""
    table = Table(
        Column("day", no_wrap=True),
        *("cells", "unflagged", "mean", "from day before", "SMAP: R", "bias", "ubRMSE", ""),
    )
    for found in assessed:
        before, seen = found.yesterday, found.satellite
        verdict = found.verdict.value + "".join(f", {name}" for name in found.exceeded)
        table.add_row(
            str(found.day),
            f"{found.valid_fraction:.1%}",
            f"{found.unflagged:.0%}",
            "" if found.mean is None else f"{found.mean:.3f}",
            f"{math.hypot(before.bias, before.ubrmse):.4f}" if before else "",
            "" if not seen or seen.correlation is None else f"{seen.correlation:.2f}",
            f"{seen.bias:+.3f}" if seen else "",
            f"{seen.ubrmse:.3f}" if seen else "",
            Text(verdict, "green" if found.verdict == "good" else "bold red"),
        )
    return table


def calendar(found: Iterable[DayState]) -> list[Text]:
    """Draw a line for each month with a sign for each day, and a legend."""
    lines = []
    seen: Counter[str] = Counter()
    for month, days in groupby(found, key=lambda state: f"{state.day:%Y-%m}"):
        line, by_day = Text(f"{month}  "), {state.day.day: state for state in days}
        for day in range(1, 32):
            if day in by_day:
                kind = _kind(by_day[day])
                seen[kind] += 1
                line.append(*SIGNS[kind])
            else:
                line.append(" ")
            if day % 10 == 0:
                line.append(" ")
        line.rstrip()
        lines.append(line)
    legend = Text()
    for kind, number in seen.items():
        sign, style = SIGNS[kind]
        legend.append(sign, style)
        legend.append(f" {number} {kind}   ")
    legend.rstrip()
    return [*lines, legend] if lines else [Text("nothing is published")]


def remarks(found: Iterable[DayState], stale: Mapping[date, str], after: list[date]) -> list[str]:
    """Describe the days without a map, and the remedy for stale ones."""
    lines = []
    for state in found:
        if state.state == "published":
            continue
        since = f" since {state.since:%Y-%m-%d %H:%MZ}" if state.since else ""
        until = f", waited for until {state.until:%Y-%m-%d}" if state.until else ""
        lines.append(f"{state.day} {_kind(state)}{since}{until}: {state.note}")
    lines += [f"{day} is stale: {why}" for day, why in stale.items()]
    if stale:
        last = max([*stale, *after])
        lines.append(
            f"{len(after)} days after it depend on it: msm backfill {min(stale)} {last} "
            "--replace changed"
        )
    return lines


def _kind(state: DayState) -> str:
    if state.state == "published":
        return state.note.partition(",")[0]
    return "accepted gap" if state.accepted else state.state.value


def _print_day(facts: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(facts))
        return
    typer.echo(f"{facts['day']}: {facts['state']}")
    for reason in facts["because"]:
        typer.echo(f"  {reason}")
    for part in ("published", "record", "inputs"):
        typer.echo(f"{part}:" if facts[part] else f"{part}: none")
        for name, value in (facts[part] or {}).items():
            if isinstance(value, Mapping):
                value = "; ".join(f"{number} x {what}" for what, number in value.items())
            elif isinstance(value, list | tuple):
                value = ", ".join(value)
            typer.echo(f"  {name.replace('_', ' ')}: {'none' if value in (None, '') else value}")
