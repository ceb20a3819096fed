"""Compare two folders of label images, image by image."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from hpa_mmdet.io.label_images import find_masks, read_label_image
from hpa_mmdet.jobs import Failure, Report, run_items
from hpa_mmdet.segment.compare import Agreement, compare

IOUS = (0.5, 0.6, 0.75)


class Pair(NamedTuple):
    """The two label images of one image."""

    image_id: str
    reference: Path
    predicted: Path


class Comparison(NamedTuple):
    """Counts of each image and of all together, by IoU."""

    of_image: dict[str, dict[float, Agreement]]
    total: dict[float, Agreement]

    def to_json(self) -> dict[str, Any]:
        """Give counts and F1, ready to be written."""
        return {
            "total": _as_json(self.total),
            "images": {image_id: _as_json(each) for image_id, each in self.of_image.items()},
        }


def compare_folders(
    reference: Path, predicted: Path, *, ious: Sequence[float] = IOUS, workers: int = 1
) -> tuple[Comparison, Report]:
    """Compare the label images that two folders have for the same ids.

    An id that only `reference` has fails. Ids that only `predicted` has are noted.

    Returns:
        The counts, and what could not be compared.

    Raises:
        InputError: a folder does not exist or has no label image.
    """
    of_reference, of_predicted = find_masks(reference), find_masks(predicted)
    report = Report("compare_masks")
    pairs = []
    for image_id, path in of_reference.items():
        if image_id in of_predicted:
            pairs.append(Pair(image_id, path, of_predicted[image_id]))
        else:
            report.failures.append(Failure(image_id, f"{predicted}: no label image of it"))
    extra = sorted(of_predicted.keys() - of_reference.keys())
    if extra:
        report.notes.append(f"{len(extra)} only in {predicted}: {', '.join(extra[:5])}")
    results = run_items(
        partial(_compare_pair, ious=tuple(ious)),
        pairs,
        report,
        item_id=lambda pair: pair.image_id,
        workers=workers,
    )
    of_image = {pair.image_id: counts for pair, counts in results}
    total = {iou: Agreement() for iou in ious}
    for counts in of_image.values():
        total = {iou: total[iou].plus(counts[iou]) for iou in ious}
    return Comparison(of_image, total), report


def _compare_pair(pair: Pair, *, ious: tuple[float, ...]) -> dict[float, Agreement]:
    return compare(read_label_image(pair.reference), read_label_image(pair.predicted), ious)


def _as_json(counts: dict[float, Agreement]) -> dict[str, dict[str, float]]:
    return {f"{iou:g}": {**each._asdict(), "f1": round(each.f1, 4)} for iou, each in counts.items()}
