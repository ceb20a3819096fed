"""Images before a detector, tile by tile, and its answers made into cells.

A view is one tile of an image in one symmetry. H, W: image height and width in pixels; N:
cells; K = 19.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from hpa_mmdet.compat import prepare
from hpa_mmdet.errors import InputError
from hpa_mmdet.inference.cleaning import DISJOINT, check_cleaning, clean_cells
from hpa_mmdet.inference.geometry import Symmetry, Tile, cut_tiles
from hpa_mmdet.inference.merge import merge_sources
from hpa_mmdet.inference.seams import EDGE_PX, merge_tiles
from hpa_mmdet.inference.settings import InputSettings
from hpa_mmdet.inference.views import FoundImage, ImageRequest, PreparedImage, View
from hpa_mmdet.io.depth import scale_to_uint8, white_level_of
from hpa_mmdet.io.large_images import LargeImage
from hpa_mmdet.localizations import NUM_LOCALIZATIONS
from hpa_mmdet.masks.encode import encode_cells
from hpa_mmdet.masks.label_image import label_image_from_rles, number_cells, shrink_labels
from hpa_mmdet.predictions.cells import CellPrediction, ImagePrediction
from hpa_mmdet.predictions.instances import read_instances, to_numpy

prepare()

from mmdet.structures import DetDataSample  # noqa: E402
from mmengine.structures import InstanceData  # noqa: E402

from hpa_mmdet.compat.cell_masks import cut_cells  # noqa: E402

# up to this many views of an image are made ahead of the network: all symmetries of a tile
_EAGER_VIEWS = 8
Answers = Sequence[Any]


@dataclass(frozen=True)
class DetectorViews:
    """A `ViewMaker` for detectors.

    Args:
        settings: the config's.
        symmetries: test-time augmentation.
        tile_px: side of the tiles; None for none.
        overlap_px: what neighbouring tiles share.
        min_cell_score: found cells with a lower p(cell) are left out; given ones stay.
        clean: what is done to the masks of found cells; see `cleaning`.

    Raises:
        InputError: the overlap leaves no step between tiles.
    """

    settings: InputSettings
    symmetries: tuple[Symmetry, ...]
    tile_px: int | None
    overlap_px: int
    min_cell_score: float
    clean: str = "none"

    def __post_init__(self) -> None:
        cut_tiles((1, 1), self.tile_px, self.overlap_px)
        check_cleaning(self.clean)

    def with_settings(self, settings: InputSettings) -> "DetectorViews":
        """Give one with other settings."""
        return replace(self, settings=settings)

    def describe(self) -> dict[str, Any]:
        """Name all options that change the answers."""
        return {
            **asdict(self.settings),
            "symmetries": len(self.symmetries),
            "tile_px": self.tile_px,
            "overlap_px": self.overlap_px if self.tile_px else None,
            "min_cell_score": self.min_cell_score,
            "clean": self.clean,
        }

    def prepare(self, request: ImageRequest) -> PreparedImage:
        """Check an image and make its views.

        Views of an image cut into many tiles are made when they are needed, so that the
        image is not held several times.

        Raises:
            InputError: the image has another shape or depth than the model takes, or its
                label image another size.
        """
        request.check(self.settings.channels)
        views = _Views(self, request)
        count = len(self._tiles(request)) * len(self.symmetries)
        return PreparedImage(request, tuple(views) if count <= _EAGER_VIEWS else views)

    def views(self, request: ImageRequest) -> Iterator[View]:
        """Make the views of an image: all symmetries of a tile, then the next tile."""
        scale = self.settings.scale_of(request.shape_hw)
        white_level = self.settings.white_level
        if white_level is None:
            image = request.image
            white_level = 65535 if isinstance(image, LargeImage) else white_level_of(image)
        for tile in self._tiles(request):
            pixels = scale_to_uint8(
                request.image[tile.slices], white_level, f"image {request.image_id}"
            )
            for symmetry in self.symmetries:
                view = _make_view(request, pixels, tile, symmetry, scale)
                if self._names_apart(request):
                    view.sample.set_metainfo({"name_cells": False})
                yield view

    def read(self, request: ImageRequest, answers: Answers) -> FoundImage:
        """Merge the symmetries of each tile, then the tiles; then clean the cells."""
        prediction = self._read(request, answers)
        if not self._names_apart(request):
            return FoundImage(prediction)
        cells = [cell.counts for cell in prediction.cells]
        labels = label_image_from_rles(cells, request.shape_hw)
        return FoundImage(prediction, self.prepare(replace(request, label_image=labels)))

    def read_names(self, found: FoundImage, answers: Answers) -> ImagePrediction:
        """Give each cell what the network says of the pixels it was left with."""
        if found.naming is None:
            return found.prediction
        named = self._read(found.naming.request, answers)
        names = {cell.cell_id: cell.localization_scores for cell in named.cells}
        cells = [
            replace(cell, localization_scores=names[number])
            for number, cell in enumerate(found.prediction.cells, start=1)
        ]
        return replace(found.prediction, cells=cells, image_probs=named.image_probs)

    def _names_apart(self, request: ImageRequest) -> bool:
        """Whether cells are first found and cleaned, and named when their pixels are known."""
        whole = not isinstance(request.image, LargeImage)
        return request.label_image is None and whole and self.clean in DISJOINT

    def _read(self, request: ImageRequest, answers: Answers) -> ImagePrediction:
        tiles = self._tiles(request)
        of_tile = len(self.symmetries)
        by_tile = [answers[at : at + of_tile] for at in range(0, len(answers), of_tile)]
        image_probs = _image_probs(by_tile)
        height, width = request.shape_hw
        if request.label_image is not None:
            given = _name_given(request.label_image, tiles, by_tile, request.image_id)
            return ImagePrediction(request.image_id, width, height, given, image_probs)
        found = [
            merge_sources(self._cells(request, tile, of_tile)) if len(of_tile) > 1
            else self._cells(request, tile, of_tile)[0]
            for tile, of_tile in zip(tiles, by_tile, strict=True)
        ]  # fmt: skip
        # boxes are as sharp as the network's input
        edge_px = max(EDGE_PX, round(EDGE_PX / 2 / self.settings.scale_of(request.shape_hw)))
        merged = merge_tiles(tiles, found, edge_px) if len(tiles) > 1 else found[0]
        kept = [cell for cell in merged if cell.area and cell.cell_score >= self.min_cell_score]
        kept.sort(key=lambda cell: -cell.cell_score)
        cleaned = clean_cells(kept, self.clean, lambda: self._planes(request.image))
        kept = [cell for cell in cleaned if cell.cell_score >= self.min_cell_score]
        blank = sum(1 for cells in found for cell in cells if not cell.area)
        notes = (f"{blank} detections without a pixel left out",) if blank else ()
        return ImagePrediction(request.image_id, width, height, kept, image_probs, notes)

    def _planes(self, image: NDArray[np.integer] | LargeImage) -> dict[str, NDArray[np.integer]]:
        """The channels by name; none of an image that is not held whole."""
        if isinstance(image, LargeImage):
            return {}
        return {name: image[..., at] for at, name in enumerate(self.settings.channels)}

    def _tiles(self, request: ImageRequest) -> list[Tile]:
        return cut_tiles(request.shape_hw, self.tile_px, self.overlap_px)

    def _cells(
        self, request: ImageRequest, tile: Tile, answers: Answers
    ) -> list[list[CellPrediction]]:
        """The cells that each symmetry of a tile shows."""
        scale = self.settings.scale_of(request.shape_hw)
        offset = np.array([tile.x, tile.y] * 2, np.float32)
        cells = []
        for symmetry, sample in zip(self.symmetries, answers, strict=True):
            input_hw = sample.img_shape

            def to_image(boxes: Any, probs: Any, symmetry: Symmetry = symmetry,
                         input_hw: Any = input_hw) -> Any:  # fmt: skip
                upright = symmetry.undo_boxes(boxes, input_hw)
                return (upright / scale + offset).astype(np.float32), symmetry.undo_masks(probs)

            where = f"image {request.image_id}"
            instances = sample.pred_instances
            cells.append(read_instances(instances, request.shape_hw, where, to_image=to_image))
        return cells


@dataclass(frozen=True)
class _Views:
    """Views that are made as they are iterated over."""

    maker: DetectorViews
    request: ImageRequest

    def __iter__(self) -> Iterator[View]:
        return self.maker.views(self.request)


def _make_view(
    request: ImageRequest, part: NDArray[np.uint8], tile: Tile, symmetry: Symmetry, scale: float
) -> View:
    """Resize the (h, w, C) pixels of a tile once, move them by the symmetry."""
    size_wh = (max(1, round(tile.width * scale)), max(1, round(tile.height * scale)))
    if size_wh != (tile.width, tile.height):
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        resized = cv2.resize(part, size_wh, interpolation=method)
        part = resized.reshape(*size_wh[::-1], -1).astype(np.uint8, copy=False)
    inputs = np.ascontiguousarray(symmetry.apply(part).transpose(2, 0, 1))
    shape_hw = inputs.shape[1:]
    shapes = {"ori_shape": shape_hw, "img_shape": shape_hw, "scale_factor": (1.0, 1.0)}
    sample = DetDataSample(metainfo={"img_id": request.image_id, **shapes})
    if request.label_image is not None:
        labels = request.label_image[tile.slices]
        sample.given_instances = _given_instances(labels, size_wh, symmetry)
    return View(torch.from_numpy(inputs), sample)


def _given_instances(
    labels: NDArray[np.integer], size_wh: tuple[int, int], symmetry: Symmetry
) -> InstanceData:
    """Ids, boxes and masks of the cells in the network's input; rising by id."""
    dense, ids = number_cells(labels)
    dense = shrink_labels(dense, size_wh[::-1])
    _, boxes, masks = cut_cells(symmetry.apply(dense))
    return InstanceData(
        bboxes=torch.from_numpy(boxes),
        labels=torch.zeros(len(ids), dtype=torch.long),
        masks=masks,
        cell_ids=torch.from_numpy(ids.astype(np.int64)),
    )


