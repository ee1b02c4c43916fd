"""Results of the benchmarks: one JSON file each in docs/results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Console

FOUND = Path("docs/results")


def keep(result: dict[str, Any], name: str, found: Path = FOUND) -> None:
    """Write the result of a benchmark, and print it."""
    found.mkdir(parents=True, exist_ok=True)
    (found / f"{name}.json").write_text(json.dumps(result, indent=1, allow_nan=False) + "\n")
    Console().print_json(json.dumps(result))


def read(name: str, found: Path = FOUND) -> dict[str, Any]:
    """Return the last result of a benchmark."""
    measured: dict[str, Any] = json.loads((found / f"{name}.json").read_text())
    return measured
