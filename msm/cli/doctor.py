"""`msm doctor`: whether a run will hold."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from msm.errors import MsmError
from msm.settings import read_settings

if TYPE_CHECKING:
    from msm.operations.doctor import Finding

app = typer.Typer()

STYLES = {"good": "green", "look": "yellow", "bad": "bold red"}


@app.command()
def doctor(
    domain: Annotated[
        str | None, typer.Option(help="conus, global or box:SOUTH,NORTH,WEST,EAST.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a machine.")] = False,
) -> None:
    """Look at everything that a run stands on, and say what to do where it will not hold."""
    from msm.operations.doctor import Verdict, examine
    from msm.pipeline.run import open_run

    with open_run(read_settings(domain=domain)) as run:
        findings = examine(run, datetime.now(UTC))
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in findings]))
    else:
        Console().print(table(findings))
    bad = [finding for finding in findings if finding.verdict == Verdict.bad]
    if bad:
        raise MsmError(f"{len(bad)} things stand in the way, {bad[0].subject} the first.")


def table(findings: Iterable[Finding]) -> Table:
    """Lay out what was found, a line for each thing."""
    laid_out = Table("", "", Column("found", overflow="fold"), Column("remedy", overflow="fold"))
    for finding in findings:
        verdict = Text(finding.verdict, STYLES[finding.verdict])
        laid_out.add_row(finding.subject, verdict, Text(finding.what), Text(finding.remedy))
    return laid_out