def _image_probs(by_tile: Sequence[Answers]) -> NDArray[np.float32] | None:
    """(K,) of the image head: what any tile shows; the symmetries of a tile are averaged."""
    probs = [
        [to_numpy(sample.image_probs) for sample in answers if "image_probs" in sample]
        for answers in by_tile
    ]
    if not all(probs):
        return None
    means = [np.clip(of_tile, 0, 1).mean(axis=0) for of_tile in probs]
    return np.max(means, axis=0).astype(np.float32)


def _name_given(
    label_image: NDArray[np.integer],
    tiles: Sequence[Tile],
    by_tile: Sequence[Answers],
    image_id: str,
) -> list[CellPrediction]:
    """Name the given cells: mean over symmetries, and over tiles by the pixels in each."""
    where = f"image {image_id}"
    cells = encode_cells(label_image, f"mask of {where}")
    ids = np.array([cell.cell_id for cell in cells], np.int64)
    total = np.zeros((len(ids), NUM_LOCALIZATIONS))
    weight = np.zeros(len(ids))
    vectors: NDArray[np.float64] | None = None
    for tile, answers in zip(tiles, by_tile, strict=True):
        part = label_image[tile.slices]
        pixels = np.bincount(np.searchsorted(ids, part[part > 0]), minlength=len(ids))
        for sample in answers:
            named = read_instances(sample.pred_instances, (1, 1), where, with_masks=False)
            rows = np.searchsorted(ids, sample.given_instances.cell_ids.numpy())
            scores = ImagePrediction(image_id, 1, 1, named).localization_scores
            total[rows] += scores * pixels[rows, None]
            if "embeddings" in sample.pred_instances:
                found = to_numpy(sample.pred_instances.embeddings)
                if not np.isfinite(found).all():
                    raise InputError(
                        where,
                        problem="the model gives an embedding that is not finite",
                        remedy="check its weights, or run it without --amp",
                    )
                vectors = np.zeros((len(ids), found.shape[1])) if vectors is None else vectors
                vectors[rows] += found * pixels[rows, None]
            weight[rows] += pixels[rows]
    shares = np.maximum(weight, 1)[:, None]
    means = (total / shares).astype(np.float32)
    of_cells = [None] * len(ids) if vectors is None else (vectors / shares).astype(np.float32)
    shape_hw = (label_image.shape[0], label_image.shape[1])
    return [
        CellPrediction(
            cell.counts, shape_hw, cell.bbox_xywh, cell.area, 1.0, scores, cell.cell_id, vector
        )
        for cell, scores, vector in zip(cells, means, of_cells, strict=True)
    ]
