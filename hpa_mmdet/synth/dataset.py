"""A synthetic data set on disk, in the contest's layout, its truth apart.

    OUT/train/<id>_{red,green,blue,yellow}.png     OUT/train.csv (ID,Label)
    OUT/test/<id>_...                              OUT/sample_submission.csv
    OUT/truth/{train,test}/masks/<id>_mask.png     nuclei/<id>_mask.png
    OUT/truth/{train,test}/cells.csv (ID,cell_id,cell_labels)  images.csv (ID,Label)

Per-cell truth is written under OUT/truth alone.
"""

import csv
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.channels import CHANNELS
from hpa_mmdet.io.label_images import write_label_image
from hpa_mmdet.io.output_records import RECORDS
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


ItemT = TypeVar("ItemT", bound=SyntheticItem)


def claim_target(
    out: Path | None, images: int, test_images: int, *, overwrite: bool
) -> OutputFiles:
    """Check what is asked for before anything is drawn; clear away an older data set.

    Args:
        out: folder to write to.
        images: training images.
        test_images: test images.
        overwrite: whether files of an older synthetic data set may go; others never do.

    Returns:
        The files of the run, for `write_dataset`.

    Raises:
        InputError: no folder, one with files that may not go, or no images.
    """
    if out is None:
        raise InputError("OUT", "nothing", "a folder to write to", "name it")
    if min(images, test_images) < 0 or images + test_images == 0:
        raise InputError(
            "--images, --test-images", f"{images}, {test_images}", "one at least", "raise one"
        )
    files = OutputFiles(TOOL, overwrite=overwrite, root=out)
    files.claim_folder(out)
    if not out.is_dir() or not any(out.iterdir()):
        return files
    if not overwrite:
        raise InputError(out, "files", "an empty folder", "name another one or give --overwrite")
    converted = OutputFiles("convert_coco")  # the truth as COCO JSON
    for path in sorted(out.rglob("*")):
        listed = RECORDS not in path.parts and path.is_file()
        if listed and not files.owns(path) and not converted.owns(path):
            raise InputError(
                path,
                problem=f"was not written by {TOOL}, so the folder is left as it is",
                remedy="move the file away or name another folder",
            )
    files.remove_owned()
    return files


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
    files: OutputFiles,
    items: Sequence[ItemT],
    render: Callable[[ItemT], SyntheticImage],
    report: Report,
    workers: int,
    command: str,
) -> None:
    """Make all images and tables.

    Args:
        out: folder to write to.
        files: of `claim_target`.
        items: what to make.
        render: draws an item; picklable.
        report: filled as the run goes on.
        workers: processes; their number changes nothing in what is written.
        command: told in the notice.
    """
    made = list(
        run_items(
            partial(_make, out=out, files=files, render=render),
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
        write_table(
            files, out / "truth" / split / "cells.csv", ("ID", "cell_id", "cell_labels"), rows
        )
        labels = [(image_id, bars(written.image_labels)) for image_id, written in part]
        write_table(files, out / "truth" / split / "images.csv", ("ID", "Label"), labels)
        if split == "train":
            write_table(files, out / "train.csv", ("ID", "Label"), labels)
        if split == "test":
            empty = [SubmissionRow(image_id, *written.size_wh, []) for image_id, written in part]
            with files.writing(out / "sample_submission.csv") as temporary:
                write_submission(temporary, empty)
    with files.writing(out / NOTICE) as temporary:
        temporary.write_text(_NOTICE.format(command=command), encoding="utf-8")


def bars(labels: Iterable[int]) -> str:
    """Write a label set as the contest does.

    Examples:
        >>> bars({16, 0})
        '0|16'
    """
    return "|".join(map(str, sorted(labels or {NEGATIVE})))


def _make(
    item: ItemT, out: Path, files: OutputFiles, render: Callable[[ItemT], SyntheticImage]
) -> Made:
    image = render(item)
    for number, channel in enumerate(CHANNELS):
        path = out / item.split / f"{item.image_id}_{channel}.png"
        plane = np.ascontiguousarray(image.channels[..., number])
        with files.writing(path) as temporary:
            temporary.write_bytes(cv2.imencode(".png", plane, _PNG)[1].tobytes())
    truth = out / "truth" / item.split
    for folder, label_image in (("masks", image.cells), ("nuclei", image.nuclei)):
        with files.writing(truth / folder / f"{item.image_id}_mask.png") as temporary:
            write_label_image(temporary, label_image)
    height, width = image.cells.shape
    return Made((width, height), image.image_labels, dict(image.localizations))


def write_table(
    files: OutputFiles, path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]
) -> None:
    """Write a CSV table of the data set."""
    with (
        files.writing(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        table = csv.writer(file, lineterminator="\n")
        table.writerow(header)
        table.writerows(rows)


def make_image_id(seed: int, split: int, index: int) -> str:
    """Make a name that looks like the contest's and follows from the seed."""
    words = np.random.default_rng([seed, split, index, 1]).bytes(16)
    return str(uuid.UUID(bytes=words, version=4))
