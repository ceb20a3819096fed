"""Several predictions of the same images into one.

A source is a submission, or the folder that tools/infer.py wrote. A submission does not
say p(cell); what is taken for it (`prediction_of_row`) does not change the averaged
confidences, p(cell) * p(k | cell).
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

from hpa_mmdet.errors import InputError
from hpa_mmdet.inference.merge import MATCH_IOU, merge_sources
from hpa_mmdet.inference.store import read_folder
from hpa_mmdet.io.submission import read_submission
from hpa_mmdet.predictions.cells import ImagePrediction
from hpa_mmdet.predictions.submission_rows import prediction_of_row


def ensemble(
    sources: Sequence[Path],
    weights: Sequence[float] | None = None,
    match_iou: float = MATCH_IOU,
) -> Iterator[ImagePrediction]:
    """Merge image by image; see `merge_sources` for what is averaged how.

    Args:
        sources: two or more submissions or folders of predictions of the same images.
        weights: one above 0 for each; equal by default.
        match_iou: mask overlap from which on two cells are one.

    Raises:
        InputError: fewer than two sources, a wrong number of weights or one not above 0,
            a source that cannot be read, or sources of different images or sizes.
    """
    if len(sources) < 2:
        raise InputError("sources", len(sources), "two or more", "name another one")
    shares = [1.0] * len(sources) if weights is None else list(weights)
    if len(shares) != len(sources) or not all(0 < share < math.inf for share in shares):
        raise InputError(
            "--weights", " ".join(map(str, shares)), f"{len(sources)} numbers above 0", "correct it"
        )
    for images in _aligned(sources):
        first = images[0]
        for path, image in zip(sources, images, strict=True):
            if image.shape_hw != first.shape_hw:
                raise InputError(
                    f"{path}, image {first.image_id}",
                    f"{image.width}x{image.height} pixels",
                    f"{first.width}x{first.height} as in {sources[0]}",
                    "ensemble predictions of the same images",
                )
        merged = merge_sources([image.cells for image in images], shares, match_iou)
        merged.sort(key=lambda cell: -cell.cell_score)
        kept = [cell for cell in merged if cell.area]
        yield ImagePrediction(first.image_id, first.width, first.height, kept)


def read_predictions(source: Path) -> Iterator[ImagePrediction]:
    """Read the images of a submission, or of a folder of tools/infer.py.

    Raises:
        InputError: it is neither, or cannot be read.
    """
    if source.is_dir():
        return (stored.prediction for stored in read_folder(source))
    return (prediction_of_row(row) for row in read_submission(source))


def _aligned(sources: Sequence[Path]) -> Iterator[list[ImagePrediction]]:
    """The same image of every source, in the first one's order.

    Sources in the same order are read side by side; of others, what comes early is held.
    """
    readers = [read_predictions(source) for source in sources]
    held: list[dict[str, ImagePrediction]] = [{} for _ in sources]
    for image in readers[0]:
        row = [image]
        for path, reader, early in zip(sources[1:], readers[1:], held[1:], strict=True):
            while image.image_id not in early:
                found = next(reader, None)
                if found is None:
                    raise InputError(
                        path, f"no image {image.image_id}", f"those of {sources[0]}",
                        "ensemble predictions of the same images",
                    )  # fmt: skip
                early[found.image_id] = found
            row.append(early.pop(image.image_id))
        yield row
    for path, reader, early in zip(sources[1:], readers[1:], held[1:], strict=True):
        more = next(iter(early), None) or next((found.image_id for found in reader), None)
        if more is not None:
            raise InputError(
                path, f"image {more}", f"only those of {sources[0]}",
                "ensemble predictions of the same images",
            )  # fmt: skip
