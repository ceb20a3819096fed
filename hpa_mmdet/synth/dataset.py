"""A synthetic data set on disk, in the contest's layout, its truth apart.

    OUT/train/<id>_{red,green,blue,yellow}.png     OUT/train.csv (ID,Label)
    OUT/test/<id>_...                              OUT/sample_submission.csv
    OUT/truth/{train,test}/masks/<id>_mask.png     nuclei/<id>_mask.png
    OUT/truth/{train,test}/cells.csv (ID,cell_id,cell_labels)  images.csv (ID,Label)

Per-cell truth is written under OUT/truth alone.
"""

import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.atomic import write_csv
from hpa_mmdet.io.channels import CHANNELS
from hpa_mmdet.io.label_images import write_label_image
from hpa_mmdet.io.output_records import RECORDS, read_records
from hpa_mmdet.io.outputs import OutputFiles
from hpa_mmdet.io.submission import SubmissionRow, write_submission
from hpa_mmdet.jobs import Report, run_items
from hpa_mmdet.localizations import NEGATIVE
from hpa_mmdet.synth.image import SyntheticImage, render_image
from hpa_mmdet.synth.shares import LabelModel, LocalizationSet

TOOL = "synthesize"
SPLITS = ("train", "test")
# run-length matching only: on noise twice as fast as zlib level 1, and smaller
_PNG = (cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE)
NOTICE = "README-SYNTHETIC.txt"
_NOTICE = """SYNTHETIC images.

Every picture in this folder was drawn by hpa-mmdet's generator (tools/synthesize.py) from a
random seed. None is a photograph and none shows a real cell, protein or antibody.
Per-cell truth lies in truth/ and is for scoring alone.

made by: {command}
"""


@dataclass(frozen=True)
class SyntheticItem:
    """One image to make: its split, its place in the split, its id."""

    split: str
    index: int
    image_id: str


@dataclass(frozen=True)
class Made:
    """What the tables need of an image that was written."""

    size_wh: tuple[int, int]
    image_labels: LocalizationSet
    localizations: dict[int, LocalizationSet]

    def to_note(self) -> dict[str, Any]:
        """Give it as plain values, to be remembered with the image's mask."""
        sets = [[cell_id, sorted(shown)] for cell_id, shown in self.localizations.items()]
        labels = sorted(self.image_labels)
        return {"size_wh": self.size_wh, "image_labels": labels, "localizations": sets}

    @classmethod
    def from_note(cls, note: dict[str, Any]) -> "Made":
        """Undo `to_note`."""
        width, height = note["size_wh"]
        sets = {cell_id: frozenset(shown) for cell_id, shown in note["localizations"]}
        return cls((width, height), frozenset(note["image_labels"]), sets)


ItemT = TypeVar("ItemT", bound=SyntheticItem)


def check_image_counts(out: Path | None, images: int, test_images: int) -> Path:
    """Check what is asked for before anything is drawn; gives the folder.

    Raises:
        InputError: no folder, or no images.
    """
    if out is None:
        raise InputError("OUT", "nothing", "a folder to write to", "name it")
    if min(images, test_images) < 0 or images + test_images == 0:
        raise InputError(
            "--images, --test-images", f"{images}, {test_images}", "one at least", "raise one"
        )
    return out


def claim_data_set(out: Path, mark: str, *, overwrite: bool) -> OutputFiles:
    """Claim the folder of a data set; clear away an older one where `overwrite` is set.

    Args:
        out: folder to write to.
        mark: fingerprint of the data set. One that was begun is gone on with.
        overwrite: whether an older synthetic data set there may go. Files of other origin
            are never removed.

    Raises:
        InputError: there are files that may not go, or the folder cannot be written.
    """
    # records lie in the folder of each file, so that those of the truth lie in the truth's
    outputs = OutputFiles(TOOL, fingerprint=mark)
    outputs.claim_folder(out)
    if not out.is_dir() or not any(out.iterdir()):
        return outputs
    folders = [out, *(path for path in out.rglob("*") if path.is_dir() and path.name != RECORDS)]
    written = [
        file for folder in folders for files in read_records(folder).values() for file in files
    ]
    if overwrite:
        if not any(file.tool == TOOL for file in written):
            raise InputError(
                out, f"no file that {TOOL} wrote", "an older synthetic data set", "name another"
            )
        for folder in folders:
            outputs.remove_owned(folder)
        for split in SPLITS:  # what `convert` made of the truth
            OutputFiles("convert_coco").remove_owned(out / "truth" / split)
    elif not any(file.fingerprint == mark for file in written):
        raise InputError(out, "files", "an empty folder", "remove it or say --overwrite")
    return outputs


