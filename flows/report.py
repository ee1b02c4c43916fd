"""The report of a published map."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from msm.archive.assessment import Assessment
from msm.archive.sidecars import PublishedDay
from msm.settings import Settings


def address(settings: Settings, path: Path) -> str:
    """Return the URL under which a file of the archive is reached."""
    if settings.archive_url is None:
        return path.resolve().as_uri()
    return f"{settings.archive_url.rstrip('/')}/{path.relative_to(settings.archive).as_posix()}"


def report(settings: Settings, published: PublishedDay, assessed: Assessment | None) -> str:
    """Describe a published map, in Markdown."""
    facts: dict[str, Any] = {"revision": published.revision, "checkpoint": published.checkpoint}
    if assessed:
        facts |= {
            "verdict": ", ".join([assessed.verdict, *assessed.exceeded]),
            "cells with a value": f"{assessed.valid_fraction:.1%}",
            "of these without a flag": f"{assessed.unflagged:.1%}",
            "mean, m3 m-3": None if assessed.mean is None else f"{assessed.mean:.4f}",
            "SMAP": assessed.satellite_granule,
        }
        compared = {"SMAP": assessed.satellite, "the day before": assessed.yesterday}
        facts |= {
            f"minus {name}": f"bias {found.bias:+.4f}, ubRMSE {found.ubrmse:.4f} m3 m-3"
            f" over {found.cells} cells"
            for name, found in compared.items()
            if found
        }
    rows = "\n".join(f"| {name} | {value} |" for name, value in facts.items())
    url = address(settings, published.path)
    return (
        f"# {published.day}, {published.status}\n\n[{published.path.name}]({url})\n\n"
        f"| | |\n|---|---|\n{rows}\n"
    )
