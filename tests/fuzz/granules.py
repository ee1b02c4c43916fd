"""Mutated granules of every product, read in the reader processes."""

from __future__ import annotations

import hashlib
import shutil
from concurrent.futures import Future
from pathlib import Path
from random import Random

import numpy as np

from msm.products.product import GranuleError, Reading
from msm.products.reader_pool import Pending, Readers
from msm.sources.granule import Granule, verify
from tests.fuzz import oracle
from tests.fuzz.bases import Subject, make_subjects
from tests.fuzz.changes import CHANGES
from tests.fuzz.damage import DAMAGES
from tests.fuzz.report import Report

MUTATIONS = (*DAMAGES, *CHANGES)
BATCH = 48
MOST_BYTES = 2**29
"""Limit of the memory of a process that reads granules of a few cells."""


def fuzz_granules(readers: Readers, folder: Path, cases: range, seed: int) -> Report:
    """Read mutated granules, each a function of seed and number."""
    report = Report("granule")
    subjects = make_subjects(folder / "right")
    right = {s.path: readers.submit(s.product, s.path, window=s.window).result() for s in subjects}
    for first in range(cases.start, cases.stop, BATCH):
        numbers = range(first, min(first + BATCH, cases.stop))
        made = [(n, *mutate(subjects, folder / "cases", seed, n)) for n in numbers]
        submitted = [
            (case, readers.submit(case[1].product, case[2], window=case[1].window), _peak(readers))
            for case in made
        ]
        for (number, subject, path, mutation), pending, peak in submitted:
            outcome, wrong = _outcome(subject, path, pending, right[subject.path])
            if peak is not None and not peak.exception() and peak.result() > MOST_BYTES:
                wrong = wrong or f"or one before it, takes {peak.result() >> 20} MiB"
            report.add(f"{seed} {number}", subject.product.id, mutation, outcome, wrong)
        shutil.rmtree(folder / "cases")
    return report


def mutate(
    subjects: list[Subject], folder: Path, seed: int, number: int
) -> tuple[Subject, Path, str]:
    """Write a case into a folder; return its subject, its path and the name of its mutation."""
    chance = Random(f"granule {seed} {number}")
    subject = subjects[number % len(subjects)]
    mutation = MUTATIONS[number // len(subjects) % len(MUTATIONS)]
    path = folder / str(number) / subject.path.name
    path.parent.mkdir(parents=True)
    shutil.copyfile(subject.path, path)
    mutation(path, subject, chance)
    return subject, path, mutation.__name__


def _outcome(
    subject: Subject, path: Path, pending: Pending, right: Reading
) -> tuple[str, str | None]:
    wrong = _passes_checksum(subject, path)
    try:
        reading = pending.result()
    except GranuleError as error:
        if "takes down" in str(error):
            return "contained", wrong
        return "refused", wrong or ("asks for memory" if "MemoryError" in str(error) else None)
    wrong = wrong or oracle.wrong(subject, path, reading)
    return "same" if same(right, reading) else "other values", wrong


def _passes_checksum(subject: Subject, path: Path) -> str | None:
    content = subject.path.read_bytes()
    if path.read_bytes() == content:
        return None
    layout = subject.layout
    checksum = "sha256", hashlib.sha256(content).hexdigest()
    record = Granule(
        layout.product, layout.version, path.name, subject.stamp, len(content), checksum
    )
    try:
        verify(path, record)
    except GranuleError:
        return None
    return "passes under a checksum that is not its own"


def same(right: Reading, reading: Reading) -> bool:
    """Return whether two readings hold the same fields."""
    return right.fields.keys() == reading.fields.keys() and all(
        np.array_equal(field, right.fields[name], equal_nan=field.dtype.kind == "f")
        for name, field in reading.fields.items()
    )


def _peak(readers: Readers) -> Future[int] | None:
    """Return the peak memory of the reader process after its work so far, if it is alive."""
    try:
        return readers._pool.submit(peak_bytes)
    except RuntimeError:  # an earlier granule has just crashed the process
        return None


def peak_bytes() -> int:
    """Return the peak memory of this process."""
    # getrusage reports that of the process that started this one, if it was larger.
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])
