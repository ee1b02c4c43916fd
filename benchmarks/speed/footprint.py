"""Peak memory of a process and its children."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

SECONDS = 0.1
"""Time between two measurements."""


class Peak:
    """Largest measured memory, with shared pages counted once."""

    gib = 0.0


@contextmanager
def peak_memory() -> Iterator[Peak]:
    """Measure this process and its children in a thread."""
    peak = Peak()
    done = threading.Event()

    def measure() -> None:
        while not done.wait(SECONDS):
            peak.gib = max(peak.gib, _now() / 2**30)

    thread = threading.Thread(target=measure, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()


def _now() -> int:
    me = psutil.Process()
    total = 0
    for process in (me, *me.children(recursive=True)):
        # A child may end between the two calls.
        with suppress(psutil.NoSuchProcess):
            total += process.memory_full_info().pss
    return total
