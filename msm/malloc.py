"""Freed memory that a process keeps for its next arrays."""

from __future__ import annotations

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
"""Parameters of mallopt, malloc.h of the GNU C library."""


def keep(size: int) -> None:
    """Let this process keep up to `size` bytes of freed memory, in arrays of at most that size.

    By default the C library returns large arrays to the kernel at once, which clears their pages
    when they are allocated again. Threads share one heap, because memory kept by each of them
    would add up. C libraries other than GNU's are not changed.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return
    mallopt(M_ARENA_MAX, 1)
    mallopt(M_TRIM_THRESHOLD, size)
    mallopt(M_MMAP_THRESHOLD, size)
