"""Memory of the C library that is used again in place of being mapped anew.

glibc takes each piece of more than 32 MB straight from the kernel and gives it back at once.
The kernel clears such pages whenever they are touched for the first time, which takes up to two
thirds of a network's time on large images: one layer's output at 1536 px has 50 MB and more.
torch's own CPU allocator keeps nothing.
"""

import ctypes
import os

# of glibc's malloc.h
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4

# What a user has said of it holds.
_VARIABLES = ("MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")


def keep_freed_memory() -> bool:
    """Let this process keep the memory that it frees, and use it again.

    Does nothing where the C library is not glibc, or where the environment sets glibc's
    variables of the same purpose (`MALLOC_MMAP_MAX_`, `MALLOC_MMAP_THRESHOLD_`,
    `MALLOC_TRIM_THRESHOLD_`). A process keeps about what it needed at its peak.

    Returns:
        Whether it is so from now on.
    """
    if any(name in os.environ for name in _VARIABLES):
        return False
    try:
        libc = ctypes.CDLL(None)
        libc.gnu_get_libc_version  # noqa: B018 (only glibc has it)
        mallopt = libc.mallopt
    except (AttributeError, OSError, TypeError):  # another libc, or Windows
        return False
    return bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, -1))
