"""Segment a folder of images: masks out, a report, and nothing done twice."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.channels import ImageFiles, find_images, read_channels
from hpa_mmdet.io.label_images import write_label_image
from hpa_mmdet.jobs import Report, run_items
from hpa_mmdet.segment.borders import drop_border_cells
from hpa_mmdet.segment.protocol import Segmenter

FORMATS = ("png", "tif")


@dataclass(frozen=True)
class Outputs:
    """Where the masks of a run go.

    Args:
        masks: folder of the cell masks, `<id>_mask.<format>`.
        nuclei: folder of the nuclei, named alike; None writes none.
        format: `png` (8 or 16 bit, as the ids need) or `tif` (32 bit).
        keep_border: keep the cells that the border cuts.
    """

    masks: Path
    nuclei: Path | None = None
    format: str = "png"
    keep_border: bool = True

    def files_of(self, image_id: str) -> list[Path]:
        """List the files that one image is to have."""
        name = f"{image_id}_mask.{self.format}"
        return [folder / name for folder in (self.masks, self.nuclei) if folder is not None]


def segment_folder(
    images: Path,
    outputs: Outputs,
    segmenter: Segmenter,
    *,
    channels: Sequence[str],
    pattern: str,
    workers: int = 1,
    overwrite: bool = False,
) -> Report:
    """Segment every image of a folder.

    An image whose masks are all there is skipped, so that a broken run goes on where it
    stopped. The report is written as `segment_report.json` into the masks' folder.

    Raises:
        InputError: no image is found, or the folder of masks is the folder of images.
    """
    if outputs.masks.resolve() == images.resolve():
        raise InputError(outputs.masks, "the images' own folder", "another one", "change --out")
    found = find_images(images, channels, pattern)
    waiting = [
        image
        for image in found
        if overwrite or not all(path.exists() for path in outputs.files_of(image.image_id))
    ]
    report = Report("segment")
    task = partial(_segment_one, segmenter=segmenter, outputs=outputs, channels=channels)
    cells, empty = 0, []
    for image, count in run_items(
        task, waiting, report, item_id=lambda image: image.image_id, workers=workers
    ):
        cells += count
        if not count:
            empty.append(image.image_id)
    if len(found) > len(waiting):
        report.notes.append(f"{len(found) - len(waiting)} images had masks and were skipped")
    report.notes.append(f"{cells} cells in {report.done} images")
    if empty:
        report.notes.append(f"no cell in {len(empty)} images: {', '.join(empty)}")
    report.write(outputs.masks / "segment_report.json")
    return report


def _segment_one(
    image: ImageFiles, *, segmenter: Segmenter, outputs: Outputs, channels: Sequence[str]
) -> int:
    stack = read_channels(image, channels)
    result = segmenter({name: stack[..., at] for at, name in enumerate(channels)})
    if not outputs.keep_border:
        result = drop_border_cells(result)
    # nuclei first: the cells' file, written last, is what others look for
    label_images = [result.cells, result.nuclei]
    for path, label_image in reversed(
        list(zip(outputs.files_of(image.image_id), label_images, strict=False))
    ):
        write_label_image(path, label_image)
    return int(result.cells.max(initial=0))
