"""The record of a GPU is made at toy size on the CPU, so that it cannot rot."""

import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks/gpu_record.py"


def test_every_part_is_measured_at_toy_size(tmp_path: Path) -> None:
    page = tmp_path / "gpu.md"
    words = [sys.executable, "-W", "ignore", SCRIPT, "--toy", "--out", page]
    ended = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr[-3000:]
    text = page.read_text()
    for title in ("Training", "Prediction", "Tuned and frozen branch", "torch.compile", "Kernels"):
        assert f"\n## {title}" in text
    assert "Failed" not in text
    assert "Left out" not in text
    for row in ("| stock mmdet |", "| ours, image cache |", "| tuned |", "| compiled |", "| nms "):
        assert row in text


def test_toy_figures_do_not_become_the_record() -> None:
    words = [sys.executable, "-W", "ignore", str(SCRIPT), "--toy"]
    ended = subprocess.run(words, capture_output=True, text=True)
    assert ended.returncode == 2
    assert "give --out" in ended.stderr
