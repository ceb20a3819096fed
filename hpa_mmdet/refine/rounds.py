"""The rounds of a review: which files belong together, and the command that comes next.

Every round is a folder `round_<number>` with the data set as it was then, what was trained on
it and its predictions. `round.json` is written last, so a round without it is not whole.
"""

import json
import shlex
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.atomic import atomic_path
from hpa_mmdet.io.json_files import read_json_object

_RECORD, _PREDICTED, _QUEUE = "round.json", "predicted", "queue.csv"


@dataclass(frozen=True)
class ReviewRound:
    """What a round was made from; all are paths as they were given.

    Args:
        config: of the model.
        images: folder of channel files.
        masks: folder of label images.
        labels: CSV of the images' weak labels.
        reviewed: CSV of what people said of cells; there may be none yet.
        out: folder of all rounds.
        number: from 1.
        groups: a table and its column, such as the antibody of each image; or nothing.
    """

    config: str
    images: str
    masks: str
    labels: str
    reviewed: str
    out: str
    number: int = 1
    groups: list[str] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        """The round's own folder."""
        return Path(self.out) / f"round_{self.number}"

    @property
    def predictions(self) -> Path:
        """Where its predictions are."""
        return self.folder / _PREDICTED

    def write(self) -> None:
        """Mark the round as whole."""
        with atomic_path(self.folder / _RECORD) as temporary:
            temporary.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")

    def choose_command(self) -> str:
        """Say how to choose the cells that are worth a look."""
        words: list[Any] = ["python", "tools/choose_cells.py", self.predictions]
        words += ["--labels", self.labels]
        if Path(self.reviewed).is_file():
            words += ["--reviewed", self.reviewed]
        words += ["--groups", *self.groups] if self.groups else []
        return _shell(*words, "--number", 50, "--out", self.folder / _QUEUE)

    def serve_command(self, queue: Path) -> str:
        """Say how to look at the chosen cells."""
        words = ["python", "tools/serve.py", "--review", self.predictions, "--images", self.images]
        words += ["--image-labels", self.labels, "--queue", queue, "--labels", self.reviewed]
        return _shell(*words)

    def learn_command(self) -> str:
        """Say how to learn from what was said."""
        words = ["python", "tools/learn_reviewed.py", self.config, self.images]
        words += ["--masks", self.masks, "--labels", self.labels, "--reviewed", self.reviewed]
        words += ["--groups", *self.groups] if self.groups else []
        return _shell(*words, "--out", self.out)


def next_number(out: Path) -> int:
    """Number the round that comes next: after the last whole one."""
    number = 1
    while (out / f"round_{number}" / _RECORD).is_file():
        number += 1
    return number


def round_of(predictions: Path) -> ReviewRound | None:
    """Find the round that predictions belong to; None where they are of no round.

    Raises:
        InputError: its record is damaged.
    """
    path = predictions.parent / _RECORD
    if predictions.name != _PREDICTED or not path.is_file():
        return None
    record = {"groups": [], **read_json_object(path)}  # older rounds have none
    others = {"number": int, "groups": list}
    kinds = {place.name: others.get(place.name, str) for place in fields(ReviewRound)}
    if {name: type(value) for name, value in record.items()} != kinds:
        raise InputError(
            path,
            problem="is no record of a round",
            remedy="remove it, and run tools/learn_reviewed.py again",
        )
    return ReviewRound(**record)


def _shell(*words: object) -> str:
    return shlex.join(str(word) for word in words)
