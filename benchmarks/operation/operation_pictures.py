"""What `msm status` and `msm doctor` show of a site, as pictures for the documentation."""

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
"""Newest maps that the picture of their quality shows."""


def draw(run: Run, moment: datetime, site: Path, folder: Path) -> None:
    """Draw a site as its operator sees it at a moment.

    Parameters
    ----------
    run
        An open run.
    moment
        The present time of the site, UTC.
    site
        Folder of the site; shown as another, since nobody else has it.
    folder
        Where ``status.svg``, ``quality.svg`` and ``doctor.svg`` are written.
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
    lines = [*status.calendar(found), *status.remarks(found, stale, after)]
    _save(lines, "msm status", folder / "status.svg")
    _save([status.trend(assessed)], "msm status --quality", folder / "quality.svg")
    _save([doctor.table(shown)], "msm doctor", folder / "doctor.svg")


def _save(lines: Iterable[RenderableType], command: str, path: Path) -> None:
    console = Console(record=True, width=WIDTH, file=io.StringIO(), force_terminal=True)
    for line in lines:
        console.print(line, highlight=False)
    console.save_svg(str(path), title=command)
