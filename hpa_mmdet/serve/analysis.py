"""What the model's process does with one image: cells found or given, named, and outlined.

H, W: image height and width in pixels; C: the model's channels.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.io.depth import scale_to_uint8, white_level_of
from hpa_mmdet.localizations import NUM_LOCALIZATIONS
from hpa_mmdet.predictions.call_rules import CallRules
from hpa_mmdet.predictions.cells import CellPrediction, ImagePrediction

INSTANCES = ("model", "segmenter")
MASKS = ("rle", "polygon")
_DECIMALS = 6


SizeHint = Callable[[ImagePrediction, CallRules], str | None]


class CellFinder(Protocol):
    """What is asked of `hpa_mmdet.Predictor`."""

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels it takes, in their order."""
        ...

    def __call__(
        self, image: NDArray[np.integer], label_image: NDArray[np.integer] | None = None
    ) -> list[CellPrediction]:
        """Find the cells of (H, W, C) and name each; see `hpa_mmdet.Predictor`."""
        ...


class ModelFacts(NamedTuple):
    """What the server tells about its model.

    Args:
        name: of the config, without its folder.
        channels: in the model's order.
        thresholds: (19,) p(k | cell) from which on a class is called.
        checksum: SHA-256 of the weights, "" without a file.
        version: of this package.
        white_level: full brightness in the 16-bit files that the model learned from; None
            where it learned from 8-bit ones or does not say.
    """

    name: str
    channels: tuple[str, ...]
    thresholds: tuple[float, ...] = (0.5,) * NUM_LOCALIZATIONS
    checksum: str = ""
    version: str = ""
    white_level: int | None = None


class Analyser:
    """Answers for one image at a time, as plain values that can become JSON.

    Args:
        predictor: finds and names cells.
        info: facts of the model.
        size_hint: says of a prediction if its cells have another size than those of training.
    """

    def __init__(
        self, predictor: CellFinder, info: ModelFacts, size_hint: SizeHint = lambda *_: None
    ) -> None:
        self.predictor, self.info, self._size_hint = predictor, info, size_hint

    def __call__(
        self, image: NDArray[np.integer], instances: str, masks: str, cell_score: float
    ) -> dict[str, Any]:
        """Find and name the cells of one image.

        Args:
            image: (H, W, C) uint8 or uint16.
            instances: "model" for the cells that the model finds, "segmenter" for those
                of the watershed segmenter.
            masks: "rle" or "polygon".
            cell_score: p(cell) from which on a found cell counts.

        Returns:
            `width`, `height`, `notes` and `cells`, as the API's documentation describes them.

        Raises:
            InputError: the image has another shape or depth than the model takes.
        """
        image, notes = self._read_depth(image)
        labels = None if instances == "model" else self._segment(image)
        height, width = image.shape[:2]
        cells = self.predictor(image, labels)
        prediction = ImagePrediction("upload", width, height, tuple(cells))
        rules = CallRules(tuple(self.info.thresholds), cell_score)
        hint = self._size_hint(prediction, rules) if instances == "model" else None
        if hint is not None:
            notes.append(hint[:1].upper() + hint[1:] + ".")
        return {
            "width": width,
            "height": height,
            "notes": notes,
            "cells": [
                _cell(cell_id, cell, rules, masks) for cell_id, cell in rules.cells(prediction)
            ],
        }

    def _read_depth(self, image: NDArray[np.integer]) -> tuple[NDArray[np.integer], list[str]]:
        """Bring 16-bit pixels to 8 bits by the range that the model learned, else their own."""
        if image.dtype == np.uint8:
            return image, []
        level = white_level_of(image)
        learned = self.info.white_level
        if learned is not None and level <= learned:
            return scale_to_uint8(image, learned), []
        note = f"16-bit pixels were read with {level} as full brightness, as their values suggest."
        return scale_to_uint8(image, level), [note]

    def _segment(self, image: NDArray[np.integer]) -> NDArray[np.int32]:
        from hpa_mmdet.segment import WatershedSegmenter

        planes = {name: image[..., at] for at, name in enumerate(self.info.channels)}
        return WatershedSegmenter()(planes).cells


def load_analyser(config: Path, checkpoint: Path, options: Mapping[str, Any]) -> Analyser:
    """Load a model; imports torch.

    Args:
        config: a training config, or the .json of an export.
        checkpoint: the .pth of training, or the .safetensors of the export.
        options: further arguments of `Predictor`.

    Raises:
        InputError: the files are no model.
    """
    import hpa_mmdet
    from hpa_mmdet.inference.cell_size import compare_sizes, training_diameter_px
    from hpa_mmdet.inference.predictor import Predictor

    predictor = Predictor(config, checkpoint, **options)
    loaded, settings = predictor.loaded, predictor.loaded.settings
    trained_px = loaded.cell_diameter_px or training_diameter_px(loaded.config, settings)

    def size_hint(prediction: ImagePrediction, rules: CallRules) -> str | None:
        if trained_px is None:
            return None
        return compare_sizes([prediction], rules, predictor.view_maker.settings, trained_px)

    learned = settings.white_level
    facts = ModelFacts(
        name=config.stem,
        channels=predictor.channels,
        thresholds=loaded.rules.thresholds,
        checksum=loaded.weights_sha256,
        version=hpa_mmdet.__version__,
        white_level=learned if learned and learned > 255 else None,
    )
    return Analyser(predictor, facts, size_hint)


def _cell(cell_id: int, cell: CellPrediction, rules: CallRules, masks: str) -> dict[str, Any]:
    content: dict[str, Any] = {
        "cell_id": cell_id,
        "bbox": list(cell.bbox_xywh),
        "area": cell.area,
        "touches_border": bool(cell.runs.touches_border),
        "cell_score": round(float(cell.cell_score), _DECIMALS),
        "scores": [round(float(score), _DECIMALS) for score in cell.localization_scores],
        "called": rules.classes(cell),
    }
    if masks == "rle":
        content["segmentation"] = cell.rle
    else:
        from hpa_mmdet.pages.draw import outline_runs

        contours = outline_runs(cell.runs).contours
        content["polygons"] = [contour.ravel().tolist() for contour in contours]
    return content
