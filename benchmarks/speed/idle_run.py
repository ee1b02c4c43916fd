"""Measure a scheduled run over CONUS with nothing to do, and one with a new day.

The new day is produced from the same state of the site by the scheduled run and by its date.
"""

from __future__ import annotations

import os
import re
import resource
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import parse_qs, urlsplit

from benchmarks.operation.season import all_sources
from msm.grid.domain import load_domain
from msm.sandbox.process import Sandbox, start
from msm.sources.tiers import due_day

FOLDER = Path("build/bench/idle")
ROUNDS = 5
WINDOW_DAYS = 14
MSM = Path(sys.executable).parent / "msm"

Command = list[str | Path]


def measure() -> dict[str, Any]:
    """Publish a window of days without the newest, then the newest, then run with nothing to do.

    Returns
    -------
    dict
        Clock and CPU seconds of the command for the last two; with nothing to do, the searches of
        each product and whether torch is imported.
    """
    shutil.rmtree(FOLDER, ignore_errors=True)
    site, before = FOLDER / "site", FOLDER / "before"
    with start(FOLDER / "sandbox") as sandbox:
        environment = sandbox.environment() | {
            "MSM_WORK": str(site / "work"),
            "MSM_ARCHIVE": str(site / "archive"),
            "MSM_SPIN_UP_DAYS": "0",
            "MSM_WINDOW_DAYS": str(WINDOW_DAYS),
            "MSM_DEEP_DAYS": str(WINDOW_DAYS),
        }
        newest = due_day(load_domain("conus"), datetime.now(UTC))
        for name in all_sources(newest):
            sandbox.withhold(name)
        _run([MSM, "daily"], environment)
        shutil.copytree(site, before)
        for name in all_sources(newest):
            sandbox.restore(name)
        # The scheduled run is the last, so that the runs after it have nothing to do.
        commands: dict[str, Command] = {
            "the same day by its date": [MSM, "daily", "--date", str(newest)],
            "one new day": [MSM, "daily"],
        }
        timed: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for _ in range(1 + ROUNDS):
            for name, command in commands.items():
                shutil.rmtree(site)
                shutil.copytree(before, site)
                timed[name].append(_timed(command, environment))
        # In the first round the sandbox also creates the granules.
        timed = {name: rounds[1:] for name, rounds in timed.items()}
        asked = len(sandbox.requests())
        timed["nothing to do"] = [_timed([MSM, "daily"], environment) for _ in range(ROUNDS)]
        searches = _searches(sandbox, asked)
        imported = _run([sys.executable, "-X", "importtime", MSM, "daily"], environment).stderr
    return {
        "window": WINDOW_DAYS,
        "seconds": {
            name: {
                "clock": median(seconds for seconds, _ in rounds),
                "processors": median(own for _, own in rounds),
            }
            for name, rounds in timed.items()
        },
        "requests of each product": {name: n / ROUNDS for name, n in searches.items()},
        "torch imported": bool(re.search(r"\| +torch$", imported, re.MULTILINE)),
    }


def _timed(command: Command, environment: Mapping[str, str]) -> tuple[float, float]:
    """Run a command; return its clock seconds and its CPU seconds."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    _run(command, environment)
    took, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return took, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _run(command: Command, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, check=True
    )


def _searches(sandbox: Sandbox, since: int) -> Counter[str]:
    """Count the searches of each product, from a number of requests on."""
    found: Counter[str] = Counter()
    for request in sandbox.requests()[since:]:
        parts = urlsplit(request["path"])
        if parts.path.endswith("granules.umm_json"):
            found[parse_qs(parts.query)["short_name"][0]] += 1
    return found
