"""`msm validate`: check published files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from msm.errors import MsmError


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
