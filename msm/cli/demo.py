"""`msm demo`: the daily run on the contiguous United States against the sandbox."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from msm.cli.daily import print_published
from msm.cli.shared import progress_bar, screen
from msm.settings import Settings

if TYPE_CHECKING:
    from msm.archive.store import Published
    from msm.pipeline.run import Progress
    from msm.sandbox.process import Sandbox

DAY = date(2024, 6, 3)

SPIN_UP_DAYS = 2
"""Enough to show a state carried from day to day; the map is flagged as spinning up."""


def demo(
    folder: Annotated[Path, typer.Option(help="Folder of all files.")] = Path("demo"),
) -> None:
    """Make one map of the contiguous United States against the sandbox, without credentials."""
    with progress_bar() as progress:
        published = make_demo(folder, progress)
    print_published(published, as_json=False)
    screen.print(f"the picture: {published.picture}\nthe archive: {folder / 'archive'}")


def make_demo(folder: Path, progress: Progress) -> Published:
    """Make one map from simulated granules, by the steps that real granules take.

    Parameters
    ----------
    folder
        Folder of granules, states and the archive; a second call continues from there.
    progress
        Called with each day.

    Returns
    -------
    Published
        Where the map is.
    """
    from msm.operations.daily import daily
    from msm.pipeline.run import open_run
    from msm.sandbox.process import start

    with (
        start(folder / "sandbox") as sandbox,
        open_run(logged_in(sandbox, folder, SPIN_UP_DAYS)) as run,
    ):
        return daily(run, DAY, datetime.now(UTC), progress)


def logged_in(sandbox: Sandbox, folder: Path, spin_up_days: int) -> Settings:
    """Log this process in to a sandbox, and return settings for a site in `folder`."""
    os.environ.update(sandbox.environment())
    return Settings(
        work=folder / "work",
        archive=folder / "archive",
        domain="conus",
        checkpoint=None,
        mirror=None,
        spin_up_days=spin_up_days,
        cmr_url=sandbox.cmr_url,
        edl_host=sandbox.edl_host,
    )
