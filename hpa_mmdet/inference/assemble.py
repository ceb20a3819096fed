"""From what the network says of an image's views to the image's cells.

N: cells; K = 19.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.inference.cells import CellPrediction, ImagePrediction
from hpa_mmdet.inference.merge import FoundCell, merge_sources
from hpa_mmdet.inference.seams import EDGE_PX, merge_tiles
from hpa_mmdet.inference.tiles import Tile
from hpa_mmdet.inference.views import Detections, ImageRequest
from hpa_mmdet.localizations import NUM_LOCALIZATIONS
from hpa_mmdet.masks.paste import paste_masks
from hpa_mmdet.masks.runs import MaskRuns, runs_of_crop


def assemble(
    request: ImageRequest,
    tiles: Sequence[Tile],
    answer: Sequence[Sequence[Detections]],
    min_cell_score: float = 0.0,
    scale: float = 1.0,
) -> ImagePrediction:
    """Merge turns, then tiles, and encode the masks.

    Args:
        request: the image, and its cells where they were given.
        tiles: of the image.
        answer: for each tile, what was found in each turn.
        min_cell_score: found cells with a lower p(cell) are left out; given ones stay.
        scale: input pixels per image pixel; boxes are as sharp as these.
    """
    probs = [each.image_probs for turns in answer for each in turns if each.image_probs is not None]
    # a label that one tile shows is the image's; the turns of a tile are one opinion
    image_probs = None
    if probs:
        by_tile = np.clip(np.array(probs).reshape(len(tiles), -1, NUM_LOCALIZATIONS), 0, 1)
        image_probs = by_tile.mean(axis=1).max(axis=0).astype(np.float32)
    height, width = request.shape_hw
    if request.label_image is not None:
        cells = _given(request.label_image, tiles, answer)
        return ImagePrediction(request.image_id, width, height, cells, image_probs)
    found = [
        merge_sources([_paste(each, request.shape_hw) for each in turns])
        if len(turns) > 1
        else _paste(turns[0], request.shape_hw)
        for turns in answer
    ]
    edge_px = max(EDGE_PX, round(EDGE_PX / 2 / scale))
    merged = merge_tiles(tiles, found, edge_px) if len(tiles) > 1 else found[0]
    kept = [cell for cell in merged if cell.runs.starts.size and cell.cell_score >= min_cell_score]
    kept.sort(key=lambda cell: -cell.cell_score)
    blank = sum(1 for cells in found for cell in cells if not cell.runs.starts.size)
    notes = (f"{blank} detections without a pixel left out",) if blank else ()
    return ImagePrediction(
        request.image_id, width, height, tuple(map(as_cell, kept)), image_probs, notes
    )


def as_cell(found: FoundCell, cell_id: int | None = None) -> CellPrediction:
    """Encode a found cell for files and callers; scores are cut to 0..1."""
    return CellPrediction(
        bbox_xywh=found.runs.bbox_xywh,
        counts=found.runs.to_counts(),
        area=found.runs.area,
        cell_score=float(np.clip(found.cell_score, 0.0, 1.0)),
        localization_scores=np.clip(found.localization_scores, 0.0, 1.0).astype(np.float32),
        cell_id=cell_id,
    )


def _paste(found: Detections, shape_hw: tuple[int, int]) -> list[FoundCell]:
    masks = paste_masks(found.mask_probs, found.boxes_xyxy, shape_hw)
    return [
        FoundCell(runs, float(score), scores)
        for runs, score, scores in zip(masks, found.scores, found.localization_scores, strict=True)
    ]


def _given(
    label_image: NDArray[np.integer],
    tiles: Sequence[Tile],
    answer: Sequence[Sequence[Detections]],
) -> tuple[CellPrediction, ...]:
    """Name the given cells: mean over turns, and over tiles by the pixels in each."""
    ids, areas = np.unique(label_image, return_counts=True)
    ids, areas = ids[ids > 0], areas[ids > 0]
    place = {int(cell_id): number for number, cell_id in enumerate(ids)}
    total = np.zeros((len(ids), NUM_LOCALIZATIONS))
    weight = np.zeros(len(ids))
    for tile, turns in zip(tiles, answer, strict=True):
        part = label_image[tile.y : tile.bottom, tile.x : tile.right]
        pixels = np.bincount(np.searchsorted(ids, part[part > 0]), minlength=len(ids))
        for found in turns:
            rows = [place[cell_id] for cell_id in found.cell_ids or ()]
            total[rows] += found.localization_scores * pixels[rows, None]
            weight[rows] += pixels[rows]
    scores = total / np.maximum(weight, 1)[:, None]
    masks = _runs_of_labels(label_image, ids)
    return tuple(
        as_cell(FoundCell(masks[number], 1.0, scores[number].astype(np.float32)), int(cell_id))
        for number, cell_id in enumerate(ids)
    )


def _runs_of_labels(label_image: NDArray[np.integer], ids: NDArray[np.integer]) -> list[MaskRuns]:
    from scipy import ndimage

    dense = np.searchsorted(ids, label_image).astype(np.int32) + 1
    dense[label_image == 0] = 0
    shape_hw = (label_image.shape[0], label_image.shape[1])
    masks = []
    for number, place in enumerate(ndimage.find_objects(dense, len(ids))):
        rows, columns = place
        masks.append(runs_of_crop(dense[place] == number + 1, columns.start, rows.start, shape_hw))
    return masks