def plan_items(seed: int, images: int, test_images: int) -> list[SyntheticItem]:
    """List the images of both splits; their ids look like the contest's and follow the seed."""
    return [
        SyntheticItem(split, index, make_image_id(seed, place, index))
        for place, (split, number) in enumerate(zip(SPLITS, (images, test_images), strict=True))
        for index in range(number)
    ]


def render_item(
    item: SyntheticItem, seed: int, shape_hw: tuple[int, int], pixel_um: float, labels: LabelModel
) -> SyntheticImage:
    """Draw one image of a data set; it depends on the seed, the split and the index alone."""
    return render_image([seed, SPLITS.index(item.split), item.index], shape_hw, pixel_um, labels)


def write_dataset(
    out: Path,
    outputs: OutputFiles,
    items: Sequence[ItemT],
    render: Callable[[ItemT], SyntheticImage],
    report: Report,
    workers: int,
    command: str,
) -> None:
    """Make all images and tables.

    Args:
        out: folder to write to.
        outputs: of the folder, as `claim_data_set` gives them; images that are there are
            not drawn again.
        items: what to make.
        render: draws an item; picklable.
        report: filled as the run goes on.
        workers: processes; their number changes nothing in what is written.
        command: quoted in the notice.
    """
    made = list(
        run_items(
            partial(_make, out=out, outputs=outputs, render=render),
            items,
            report,
            item_id=lambda item: item.image_id,
            workers=workers,
            description="synthesize",
        )
    )
    for split in SPLITS:
        part = [(item.image_id, written) for item, written in made if item.split == split]
        if not part:
            continue
        rows = [
            (image_id, cell_id, bars(shown))
            for image_id, written in part
            for cell_id, shown in sorted(written.localizations.items())
        ]
        _write_csv(
            outputs, out / "truth" / split / "cells.csv", ("ID", "cell_id", "cell_labels"), rows
        )
        labels = [(image_id, bars(written.image_labels)) for image_id, written in part]
        _write_csv(outputs, out / "truth" / split / "images.csv", ("ID", "Label"), labels)
        if split == "train":
            _write_csv(outputs, out / "train.csv", ("ID", "Label"), labels)
        if split == "test":
            empty = [SubmissionRow(image_id, *written.size_wh, []) for image_id, written in part]
            with outputs.writing(out / "sample_submission.csv") as temporary:
                write_submission(temporary, empty)
    with outputs.writing(out / NOTICE) as temporary:
        temporary.write_text(_NOTICE.format(command=command), encoding="utf-8")


def bars(labels: Iterable[int]) -> str:
    """Write a label set as the contest does.

    Examples:
        >>> bars({16, 0})
        '0|16'
    """
    return "|".join(map(str, sorted(labels or {NEGATIVE})))


def _make(
    item: ItemT, out: Path, outputs: OutputFiles, render: Callable[[ItemT], SyntheticImage]
) -> Made:
    truth, name = out / "truth" / item.split, f"{item.image_id}_mask.png"
    channels = [out / item.split / f"{item.image_id}_{channel}.png" for channel in CHANNELS]
    last = truth / "masks" / name
    if all(outputs.is_current(path) for path in (*channels, truth / "nuclei" / name, last)):
        record = outputs.record_of(last)
        assert record is not None
        return Made.from_note(record.note)
    image = render(item)
    for number, path in enumerate(channels):
        plane = np.ascontiguousarray(image.channels[..., number])
        with outputs.writing(path) as temporary:
            temporary.write_bytes(cv2.imencode(".png", plane, _PNG)[1].tobytes())
    height, width = image.cells.shape
    made = Made((width, height), image.image_labels, dict(image.localizations))
    with outputs.writing(truth / "nuclei" / name) as temporary:
        write_label_image(temporary, image.nuclei)
    with outputs.writing(last, made.to_note()) as temporary:
        write_label_image(temporary, image.cells)
    return made


def _write_csv(
    outputs: OutputFiles, path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]
) -> None:
    with outputs.writing(path) as temporary:
        write_csv(temporary, header, rows)


def make_image_id(seed: int, split: int, index: int) -> str:
    """Make a name that looks like the contest's and follows from the seed."""
    words = np.random.default_rng([seed, split, index, 1]).bytes(16)
    return str(uuid.UUID(bytes=words, version=4))
