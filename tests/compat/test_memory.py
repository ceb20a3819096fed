"""Freed memory is used again, unless the user has said what glibc is to do."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from hpa_mmdet.compat import memory

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
        ("HPA_MMDET_KEEP_MEMORY", "0"),
        ("MALLOC_MMAP_MAX_", "65536"),
        ("MALLOC_MMAP_THRESHOLD_", "131072"),
        ("MALLOC_TRIM_THRESHOLD_", "131072"),
    ],
)
def test_what_the_environment_says_holds(variable: str, value: str) -> None:
    kept, faults = _run(**{variable: value})
    assert not kept
    assert faults > 10_000


_GIVE_BACK = """
import numpy as np
from hpa_mmdet.compat import memory

memory.keep_freed_memory()
before = memory._resident_bytes()
pieces = [np.ones(1_000_000) for _ in range(100)]
last = np.ones(1000)  # in the way of the heap's end
del pieces
memory._LEAST_AVAILABLE, memory._MOST_OF_CONTAINER = {shares}
kept = memory._resident_bytes() - before
given = memory.give_back_where_scarce()
print(kept > 700_000_000, given, memory._resident_bytes() - before < 100_000_000)
"""


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        pytest.param("2.0, 2.0", "True True True", id="the machine has little left"),
        pytest.param("0.0, 2.0", "True False False", id="there is enough"),
    ],
)
def test_freed_memory_goes_back_where_it_is_scarce(shares: str, expected: str) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    command = [sys.executable, "-c", _GIVE_BACK.format(shares=shares)]
    done = subprocess.run(command, env=kept, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == expected


def test_a_containers_bound_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    newer, older = tmp_path / "memory.max", tmp_path / "limit_in_bytes"
    monkeypatch.setattr(memory, "_CONTAINER_LIMITS", (newer, older))
    for text, expected in ((None, None), ("max\n", None), ("8589934592\n", 8589934592)):
        if text is not None:
            newer.write_text(text)
        memory._container_bytes.cache_clear()
        assert memory._container_bytes() == expected
    newer.unlink()
    older.write_text("1073741824\n")
    memory._container_bytes.cache_clear()
    assert memory._container_bytes() == 1073741824
    memory._container_bytes.cache_clear()


def test_a_process_that_holds_much_of_its_container_gives_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(memory, "_LEAST_AVAILABLE", 0.0)
    for limit, expected in ((None, False), (1, True), (1 << 62, False)):
        monkeypatch.setattr(memory, "_container_bytes", lambda limit=limit: limit)
        assert memory._is_scarce() is expected
