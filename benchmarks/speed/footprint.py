"""The memory of a process and of all that it starts."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psutil

SECONDS = 0.1
"""Time between two looks."""


class Peak:
    """Greatest memory seen, shared pages counted once."""

    gib = 0.0


@contextmanager
def peak_memory() -> Iterator[Peak]:
    """Watch this process and its children."""
    peak = Peak()
    done = threading.Event()

    def watch() -> None:
        while not done.wait(SECONDS):
            peak.gib = max(peak.gib, _now() / 2**30)

    thread = threading.Thread(target=watch, daemon=True)
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
        # A child may end between two lines.
        with suppress(psutil.NoSuchProcess):
            total += process.memory_full_info().pss
    return total
