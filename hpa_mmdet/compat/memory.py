"""Memory of the C library that is used again in place of being mapped anew.

glibc takes each large piece straight from the kernel and gives it back at once. The kernel clears
such pages whenever they are touched for the first time, which takes more than half of a network's
time on large images: one layer's output at 1536 px has 50 MB and more. torch's own CPU allocator
keeps nothing.

What is kept lies in pieces, so training on batches of changing sizes holds more than it needs
(1.65 times as much where benchmarks/bench_memory_reuse.py measures it). Where memory becomes scarce
it is therefore given back (`give_back_where_scarce`).
"""

import ctypes
import os
from functools import cache
from pathlib import Path
from typing import Any

# of glibc's malloc.h
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4

# What a user has said of it holds. A variable of glibc's, even with its default value, also fixes
# the threshold that it otherwise adapts, so there is one that leaves all to it.
_VARIABLES = ("MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_")
_SWITCH = "HPA_MMDET_KEEP_MEMORY"

# Scarce: less than this share of the machine's memory is available, or this process holds more
# than the other share of what its container may have.
_LEAST_AVAILABLE = 0.25
_MOST_OF_CONTAINER = 0.6
_CONTAINER_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


@cache
def keep_freed_memory() -> bool:
    """Let this process keep the memory that it frees, and use it again.

    Does nothing where the C library is not glibc, or where the environment says
    HPA_MMDET_KEEP_MEMORY=0 or sets glibc's variables of the same purpose (`MALLOC_MMAP_MAX_`,
    `MALLOC_MMAP_THRESHOLD_`, `MALLOC_TRIM_THRESHOLD_`).

    Returns:
        Whether it is so from now on.
    """
    libc = _glibc()
    said = os.environ.get(_SWITCH) == "0" or any(name in os.environ for name in _VARIABLES)
    if libc is None or said:
        return False
    return bool(libc.mallopt(_M_MMAP_MAX, 0)) and bool(libc.mallopt(_M_TRIM_THRESHOLD, -1))


def give_back_where_scarce() -> bool:
    """Return what was kept to the system, if memory is scarce; for the end of a step or an image.

    Returns:
        Whether it was returned.
    """
    if not keep_freed_memory() or not _is_scarce():
        return False
    _glibc().malloc_trim(0)
    return True


def _is_scarce() -> bool:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        amounts = {name: int(rest.split()[0]) for name, rest in (one.split(":") for one in lines)}
        if amounts["MemAvailable"] < _LEAST_AVAILABLE * amounts["MemTotal"]:
            return True
        limit = _container_bytes()
        return limit is not None and _resident_bytes() > _MOST_OF_CONTAINER * limit
    except (OSError, ValueError, KeyError):  # a system without these files
        return False


def _resident_bytes() -> int:
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


@cache
def _container_bytes() -> int | None:
    """How much memory this process's container may have; None where there is no bound."""
    for path in _CONTAINER_LIMITS:
        if path.is_file() and (text := path.read_text(encoding="ascii").strip()).isdigit():
            return int(text)
    return None


@cache
def _glibc() -> Any:
    """Open the C library; None where it is another one."""
    try:
        libc = ctypes.CDLL(None)
        libc.gnu_get_libc_version  # noqa: B018 (only glibc has it)
    except (AttributeError, OSError, TypeError):  # another libc, or Windows
        return None
    return libc
