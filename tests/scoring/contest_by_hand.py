"""A slow, literal contest metric over full masks, and small cases drawn by hand."""

from dataclasses import dataclass, field

import numpy as np
from pycocotools import mask as coco_mask

from hpa_mmdet.io.submission import SubmissionRow, encode_mask
from hpa_mmdet.scoring.contest import ContestResult
from hpa_mmdet.scoring.files import ScoringOptions, score_rows
from hpa_mmdet.scoring.truth import TruthImage

SHAPE_HW = (20, 30)
K = 19


def box(x: int, y: int, width: int, height: int) -> np.ndarray:
    """A filled rectangle as a (H, W) bool mask."""
    mask = np.zeros(SHAPE_HW, bool)
    mask[y : y + height, x : x + width] = True
    return mask


def rle(mask: np.ndarray) -> dict:
    return coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))


@dataclass
class DrawnImage:
    """Cells as (mask, set of classes), detections as (class, confidence, mask)."""

    image_id: str
    cells: list = field(default_factory=list)
    detections: list = field(default_factory=list)
    shape_hw: tuple[int, int] = SHAPE_HW

    def truth(self) -> TruthImage:
        height, width = self.shape_hw
        localizations = np.zeros((len(self.cells), K), bool)
        for row, (_, classes) in enumerate(self.cells):
            localizations[row, list(classes)] = True
        return TruthImage(
            image_id=self.image_id,
            coco_id=int(self.image_id),
            width=width,
            height=height,
            rles=[rle(mask) for mask, _ in self.cells],
            localizations=localizations,
            cell_ids=list(range(1, len(self.cells) + 1)),
            image_labels=localizations.any(axis=0),
        )

    def row(self) -> SubmissionRow:
        height, width = self.shape_hw
        predictions = [
            (hpa_index, confidence, encode_mask(rle(mask)["counts"]))
            for hpa_index, confidence, mask in self.detections
        ]
        return SubmissionRow(self.image_id, width, height, predictions)


def contest_score(
    rows: list[SubmissionRow], truth: dict[str, TruthImage], **options: object
) -> ContestResult:
    """The contest's part of the scores of a submission; no ranges."""
    return score_rows(rows, truth, ScoringOptions(resamples=0, **options)).contest


def literal_average_precisions(images: list[DrawnImage], threshold: float = 0.6) -> np.ndarray:
    """The rules one after the other, with loops; (K,) with NaN for classes without truths."""
    result = np.full(K, np.nan)
    for k in range(K):
        num_truths = sum(k in classes for image in images for _, classes in image.cells)
        if num_truths == 0:
            continue
        detections = [
            (confidence, image, mask)
            for image in images
            for hpa_index, confidence, mask in image.detections
            if hpa_index == k
        ]
        detections.sort(key=lambda detection: -detection[0])  # stable: file order where tied
        taken: set[tuple[str, int]] = set()
        outcomes = [_is_true(image, mask, k, threshold, taken) for _, image, mask in detections]
        result[k] = _area(outcomes, num_truths)
    return result


def _is_true(image: DrawnImage, mask: np.ndarray, k: int, threshold: float, taken: set) -> bool:
    best_iou, best = -1.0, -1
    for at, (cell, classes) in enumerate(image.cells):
        if k in classes:
            iou = (mask & cell).sum() / (mask | cell).sum()
            if iou > best_iou:
                best_iou, best = iou, at
    if best_iou < threshold or (image.image_id, best) in taken:
        return False
    taken.add((image.image_id, best))
    return True


def _area(outcomes: list[bool], num_truths: int) -> float:
    """Area under precision over recall, precision made non-increasing."""
    points = []
    found = 0
    for rank, outcome in enumerate(outcomes, start=1):
        found += outcome
        points.append((found / num_truths, found / rank))
    area, recall_before = 0.0, 0.0
    for at, (recall, _) in enumerate(points):
        area += (recall - recall_before) * max(precision for _, precision in points[at:])
        recall_before = recall
    return area


def random_images(seed: int) -> list[DrawnImage]:
    """A few non-square images with overlapping cells, noisy and doubled detections, ties."""
    rng = np.random.default_rng(seed)
    images = []
    for number in range(1, 1 + int(rng.integers(1, 5))):
        image = DrawnImage(str(number))
        for _ in range(int(rng.integers(0, 5))):
            x, y = int(rng.integers(0, 22)), int(rng.integers(0, 14))
            width, height = (int(side) for side in rng.integers(3, 9, 2))
            classes = {int(k) for k in rng.choice(6, int(rng.integers(1, 4)), replace=False)}
            image.cells.append((box(x, y, width, height), classes))
            for _ in range(int(rng.integers(0, 4))):
                dx, dy = (int(shift) for shift in rng.integers(-1, 2, 2))
                moved = box(max(0, x + dx), max(0, y + dy), width, height)
                called = rng.choice(7, int(rng.integers(1, 6)), replace=False)
                confidences = np.round(rng.random(len(called)), int(rng.integers(1, 4)))
                image.detections += [
                    (int(k), float(c), moved) for k, c in zip(called, confidences, strict=True)
                ]
        images.append(image)
    return images
