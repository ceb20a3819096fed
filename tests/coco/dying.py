"""The conversion of an image, in a process that may die at it. Imported by Ray's workers."""

import os
import signal
from pathlib import Path
from typing import Any

from hpa_mmdet.coco.convert_image import convert_image


def convert_or_die(task: Any, *, deaths: Path, dies_at: dict[str, int], **places: Any) -> Any:
    """Convert, but be killed first where `deaths` holds fewer files than the image has to die."""
    for time in range(dies_at.get(task.hpa_id, 0)):
        mark = deaths / f"{task.hpa_id}-{time}"
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
    return convert_image(task, **places)
