"""The demonstration: the daily job on the contiguous United States against the sandbox."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime
from pathlib import Path

from msm.archive.store import Published
from msm.operations.daily import daily
from msm.pipeline.run import Progress, open_run
from msm.sandbox.process import Sandbox, start
from msm.settings import Settings

DAY = date(2024, 6, 3)

SPIN_UP_DAYS = 2
"""Just enough to show a state carried from day to day; the map is flagged as spinning up."""


def demo(folder: Path, progress: Progress) -> Published:
    """Make one map from simulated granules, by the way that real ones go.

    Parameters
    ----------
    folder
        Where granules, states and the archive are written; running again goes on from there.
    progress
        Told of each day.

    Returns
    -------
    Published
        Where the map is.
    """
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
