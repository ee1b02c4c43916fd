"""`msm doctor`: the pre-flight checks."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from msm.cli.shared import DomainOption, Json
from msm.errors import MsmError
from msm.settings import read_settings

if TYPE_CHECKING:
    from msm.operations.doctor import Finding

STYLES = {"good": "green", "look": "yellow", "bad": "bold red"}


def doctor(
    domain: DomainOption = None,
    as_json: Json = False,
) -> None:
    """Run the pre-flight checks: what a run depends on, and the remedy where a check fails."""
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
        raise MsmError(f"{len(bad)} checks failed (first: {bad[0].subject}).")


def table(findings: Iterable[Finding]) -> Table:
    """Lay out the findings, a line for each check."""
    laid_out = Table("", "", Column("found", overflow="fold"), Column("remedy", overflow="fold"))
    for finding in findings:
        verdict = Text(finding.verdict, STYLES[finding.verdict])
        laid_out.add_row(finding.subject, verdict, Text(finding.what), Text(finding.remedy))
    return laid_out
