"""Mutated granules of every product, read in the reading processes."""

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
"""Memory that a process reading granules of a few cells stays below."""


def fuzz_granules(readers: Readers, folder: Path, cases: range, seed: int) -> Report:
    """Read mutated granules, each a function of its seed and number."""
    report = Report("granule")
    subjects = make_subjects(folder / "right")
    right = {s.path: readers.submit(s.product, s.path, window=s.window).result() for s in subjects}
    for first in range(cases.start, cases.stop, BATCH):
        numbers = range(first, min(first + BATCH, cases.stop))
        made = [(n, *mutate(subjects, folder / "cases", seed, n)) for n in numbers]
        begun = [
            (case, readers.submit(case[1].product, case[2], window=case[1].window), _peak(readers))
            for case in made
        ]
        for (number, subject, path, mutation), pending, peak in begun:
            outcome, wrong = _outcome(subject, path, pending, right[subject.path])
            if peak is not None and not peak.exception() and peak.result() > MOST_BYTES:
                wrong = wrong or f"or one before it, takes {peak.result() >> 20} MiB"
            report.add(f"{seed} {number}", subject.product.id, mutation, outcome, wrong)
        shutil.rmtree(folder / "cases")
    return report


def mutate(
    subjects: list[Subject], folder: Path, seed: int, number: int
) -> tuple[Subject, Path, str]:
    """Write a case into a folder; return what it was, its path and what was done to it."""
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
    """Tell whether two readings hold the same fields."""
    return right.fields.keys() == reading.fields.keys() and all(
        np.array_equal(field, right.fields[name], equal_nan=field.dtype.kind == "f")
        for name, field in reading.fields.items()
    )


def _peak(readers: Readers) -> Future[int] | None:
    """Ask the process that reads for the most memory it ever held, after what it was given."""
    try:
        return readers._pool.submit(peak_bytes)
    except RuntimeError:  # a granule before has just taken the process down
        return None


def peak_bytes() -> int:
    """Return the most memory that this process ever held."""
    # What getrusage tells is that of the process that started this one, if that was larger.
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])
