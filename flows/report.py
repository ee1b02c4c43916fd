"""What a flow tells about a published map."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from msm.pipeline.compare import compare
from msm.pipeline.run import Run
from msm.settings import Settings


def address(settings: Settings, path: Path) -> str:
    """Return the URL under which a file of the archive is reached."""
    if settings.archive_url is None:
        return path.resolve().as_uri()
    return f"{settings.archive_url.rstrip('/')}/{path.relative_to(settings.archive).as_posix()}"


def report(run: Run, day: date, path: Path) -> tuple[str, dict[str, Any]]:
    """Describe a published map.

    Returns
    -------
    text
        Markdown.
    statistics
        The numbers in it, for machines.
    """
    with xr.open_dataset(path) as published:
        soil_moisture = run.domain.from_map(published.soil_moisture.values[0])
        flags = run.domain.from_map(published.quality_flag.values[0])
        status = published.attrs["status"]
    there = soil_moisture[np.isfinite(soil_moisture)]
    statistics: dict[str, Any] = {
        "cells": int(there.size),
        "mean": float(there.mean()),
        "p05": float(np.quantile(there, 0.05)),
        "p95": float(np.quantile(there, 0.95)),
        "unflagged": float(np.mean(flags == 0)),
        **{
            f"smap_{name}": value
            for name, value in asdict(compare(run, day, soil_moisture)).items()
        },
    }
    rows = "\n".join(f"| {name} | {_shown(value)} |" for name, value in statistics.items())
    url = address(run.settings, path)
    text = f"# {day}, {status}\n\n[{path.name}]({url})\n\n| | |\n|---|---|\n{rows}\n"
    return text, statistics


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
