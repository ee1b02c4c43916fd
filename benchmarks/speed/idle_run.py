"""What a scheduled run costs that finds nothing to do, and one that finds a new day, over CONUS.

A new day is made from the same eve by the scheduled run and by its date, in turn.
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
    """Make a window of days but the newest, then that, then nothing; time the last two.

    Returns
    -------
    dict
        Seconds of the clock and of the command's own processors; searches of each product where
        there is nothing to do, and whether torch is imported then.
    """
    shutil.rmtree(FOLDER, ignore_errors=True)
    site, eve = FOLDER / "site", FOLDER / "eve"
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
        shutil.copytree(site, eve)
        for name in all_sources(newest):
            sandbox.restore(name)
        # The scheduled run comes last, so that it has done all there is to do.
        by_date: Command = [MSM, "daily", "--date", str(newest)]
        ways = {"the same day by its date": by_date, "one new day": [MSM, "daily"]}
        timed: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for _ in range(1 + ROUNDS):
            for name, command in ways.items():
                shutil.rmtree(site)
                shutil.copytree(eve, site)
                timed[name].append(_timed(command, environment))
        # In the first round the sandbox makes the granules.
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
    """Run a command; return seconds of the clock, and of processors without the sandbox's."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    _run(command, environment)
    took, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return took, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _run(command: Command, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, check=True
    )


def _searches(sandbox: Sandbox, since: int) -> Counter[str]:
    found: Counter[str] = Counter()
    for request in sandbox.requests()[since:]:
        parts = urlsplit(request["path"])
        if parts.path.endswith("granules.umm_json"):
            found[parse_qs(parts.query)["short_name"][0]] += 1
    return found
