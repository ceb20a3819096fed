"""Segment a folder of images: masks out, a report, and nothing done twice."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.channels import ImageFiles, read_channels, scan_images
from hpa_mmdet.io.label_images import write_label_image
from hpa_mmdet.io.naming import parse_channels
from hpa_mmdet.jobs import Failure, Report, run_items
from hpa_mmdet.jobs.shards import Shard
from hpa_mmdet.segment.pairing import drop_border_cells
from hpa_mmdet.segment.pictures import draw_outlines, write_contact_sheet, write_picture
from hpa_mmdet.segment.protocol import Segmenter

FORMATS = ("png", "tif")
REPORT = "segment_report.json"
SHEET = "contact_sheet.jpg"
ON_SHEET = 24  # pictures


class Source(NamedTuple):
    """Where the images are: folder, channels as `find_images` takes them, pattern."""

    folder: Path
    channels: tuple[str, ...]
    pattern: str


@dataclass(frozen=True)
class Outputs:
    """What a run writes.

    Args:
        masks: folder of the cell masks, `<id>_mask.<format>`.
        nuclei: folder of the nuclei, named alike; None writes none.
        format: `png` (8 or 16 bit, as the ids need) or `tif` (32 bit).
        keep_border: keep the cells that the border cuts.
        qc: folder of pictures with outlines, `<id>.jpg`; None writes none.
    """

    masks: Path
    nuclei: Path | None = None
    format: str = "png"
    keep_border: bool = True
    qc: Path | None = None

    def mask_of(self, image_id: str) -> Path:
        """Name the cell mask of an image."""
        return self.masks / f"{image_id}_mask.{self.format}"

    def nuclei_of(self, image_id: str) -> Path | None:
        """Name the nuclei of an image."""
        return None if self.nuclei is None else self.nuclei / f"{image_id}_mask.{self.format}"

    def picture_of(self, image_id: str) -> Path | None:
        """Name the picture of an image."""
        return None if self.qc is None else self.qc / f"{image_id}.jpg"

    def are_there(self, image_id: str) -> bool:
        """Tell whether everything that is asked for exists."""
        paths = (self.mask_of(image_id), self.nuclei_of(image_id), self.picture_of(image_id))
        return all(path.exists() for path in paths if path is not None)


def segment_folder(
    source: Source,
    outputs: Outputs,
    segmenter: Segmenter,
    *,
    workers: int = 1,
    engine: str = "local",
    shard: Shard | None = None,
    overwrite: bool = False,
) -> Report:
    """Segment every image of a folder.

    An image whose outputs are all there is skipped, so that a broken run goes on where it
    stopped. The report is written as `segment_report.json` into the masks' folder.

    Raises:
        InputError: no image is found, or an output folder is the folder of images.
    """
    for folder in (outputs.masks, outputs.nuclei, outputs.qc):
        if folder is not None and folder.resolve() == source.folder.resolve():
            raise InputError(folder, "the images' own folder", "another one", "change --out")
    if outputs.nuclei is not None and outputs.nuclei.resolve() == outputs.masks.resolve():
        raise InputError(outputs.nuclei, "the folder of --out", "another one", "change one")
    found = scan_images(source.folder, source.channels, source.pattern)
    images = [image for image in found.images if image.image_id not in found.problems]
    images = list((shard or Shard(1, 1)).take(images))
    waiting = [each for each in images if overwrite or not outputs.are_there(each.image_id)]
    report = Report("segment")
    report.failures += [Failure(name, str(why)) for name, why in found.problems.items()]
    # a name may be told apart from the word for it in the files: red=w2
    channels = tuple(parse_channels(source.channels))
    task = partial(_segment_one, segmenter=segmenter, outputs=outputs, channels=channels)
    results = run_items(task, waiting, report, item_id=_image_id, workers=workers, engine=engine)
    cells_of = {image.image_id: cells for image, cells in results}
    report.notes += _notes(cells_of, len(images) - len(waiting))
    if outputs.qc is not None:
        _write_sheet(outputs, images)
    report_path = outputs.masks / REPORT
    report.write(shard.path_of(report_path) if shard else report_path)
    return report


def _image_id(image: ImageFiles) -> str:
    return image.image_id


def _segment_one(
    image: ImageFiles, *, segmenter: Segmenter, outputs: Outputs, channels: Sequence[str]
) -> int:
    stack = read_channels(image, channels)
    planes = {name: stack[..., at] for at, name in enumerate(channels)}
    result = segmenter(planes, image.image_id)
    if not outputs.keep_border:
        result = drop_border_cells(result)
    nuclei_path, picture_path = (
        outputs.nuclei_of(image.image_id),
        outputs.picture_of(image.image_id),
    )
    if picture_path is not None:
        write_picture(picture_path, draw_outlines(planes, result))
    if nuclei_path is not None:
        write_label_image(nuclei_path, result.nuclei)
    # last, because it is what other tools look for
    write_label_image(outputs.mask_of(image.image_id), result.cells)
    return int(result.cells.max(initial=0))


def _notes(cells_of: dict[str, int], skipped: int) -> list[str]:
    notes = [f"{sum(cells_of.values())} cells in {len(cells_of)} images"]
    if skipped:
        notes.append(f"{skipped} images had masks and were skipped (--overwrite redoes them)")
    empty = [image_id for image_id, cells in cells_of.items() if not cells]
    if empty:
        notes.append(f"no cell in {len(empty)} images: {', '.join(empty)}")
    return notes


def _write_sheet(outputs: Outputs, images: Sequence[ImageFiles]) -> None:
    paths = [outputs.picture_of(image.image_id) for image in images]
    there = [path for path in paths if path is not None and path.exists()]
    if there and outputs.qc is not None:
        write_contact_sheet(outputs.qc / SHEET, there[:ON_SHEET])
