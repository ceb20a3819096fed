"""One predicted image as one line of JSON, and back.

{"image_id": ..., "width": ..., "height": ..., "files": {...}, "pixels_sha256": ...,
"image_probs": [...], "cells": [{"cell_id", "bbox", "area", "score",
"localization_scores", "counts"}, ...]}
"""

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.channels import ImageFiles
from hpa_mmdet.io.json_files import parse_json, resolve_below, shorten
from hpa_mmdet.localizations import NUM_LOCALIZATIONS
from hpa_mmdet.predictions.cells import CellPrediction, ImagePrediction

RUN_AGAIN = "remove this file and run with --resume, which predicts its images again"
_DECIMALS = 6


@dataclass(frozen=True)
class StoredImage:
    """One line of a chunk.

    Args:
        prediction: the cells; none for an image that failed.
        files: the channel files that were read, by channel, below the folder of images.
        pixels_sha256: of the (H, W, C) pixels as they were read.
        error: why the image failed, or "".
    """

    prediction: ImagePrediction
    files: dict[str, str]
    pixels_sha256: str = ""
    error: str = ""

    def image_files(self, images: Path) -> ImageFiles:
        """Find the channel files again.

        Raises:
            InputError: a name leads out of the folder of images.
        """
        where = f"predictions, image {self.prediction.image_id}"
        paths = {
            channel: resolve_below(images, name, where) for channel, name in self.files.items()
        }
        return ImageFiles(self.prediction.image_id, paths)


def line_of(stored: StoredImage) -> str:
    """Write one image as one line: scores with six decimals, keys in a fixed order."""
    prediction = stored.prediction
    content: dict[str, Any] = {
        "image_id": prediction.image_id,
        "width": prediction.width,
        "height": prediction.height,
        "files": stored.files,
        "pixels_sha256": stored.pixels_sha256,
    }
    if stored.error:
        content["error"] = stored.error
    if prediction.notes:
        content["notes"] = list(prediction.notes)
    content["image_probs"] = _rounded(prediction.image_probs)
    content["cells"] = [
        {
            "cell_id": cell.cell_id,
            "bbox": list(cell.bbox_xywh),
            "area": cell.area,
            "score": round(cell.cell_score, _DECIMALS),
            "localization_scores": _rounded(cell.localization_scores),
            "counts": cell.counts,
            **_embedding_entry(cell),
        }
        for cell in prediction.cells
    ]
    return json.dumps(content, separators=(",", ":"), allow_nan=False)


def parse_line(line: bytes, where: object) -> StoredImage:
    """Read one image of a chunk; the inverse of `line_of`.

    Raises:
        InputError: the line is damaged.
    """
    content = parse_json(line, where)
    try:
        shape_hw = (_whole(content["height"]), _whole(content["width"]))
        cells = [_parse_cell(cell, shape_hw) for cell in content["cells"]]
        probs = content["image_probs"]
        prediction = ImagePrediction(
            str(content["image_id"]),
            shape_hw[1],
            shape_hw[0],
            cells,
            None if probs is None else _scores(probs),
            tuple(content.get("notes", ())),
        )
        files = {str(channel): str(name) for channel, name in content["files"].items()}
        digest, error = content["pixels_sha256"], content.get("error", "")
        return StoredImage(prediction, files, str(digest), str(error))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            where, problem=f"no line of a chunk ({shorten(str(error))})", remedy=RUN_AGAIN
        ) from error


def _parse_cell(cell: dict[str, Any], shape_hw: tuple[int, int]) -> CellPrediction:
    x, y, width, height = map(_whole, cell["bbox"])
    score = float(cell["score"])
    if not 0 <= score <= 1:
        raise ValueError(f"score {score}")
    return CellPrediction(
        counts=str(cell["counts"]),
        shape_hw=shape_hw,
        bbox_xywh=(x, y, width, height),
        area=_whole(cell["area"]),
        cell_score=score,
        localization_scores=_scores(cell["localization_scores"]),
        cell_id=None if cell["cell_id"] is None else _whole(cell["cell_id"]),
        embedding=_parse_embedding(cell.get("embedding")),
    )


def _embedding_entry(cell: CellPrediction) -> dict[str, str]:
    if cell.embedding is None:
        return {}
    return {"embedding": base64.b64encode(cell.embedding.astype("<f4").tobytes()).decode("ascii")}


def _parse_embedding(text: str | None) -> NDArray[np.float32] | None:
    if text is None:
        return None
    embedding = np.frombuffer(base64.b64decode(text, validate=True), "<f4")
    if not np.isfinite(embedding).all():
        raise ValueError("an embedding with numbers that are not finite")
    return embedding.astype(np.float32)


def _scores(values: Any) -> NDArray[np.float32]:
    scores = np.array(values, np.float32)
    if scores.shape != (NUM_LOCALIZATIONS,) or not ((scores >= 0) & (scores <= 1)).all():
        raise ValueError(f"scores {values}")
    return scores


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} is no whole number")
    return value


def _rounded(values: NDArray[np.float32] | None) -> list[float] | None:
    if values is None:
        return None
    return [round(float(value), _DECIMALS) for value in values]
