"""The command `msm`: each command has a file of its own."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from msm import __version__
from msm.cli import sandbox, training
from msm.cli.backfill import backfill, fetch
from msm.cli.daily import daily
from msm.cli.demo import demo
from msm.cli.doctor import doctor
from msm.cli.inspect import inspect
from msm.cli.probe import probe
from msm.cli.prune import prune
from msm.cli.shared import screen
from msm.cli.status import status
from msm.cli.validate import validate
from msm.errors import MsmError

app = typer.Typer(
    help="Daily soil moisture maps at 9 km, and the archive that people download them from.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for command in (
    daily,
    status,
    doctor,
    backfill,
    fetch,
    validate,
    inspect,
    probe,
    prune,
    demo,
):
    app.command()(command)
app.add_typer(sandbox.app, name="sandbox")
app.add_typer(training.app)


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
    """Daily soil moisture maps at 9 km, and the archive that people download them from."""


if __name__ == "__main__":
    main()
