"""Freed memory is used again, unless the user has said what glibc is to do."""

import os
import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="only glibc gives memory back at once"
)

# Says whether memory is kept, and how many pages the second of two equal arrays had to touch
# for the first time.
_SCRIPT = """
import resource
import numpy as np
from hpa_mmdet.compat.memory import keep_freed_memory

print(keep_freed_memory())
np.ones(16_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
np.ones(16_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _run(**environment: str) -> tuple[bool, int]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT],
        env={**kept, "NUMPY_MADVISE_HUGEPAGE": "0", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    said, faults = done.stdout.split()
    return said == "True", int(faults)


def test_a_second_array_takes_the_pages_of_the_first() -> None:
    kept, faults = _run()
    assert kept
    assert faults < 1000  # of 31,250 pages


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("MALLOC_MMAP_MAX_", "65536"),
        ("MALLOC_MMAP_THRESHOLD_", "131072"),
        ("MALLOC_TRIM_THRESHOLD_", "131072"),
    ],
)
def test_what_the_environment_says_holds(variable: str, value: str) -> None:
    kept, faults = _run(**{variable: value})
    assert not kept
    assert faults > 10_000
