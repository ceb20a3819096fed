"""Predictions as rows of the contest's submission, and back."""

import numpy as np

from hpa_mmdet.io.submission import Prediction, SubmissionRow, encode_mask
from hpa_mmdet.localizations import NUM_LOCALIZATIONS
from hpa_mmdet.masks.runs import runs_from_counts
from hpa_mmdet.predictions.cells import CellPrediction, ImagePrediction

DEFAULT_MIN_CONFIDENCE = 0.001
"""Below it triples are left out: they make a submission longer and hardly change its score."""


def row_of_prediction(prediction: ImagePrediction, min_confidence: float = 0.0) -> SubmissionRow:
    """Make the row of one image: for each cell and class, p(cell) * p(k | cell).

    Args:
        prediction: the image.
        min_confidence: triples below it are left out.
    """
    scores = np.array([cell.class_scores for cell in prediction.cells], np.float64)
    cells, classes = np.nonzero(scores.reshape(-1, NUM_LOCALIZATIONS) >= min_confidence)
    masks = {cell: encode_mask(prediction.cells[cell].counts) for cell in set(cells.tolist())}
    predictions: list[Prediction] = [
        (hpa_index, float(scores[cell, hpa_index]), masks[cell])
        for cell, hpa_index in zip(cells.tolist(), classes.tolist(), strict=True)
    ]
    return SubmissionRow(prediction.image_id, prediction.width, prediction.height, predictions)


def prediction_of_row(row: SubmissionRow) -> ImagePrediction:
    """Make a cell of the triples that share a mask.

    A submission does not say p(cell). It is taken to be the chance that the cell shows any
    class, 1 - prod(1 - confidence), and p(k | cell) what makes their product the confidence.

    Raises:
        InputError: a mask is damaged.
    """
    counts = row.masks()
    confidences = {text: np.zeros(NUM_LOCALIZATIONS) for text in counts}
    for hpa_index, confidence, text in row.predictions:
        confidences[text][hpa_index] = max(confidences[text][hpa_index], confidence)
    cells = []
    for text, scores in confidences.items():
        runs = runs_from_counts(counts[text], (row.height, row.width), row.where)
        p_cell = float(1 - np.prod(1 - scores))
        named = (scores / p_cell if p_cell > 0 else scores).astype(np.float32)
        cells.append(CellPrediction.of_runs(runs, p_cell, named))
    return ImagePrediction(row.image_id, row.width, row.height, cells)
