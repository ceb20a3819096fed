"""Predictions as the contest's submission."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from hpa_mmdet.inference.cells import ImagePrediction
from hpa_mmdet.io.submission import Prediction, SubmissionRow, encode_mask, write_submission
from hpa_mmdet.localizations import NUM_LOCALIZATIONS


def submission_row(
    prediction: ImagePrediction, min_confidence: float = 0.0, max_triples: int | None = None
) -> SubmissionRow:
    """Make the row of one image: for each cell and class, p(cell) * p(k | cell).

    Args:
        prediction: the image.
        min_confidence: triples below it are left out.
        max_triples: only so many of the most confident are kept.
    """
    scores = np.array([cell.class_scores for cell in prediction.cells], np.float64)
    cells, classes = np.nonzero(scores.reshape(-1, NUM_LOCALIZATIONS) >= min_confidence)
    triples = [
        (float(scores[cell, hpa_index]), int(cell), int(hpa_index))
        for cell, hpa_index in zip(cells, classes, strict=True)
    ]
    if max_triples is not None:
        triples.sort(key=lambda each: (-each[0], *each[1:]))
        triples = sorted(triples[:max_triples], key=lambda each: each[1:])
    masks = {
        cell: encode_mask(prediction.cells[cell].counts) for cell in {each[1] for each in triples}
    }
    predictions: list[Prediction] = [
        (hpa_index, score, masks[cell]) for score, cell, hpa_index in triples
    ]
    return SubmissionRow(prediction.image_id, prediction.width, prediction.height, predictions)


def write_predictions(
    path: Path,
    predictions: Iterable[ImagePrediction],
    min_confidence: float = 0.0,
    max_triples: int | None = None,
) -> int:
    """Write the submission of all images; see `submission_row`. Gives the number of rows."""
    rows = (submission_row(each, min_confidence, max_triples) for each in predictions)
    return write_submission(path, rows)
