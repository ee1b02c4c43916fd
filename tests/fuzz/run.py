"""Fuzz what comes from Earthdata: `python -m tests.fuzz.run --count 10000 --seed 1`.

Every case is a function of seed and number. It must be refused with a sentence or be right: no
crash, no hang, nothing accepted that a check could have known.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from msm.inputs.earthdata import Earthdata, EarthdataError
from msm.inputs.granule import Granule
from msm.inputs.product import GranuleError
from msm.inputs.readers import Readers
from msm.sandbox.faults import Fault
from msm.sandbox.process import Sandbox, start
from msm.settings import Settings
from tests.fuzz import answers, granules

BATCH = 48
LIMIT_SECONDS = 3.0


@dataclass
class Report:
    """What came of a number of cases."""

    outcomes: Counter[str] = field(default_factory=Counter)
    contained: list[str] = field(default_factory=list)
    """Cases that took a reading process down, and nothing else."""
    failures: list[str] = field(default_factory=list)


def fuzz_granules(readers: Readers, folder: Path, cases: range, seed: int) -> Report:
    """Read mutated granules in the reading processes."""
    report = Report()
    base = folder / granules.NAME
    granules.make_base(base)
    content = base.read_bytes()
    right = readers.submit(granules.NLDAS, base).result()
    record = Granule(
        "NLDAS_FORA0125_H",
        "2.0",
        granules.NAME,
        granules.STAMP,
        len(content),
        ("sha256", hashlib.sha256(content).hexdigest()),
    )
    for first in range(cases.start, cases.stop, BATCH):
        made = {
            index: granules.mutate(base, folder / "cases", seed, index)
            for index in range(first, min(first + BATCH, cases.stop))
        }
        pending = {index: readers.submit(granules.NLDAS, path) for index, (path, _) in made.items()}
        for index, (path, mutation) in made.items():
            wrong = granules.wrong_with_checksum(base, path, record)
            outcome = "refused"
            try:
                reading = pending[index].result()
            except GranuleError as error:
                if "takes down" in str(error):
                    outcome = "contained"
                    report.contained.append(f"granule {seed} {index} ({mutation})")
            else:
                wrong = wrong or granules.wrong_without_checksum(right, reading)
                outcome = "same" if granules.same(right, reading) else "other values"
            report.outcomes[f"{mutation}: {outcome}"] += 1
            if wrong:
                report.failures.append(f"granule {seed} {index} ({mutation}) {wrong}")
        shutil.rmtree(folder / "cases")
    return report


def fuzz_answers(
    earthdata: Earthdata, sandbox: Sandbox, folder: Path, cases: range, seed: int
) -> Report:
    """Let the client search, and the catalogue answer what it must not."""
    report = Report()
    records = answers.right_records()
    for index in cases:
        body, mutation = answers.answer(records, seed, index)
        sandbox.reset()
        sandbox.fault(Fault(match="granules.umm_json", behaviour="reply", body=body))
        try:
            found = earthdata.search(answers.NLDAS, answers.START, answers.END)
        except EarthdataError:
            outcome, wrong = "refused", None
        else:
            outcome, wrong = f"{len(found)} granules", answers.wrong(found, folder)
        report.outcomes[f"{mutation}: {outcome}"] += 1
        if wrong:
            report.failures.append(f"answer {seed} {index} ({mutation}) {wrong}")
    return report


def main() -> int:
    """Fuzz, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="cases of each kind")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    logging.disable(logging.WARNING)
    cases = range(asked.first, asked.first + asked.count)
    begun = time.monotonic()
    with tempfile.TemporaryDirectory() as name, Readers(1, LIMIT_SECONDS) as readers:
        folder = Path(name)
        told = {"granules": fuzz_granules(readers, folder, cases, asked.seed)}
        with start(folder / "sandbox", "synthetic:1") as sandbox:
            os.environ.update(sandbox.environment())
            settings = Settings(work=folder / "work", archive=folder, timeout_seconds=10)
            earthdata = Earthdata(settings, readers)
            told["answers"] = fuzz_answers(earthdata, sandbox, folder, cases, asked.seed)
    failed = sum(len(report.failures) for report in told.values())
    lines = [json.dumps({kind: r.outcomes for kind, r in told.items()}, indent=1, sort_keys=True)]
    lines += [line for r in told.values() for line in (*r.contained, *r.failures)]
    lines.append(f"{2 * asked.count} cases, {failed} failures, {time.monotonic() - begun:.0f} s")
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
