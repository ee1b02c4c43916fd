"""`msm probe`: compare real granules with the layout files."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime

import typer

from msm.cli.shared import Json
from msm.errors import MsmError
from msm.settings import read_settings


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
