"""`msm sandbox serve`: a simulated Earthdata on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="A simulated Earthdata on this machine.", no_args_is_help=True)


@app.callback()
def sandbox() -> None:
    """Serve a simulated Earthdata on this machine."""


@app.command()
def serve(
    root: Annotated[Path, typer.Option(help="Folder of the granules and the certificate.")],
    weather: Annotated[
        str, typer.Option(help="`synthetic`, `global`, or a table of daily values to replay.")
    ] = "synthetic",
    port: Annotated[int, typer.Option(help="0 takes a free one.")] = 0,
) -> None:
    """Serve a simulated Earthdata on loopback until interrupted."""
    from msm.sandbox.server.serve import serve as run

    run(root, weather, port=port)
