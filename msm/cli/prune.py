"""`msm prune`: free disk space."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from msm.cli.shared import DomainOption, Json
from msm.settings import read_settings


def prune(
    domain: DomainOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only list what would be removed.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Remove files of the work folder that no run needs any more; the archive is not touched."""
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
    typer.echo(f"{size / 1e6:.1f} MB {'can be removed' if dry_run else 'removed'}")
