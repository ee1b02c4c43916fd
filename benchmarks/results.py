"""Folders of the real data and of the benchmarks, and the JSON files with their results."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

DATA = Path(os.environ.get("MSM_REAL_DATA", "../shared/data"))
"""Real files: granules, satellite cells and stations."""
PIXELS = DATA / "conus_pixels" / "conus_v4f1.nc"
"""NLDAS-2 forcing and SMAP retrievals at 412 cells of 36 km."""
REPLAY = Path("build/replay")
"""Site of `make replay`, which other benchmarks continue."""
TRAINING = Path("build/training")
"""Finished fits and baselines, which an interrupted run continues."""

RESULTS = Path("docs/results")
ACCURACY = Path("docs/accuracy")
DIGITS = 5
"""Decimals of the files in `ACCURACY`: one more than the pages show."""


def keep(result: Mapping[str, Any], name: str, folder: Path = RESULTS) -> None:
    """Write the result of a benchmark as JSON, and print it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(result, indent=1, allow_nan=False) + "\n")
    Console().print_json(json.dumps(result))


def keep_accuracy(result: Mapping[str, Any], path: Path) -> None:
    """Write accuracy scores as JSON, rounded, with one line for each site."""
    rounded = _rounded(dict(result))
    sites = rounded.pop("sites", None)
    text = json.dumps(rounded, indent=1, allow_nan=False)
    if sites is not None:
        lines = ",\n".join(f"  {json.dumps(site, allow_nan=False)}" for site in sites)
        text = f'{text[:-2]},\n "sites": [\n{lines}\n ]\n}}'
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n")


def read(name: str) -> dict[str, Any]:
    """Return the last result of a benchmark."""
    measured: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text())
    return measured


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, DIGITS)
    if isinstance(value, dict):
        return {key: _rounded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(each) for each in value]
    return value
