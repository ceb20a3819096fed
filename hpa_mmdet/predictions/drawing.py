"""Predicted cells drawn over their image: the same in overlays, reports and TensorBoard."""

from dataclasses import replace

from hpa_mmdet.localizations import LOCALIZATIONS
from hpa_mmdet.pages.draw import NO_LABEL_COLOUR, DrawnCell, named, outline_runs
from hpa_mmdet.predictions.call_rules import CallRules
from hpa_mmdet.predictions.cells import CellPrediction, ImagePrediction

_MOST_NAMES = 3


def draw_called(prediction: ImagePrediction, rules: CallRules) -> list[DrawnCell]:
    """Outline the called cells of an image, for `draw_cells`."""
    return [draw_cell(cell, rules) for _, cell in rules.cells(prediction)]


def draw_cell(cell: CellPrediction, rules: CallRules) -> DrawnCell:
    """Outline a cell with the names of its called classes and their confidence.

    Confidence is p(cell) * p(k | cell), as in a submission. At most three classes are named. A
    cell of which no class is called is white, its likeliest class with a question mark.
    """
    outlined = outline_runs(cell.runs)
    confidences = cell.class_scores
    called = rules.classes(cell)[:_MOST_NAMES]
    if not called:
        likeliest = int(confidences.argmax())
        text = f"{LOCALIZATIONS[likeliest].short_name} {confidences[likeliest]:.2f}?"
        return replace(outlined, lines=((text, NO_LABEL_COLOUR),))
    return named(outlined, called, [float(confidences[k]) for k in called])
