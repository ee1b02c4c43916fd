"""Memory that a process takes again and again stays with it."""

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
"""Parameters of mallopt, malloc.h of the GNU C library."""


def keep(size: int) -> None:
    """Let this process keep up to `size` bytes that it has freed, in arrays as large as that.

    By default the C library gives large arrays back at once, and the kernel clears their pages
    when they are taken anew. Threads share one heap: what each kept for itself would add up over
    the days. Other C libraries than GNU's are left as they are.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:
        return
    mallopt(M_ARENA_MAX, 1)
    mallopt(M_TRIM_THRESHOLD, size)
    mallopt(M_MMAP_THRESHOLD, size)
