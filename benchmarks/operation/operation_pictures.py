"""Pictures of the output of `msm status` and `msm doctor` for the documentation."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from rich.console import Console, RenderableType

from msm.archive import store
from msm.archive.assessment import read_assessment
from msm.cli import doctor, status
from msm.operations.day_states import known_days, states
from msm.operations.doctor import examine
from msm.pipeline.ledger import stale_days
from msm.pipeline.run import Run

WIDTH = 110
MAPS = 20
"""Number of maps in the picture of their quality."""


def draw(run: Run, moment: datetime, site: Path, folder: Path) -> None:
    """Draw the operator's view of a site at a moment.

    Parameters
    ----------
    run
        An open run.
    moment
        The current time of the site, UTC.
    site
        Folder of the site, which the pictures replace by a generic path.
    folder
        Folder for ``status.svg``, ``quality.svg`` and ``doctor.svg``.
    """
    settings = run.settings
    found = states(run, known_days(run), moment)
    items = store.published_items(settings.archive, settings.domain)
    stale, after = stale_days(run, items[-1].chain_id)
    assessed = [known for item in items[-MAPS:] if (known := read_assessment(item.path))]
    shown = [
        replace(finding, what=finding.what.replace(str(site), "/srv/msm"))
        for finding in examine(run, moment)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    lines: list[RenderableType] = [*status.calendar(found), *status.remarks(found, stale, after)]
    _save(lines, "msm status", folder / "status.svg")
    _save([status.trend(assessed)], "msm status --quality", folder / "quality.svg")
    _save([doctor.table(shown)], "msm doctor", folder / "doctor.svg")


def _save(lines: Iterable[RenderableType], command: str, path: Path) -> None:
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    for line in lines:
        console.print(line, highlight=False)
    console.save_svg(str(path), title=command)
