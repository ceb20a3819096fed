"""Damaged files give an `InputError`, in 5 seconds and 500 MB, and never anything else.

Each kind runs for HPA_FUZZ_SECONDS (20 unless set; `make fuzz` takes longer) in a process of its
own, so that a crash or a hang is seen too.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SECONDS = os.environ.get("HPA_FUZZ_SECONDS", "20")


@pytest.mark.parametrize("target", sorted(path.stem for path in HERE.glob("fuzz_*.py")))
def test_damaged_files_are_refused(target: str) -> None:
    done = subprocess.run(
        [sys.executable, str(HERE / f"{target}.py"), SECONDS],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-8000:]
    count = int(done.stdout.split()[0])
    assert count >= 100
