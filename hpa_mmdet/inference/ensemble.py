"""Several predictions of the same images into one.

A source is a submission, or the folder that tools/infer.py wrote. A submission does not
say p(cell), so each of its cells has its highest confidence for it; the averaged
confidences, p(cell) * p(k | cell), do not depend on that.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from hpa_mmdet.errors import InputError
from hpa_mmdet.inference.assemble import as_cell
from hpa_mmdet.inference.cells import ImagePrediction
from hpa_mmdet.inference.merge import MATCH_IOU, FoundCell, merge_sources
from hpa_mmdet.inference.store import read_folder
from hpa_mmdet.io.submission import SubmissionRow, read_submission
from hpa_mmdet.localizations import NUM_LOCALIZATIONS
from hpa_mmdet.masks.runs import runs_from_counts

ImageCells = tuple[str, int, int, list[FoundCell]]


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
    if len(shares) != len(sources) or min(shares) <= 0:
        raise InputError(
            "--weights", " ".join(map(str, shares)), f"{len(sources)} numbers above 0", "correct it"
        )
    for images in _aligned(sources):
        image_id, width, height, _ = images[0]
        for path, (_, other_width, other_height, _) in zip(sources, images, strict=True):
            if (other_width, other_height) != (width, height):
                raise InputError(
                    f"{path}, image {image_id}",
                    f"{other_width}x{other_height} pixels",
                    f"{width}x{height} as in {sources[0]}",
                    "ensemble predictions of the same images",
                )
        merged = merge_sources([cells for *_, cells in images], shares, match_iou)
        merged.sort(key=lambda cell: -cell.cell_score)
        kept = [cell for cell in merged if cell.runs.starts.size]
        yield ImagePrediction(image_id, width, height, tuple(as_cell(cell) for cell in kept))


def read_cells(source: Path) -> Iterator[ImageCells]:
    """Read id, width, height and cells of each image of a submission or a folder.

    Raises:
        InputError: it is neither, or cannot be read.
    """
    if source.is_dir():
        for stored in read_folder(source):
            image = stored.prediction
            shape_hw = (image.height, image.width)
            yield (
                image.image_id,
                image.width,
                image.height,
                [
                    FoundCell(
                        runs_from_counts(cell.counts, shape_hw),
                        cell.cell_score,
                        cell.localization_scores,
                    )
                    for cell in image.cells
                ],
            )
        return
    for row in read_submission(source):
        yield row.image_id, row.width, row.height, cells_of_row(row)


def cells_of_row(row: SubmissionRow) -> list[FoundCell]:
    """Make a cell of the triples that share a mask; see the module for its p(cell)."""
    counts = row.masks()
    confidences = {text: np.zeros(NUM_LOCALIZATIONS) for text in counts}
    for hpa_index, confidence, text in row.predictions:
        confidences[text][hpa_index] = max(confidences[text][hpa_index], confidence)
    cells = []
    for text, scores in confidences.items():
        best = float(scores.max())
        named = (scores / best if best > 0 else scores).astype(np.float32)
        runs = runs_from_counts(counts[text].decode("ascii"), (row.height, row.width))
        cells.append(FoundCell(runs, best, named))
    return cells


def _aligned(sources: Sequence[Path]) -> Iterator[list[ImageCells]]:
    """The same image of every source, in the first one's order.

    Sources in the same order are read side by side; of others, what comes early is held.
    """
    readers = [read_cells(source) for source in sources]
    held: list[dict[str, ImageCells]] = [{} for _ in sources]
    for image in readers[0]:
        row = [image]
        for path, reader, early in zip(sources[1:], readers[1:], held[1:], strict=True):
            while image[0] not in early:
                found = next(reader, None)
                if found is None:
                    raise InputError(
                        path, f"no image {image[0]}", f"those of {sources[0]}",
                        "ensemble predictions of the same images",
                    )  # fmt: skip
                early[found[0]] = found
            row.append(early.pop(image[0]))
        yield row
    for path, reader, early in zip(sources[1:], readers[1:], held[1:], strict=True):
        more = next(iter(early), None) or next((found[0] for found in reader), None)
        if more is not None:
            raise InputError(
                path, f"image {more}", f"only those of {sources[0]}",
                "ensemble predictions of the same images",
            )  # fmt: skip
