"""All scores of a submission, row by row, so that no more than one image is held."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.json_files import as_object, read_json, shorten
from hpa_mmdet.io.submission import SubmissionRow
from hpa_mmdet.localizations import NUM_LOCALIZATIONS
from hpa_mmdet.masks.foreign import compress_segmentation
from hpa_mmdet.masks.overlap import mask_iou
from hpa_mmdet.masks.rle import Rle, check_counts
from hpa_mmdet.scoring.cells import CellCollector, CellResult, ScoredCells, score_cells
from hpa_mmdet.scoring.contest import IOU_THRESHOLD, ContestResult, ContestScorer
from hpa_mmdet.scoring.detection import DetectionCollector, DetectionResult
from hpa_mmdet.scoring.detections import MaskDetections, detections_of_cells, detections_of_row
from hpa_mmdet.scoring.images import ImageCollector, ImageResult, Pooling
from hpa_mmdet.scoring.truth import TruthImage

_WRITE_COCO = "make it with tools/infer.py --write coco"


@dataclass(frozen=True)
class ScoringOptions:
    """How to score.

    Args:
        iou_threshold: least mask IoU of a true detection, and of a cell that was found.
        tie_orders: random orders of equal confidences to try.
        pooling: of the cells of an image into image scores.
        resamples: of the images, for the ranges.
        seed: of all that is drawn.
    """

    iou_threshold: float = IOU_THRESHOLD
    tie_orders: int = 20
    pooling: Pooling = "max"
    resamples: int = 200
    seed: int = 0


class FoundCells(NamedTuple):
    """Cells that a model found in one image, and how sure it is of each."""

    masks: list[Rle]
    scores: list[float]


@dataclass(frozen=True)
class FileScores:
    """All scores of a submission.

    Args:
        contest: the contest's metric.
        cells: true cells named by the prediction that overlaps each.
        table: the cells behind it.
        images: image labels from pooled cell scores.
        detection: cells found, whatever they are called.
        cells_from_file: whether `detection` ranks by a cells file's own scores.
    """

    contest: ContestResult
    cells: CellResult
    table: ScoredCells
    images: ImageResult
    detection: DetectionResult
    cells_from_file: bool


def score_rows(
    rows: Iterable[SubmissionRow],
    truth: Mapping[str, TruthImage],
    options: ScoringOptions | None = None,
    found_cells: Mapping[str, FoundCells] | None = None,
) -> FileScores:
    """Score a submission.

    Args:
        rows: as `read_submission` yields them; of images that are not in `truth` only the
            ids are kept.
        truth: as `read_truth` gives it.
        options: how.
        found_cells: as `read_found_cells` gives them; without, the masks of the submission
            are the cells, ranked by `MaskDetections.cell_scores`.

    Raises:
        InputError: no image is in both, or a row's size is not its truth's.
    """
    options = options or ScoringOptions()
    collect = _Collectors(options, found_cells)
    seen: set[str] = set()
    unknown: list[str] = []
    for row in rows:
        image = truth.get(row.image_id)
        if image is None:
            unknown.append(row.image_id)
        else:
            seen.add(row.image_id)
            collect.add(image, detections_of_row(row, image))
    if not seen:
        raise InputError(
            "submission", "no image of the truth", "the same image ids", "check both files"
        )
    missing = [image_id for image_id in truth if image_id not in seen]
    for image_id in missing:
        collect.add(truth[image_id], _NOTHING)
    return collect.scores(missing, unknown)


_NOTHING = detections_of_cells([], np.empty((0, NUM_LOCALIZATIONS)))


class _Collectors:
    def __init__(
        self, options: ScoringOptions, found_cells: Mapping[str, FoundCells] | None
    ) -> None:
        self._options, self._found_cells = options, found_cells
        self._contest = ContestScorer(options.iou_threshold)
        self._cells = CellCollector()
        self._images = ImageCollector(options.pooling)
        self._detection = DetectionCollector()

    def add(self, image: TruthImage, detections: MaskDetections) -> None:
        iou = mask_iou(detections.masks, image.rles)
        class_scores = detections.class_scores()
        self._contest.add(image, detections, iou)
        self._cells.add_overlaps(image, class_scores, iou, self._options.iou_threshold)
        self._images.add(image.image_labels, class_scores)
        if self._found_cells is None:
            self._detection.add(image, detections.masks, detections.cell_scores())
        else:
            found = self._found_cells.get(image.image_id, FoundCells([], []))
            self._detection.add(image, found.masks, np.array(found.scores))

    def scores(self, missing: list[str], unknown: list[str]) -> FileScores:
        options = self._options
        table = self._cells.table()
        draws = {"resamples": options.resamples, "seed": options.seed}
        return FileScores(
            contest=self._contest.result(options.tie_orders, options.seed, missing, unknown),
            cells=score_cells(table, **draws),
            table=table,
            images=self._images.result(**draws),
            detection=self._detection.result(),
            cells_from_file=self._found_cells is not None,
        )


def read_found_cells(path: Path, truth: Mapping[str, TruthImage]) -> dict[str, FoundCells]:
    """Read a COCO results file of class-agnostic cells.

    Args:
        path: JSON list of {image_id, segmentation, score}; `image_id` is the truth's number
            of the image or its HPA id, and `hpa_id`, where there is one, overrides it.
            Images that are not in the truth are left out.
        truth: as `read_truth` gives it.

    Returns:
        The cells of each image, by HPA id.

    Raises:
        InputError: the file cannot be read, is not such a list, or a mask or score is bad.
    """
    results = read_json(path)
    if not isinstance(results, list):
        raise InputError(path, shorten(results), "a list of results", _WRITE_COCO)
    names = {str(image.coco_id): image.image_id for image in truth.values()}
    of_image: dict[str, list[tuple[str, dict[str, Any]]]] = {}
    for place, result in enumerate(results):
        where = f"{path}, result {place}"
        key = str(as_object(result, where).get("hpa_id") or result.get("image_id"))
        image_id = key if key in truth else names.get(key)
        if image_id is not None:
            of_image.setdefault(image_id, []).append((where, result))
    return {image_id: _found_cells(cells, truth[image_id]) for image_id, cells in of_image.items()}


def _found_cells(results: list[tuple[str, dict[str, Any]]], image: TruthImage) -> FoundCells:
    shape_hw = (image.height, image.width)
    texts = [
        compress_segmentation(result.get("segmentation"), shape_hw, where)
        for where, result in results
    ]
    check_counts(texts, shape_hw, lambda place: results[place][0])
    scores = []
    for where, result in results:
        score = result.get("score")
        if isinstance(score, bool) or not isinstance(score, int | float) or not 0 <= score <= 1:
            raise InputError(where, f"score {shorten(score)}", "a number from 0 to 1", _WRITE_COCO)
        scores.append(float(score))
    return FoundCells([{"size": [*shape_hw], "counts": text} for text in texts], scores)


def found_share(table: ScoredCells) -> float:
    """Give the share of the true cells that a prediction belongs to; NaN without cells."""
    found: NDArray[np.bool_] = table.found
    return float(found.mean()) if found.size else float("nan")
