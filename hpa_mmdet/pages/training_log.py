"""The scalars that mmengine's runner leaves in a work folder, read back as curves.

mmengine writes `<work dir>/<start time>/vis_data/scalars.json`, one JSON object a line:
training lines with `loss`, `lr` and `iter`, validation lines with the metrics, both with
a `step` (an iteration for training, an epoch for validation of an epoch-based run).
"""

import json
import math
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

Curve = tuple[list[float], list[float]]
_NOT_CURVES = {"step", "epoch", "iter", "time", "data_time", "memory", "base_lr"}


@dataclass
class TrainingLog:
    """Curves by name, each (steps, values), of all the runs in a work folder.

    Attributes:
        training: by iteration: losses, learning rate.
        validation: by epoch or iteration: the metrics.
        step_s: mean seconds of a training step, and of it the wait for data; None if unknown.
        wall_s: seconds from the start of each run to its last line, all runs together.
        sources: the files that were read.
    """

    training: dict[str, Curve] = field(default_factory=dict)
    validation: dict[str, Curve] = field(default_factory=dict)
    step_s: tuple[float, float] | None = None
    wall_s: float = 0.0
    sources: list[Path] = field(default_factory=list)

    def all_curves(self) -> list[tuple[str, Curve]]:
        """Give every curve with its name, training first."""
        return [*sorted(self.training.items()), *sorted(self.validation.items())]


def read_training_log(work_dir: Path) -> TrainingLog:
    """Read all runs of a work folder, oldest first.

    A run that was resumed starts in a folder of its own; where it repeats steps of the one
    before, the newer values stand. Lines cut off by a killed run are left out.
    """
    log = TrainingLog(sources=sorted(work_dir.glob("**/vis_data/scalars.json")))
    times: list[tuple[float, float]] = []
    for source in log.sources:
        lines = _read_lines(source)
        log.wall_s += _wall_s(source)
        for is_training, curves in ((True, log.training), (False, log.validation)):
            kept = [line for line in lines if _is_training(line) == is_training]
            if kept:
                _drop_from(curves, min(float(line["step"]) for line in kept))
            for line in kept:
                _add(curves, line)
        times += [
            (float(line["time"]), float(line.get("data_time", 0.0)))
            for line in lines
            if _is_training(line) and _is_number(line.get("time"))
        ]
    if times:
        log.step_s = (sum(t for t, _ in times) / len(times), sum(d for _, d in times) / len(times))
    return log


def _wall_s(source: Path) -> float:
    try:  # mmengine names the folder of a run by its start
        start = datetime.strptime(source.parent.parent.name, "%Y%m%d_%H%M%S").timestamp()
    except ValueError:
        return 0.0
    return max(0.0, source.stat().st_mtime - start)


def _read_lines(source: Path) -> list[dict[str, Any]]:
    lines = []
    for text in source.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue
        if isinstance(line, dict) and _is_number(line.get("step")):
            lines.append(line)
    return lines


def _is_training(line: dict[str, Any]) -> bool:
    return "loss" in line or "lr" in line


def _drop_from(curves: dict[str, Curve], first_step: float) -> None:
    for steps, values in curves.values():
        while steps and steps[-1] >= first_step:
            steps.pop()
            values.pop()


def _add(curves: dict[str, Curve], line: dict[str, Any]) -> None:
    for name, value in line.items():
        if name in _NOT_CURVES or not _is_number(value):
            continue
        steps, values = curves.setdefault(name, ([], []))
        steps.append(float(line["step"]))
        values.append(float(value))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
