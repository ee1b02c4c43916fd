"""Fuzz the answers of Earthdata: `python -m tests.fuzz.run --count 10000 --seed 1`.

Every case is a function of seed and number. It must be refused with a sentence or be correct: no
crash, no hang, and no accepted error that a check could detect.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import tempfile
import time
from pathlib import Path

from msm.products.reader_pool import Readers
from msm.sandbox.process import start
from msm.settings import Settings
from msm.sources.earthdata import Earthdata
from tests.fuzz.answers import fuzz_answers
from tests.fuzz.downloads import fuzz_downloads
from tests.fuzz.granules import fuzz_granules
from tests.fuzz.report import text

LIMIT_SECONDS = 3.0
DOWNLOADS = 10
"""Granules and answers per download."""


def main() -> int:
    """Run the fuzz and print its outcomes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="granules, and answers")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    logging.disable(logging.WARNING)
    end = arguments.first + arguments.count
    cases = range(arguments.first, end)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as name, Readers(1, LIMIT_SECONDS) as readers:
        folder = Path(name)
        reports = [fuzz_granules(readers, folder / "granules", cases, arguments.seed)]
        with start(folder / "sandbox", "synthetic:1") as sandbox:
            os.environ.update(sandbox.environment())
            settings = Settings(work=folder / "work", archive=folder, timeout_seconds=10)
            earthdata = Earthdata(settings, readers)
            reports.append(fuzz_answers(earthdata, sandbox, folder, cases, arguments.seed))
            cases = range(arguments.first // DOWNLOADS, end // DOWNLOADS)
            reports.append(fuzz_downloads(earthdata, readers, sandbox, cases, arguments.seed))
    count = sum(report.outcomes.total() for report in reports)
    failed = sum(len(report.failures) for report in reports)
    end_line = f"{count} cases, {failed} failures, {time.monotonic() - begun:.0f} s"
    sys.stdout.write(f"{text(reports)}\n\n{end_line}\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
