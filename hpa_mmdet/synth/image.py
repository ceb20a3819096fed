"""One synthetic image: cells, their stains, the microscope.

H, W: image height and width in pixels; channels in the order red, green, blue, yellow.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from hpa_mmdet.errors import InputError
from hpa_mmdet.synth.cell_line import CellLine, draw_cell_line
from hpa_mmdet.synth.geometry import CellGeometry, Mask
from hpa_mmdet.synth.microscope import draw_optics, take_picture
from hpa_mmdet.synth.outlines import paint_outlines, scatter_outlines
from hpa_mmdet.synth.protein import draw_protein, draw_stain
from hpa_mmdet.synth.references import draw_references
from hpa_mmdet.synth.shares import LabelModel, LocalizationSet

_SPINDLE = 11
_PAD_UM = 2.5  # light may fall this far outside a cell


@dataclass(frozen=True)
class SyntheticImage:
    """One synthetic image and its whole truth.

    Args:
        channels: (H, W, 4) uint8.
        cells: (H, W) label image; ids from 1, may have gaps.
        nuclei: (H, W) label image with the same ids.
        localizations: for each cell id the hpa_index values that it shows.
        image_labels: the image's labels; some cell may lack them, all cells may.
    """

    channels: NDArray[np.uint8]
    cells: NDArray[np.uint16]
    nuclei: NDArray[np.uint16]
    localizations: Mapping[int, LocalizationSet]
    image_labels: LocalizationSet


def render_image(
    seed: int | list[int] | np.random.Generator,
    shape_hw: tuple[int, int],
    pixel_um: float = 0.25,
    labels: LabelModel | None = None,
) -> SyntheticImage:
    """Draw one image.

    Args:
        seed: what decides everything; the same seed gives the same image.
        shape_hw: size in pixels.
        pixel_um: side of a pixel in micrometres; HPA's own is 0.08.
        labels: how labels are drawn; None for the real shares.

    Raises:
        InputError: the image is smaller than a cell or the scale is not positive.

    Examples:
        >>> image = render_image(7, (160, 224), 0.4)
        >>> image.channels.shape, image.cells.shape
        ((160, 224, 4), (160, 224))
    """
    check_size(shape_hw, pixel_um)
    rng = np.random.default_rng(seed)
    model = labels or LabelModel()
    image_labels = model.draw_image_labels(rng)
    size_um = (shape_hw[0] * pixel_um, shape_hw[1] * pixel_um)
    line = draw_cell_line(rng)
    outlines = scatter_outlines(rng, size_um, line)
    sets = model.draw_cell_labels(rng, image_labels, len(outlines))
    outlines = [
        cell.dividing(rng) if _SPINDLE in shown else cell
        for cell, shown in zip(outlines, sets, strict=True)
    ]
    cells, nuclei = paint_outlines(outlines, shape_hw, pixel_um)
    localizations = {k: sets[k - 1] for k in np.unique(cells[cells > 0]).tolist()}
    channels = render_cells(rng, cells, nuclei, localizations, pixel_um, line)
    return SyntheticImage(channels, cells, nuclei, localizations, image_labels)


def render_cells(
    rng: np.random.Generator,
    cells: NDArray[np.integer],
    nuclei: NDArray[np.integer],
    localizations: Mapping[int, LocalizationSet],
    pixel_um: float,
    line: CellLine | None = None,
) -> NDArray[np.uint8]:
    """Draw given cells: every stain of each in its own box, then the microscope.

    Args:
        rng: decides.
        cells: (H, W) label image.
        nuclei: (H, W) label image with the same ids.
        localizations: what each cell id shows.
        pixel_um: side of a pixel.
        line: the look that the cells share.

    Returns:
        (H, W, 4) uint8.
    """
    scene = np.zeros((4, *cells.shape), np.float32)
    stain = draw_stain(rng)
    level = np.clip(np.exp(rng.normal(np.log(135), 0.35, 3)), 50, 235)  # red, blue, yellow
    line = line or CellLine()
    own_spread = rng.uniform(0.08, 0.3)
    cell_rngs = rng.spawn(len(localizations))
    occupied, boxes = _close_gaps(cells > 0, pixel_um), find_objects(cells)
    for cell_rng, cell_id in zip(cell_rngs, sorted(localizations), strict=True):
        box = _padded(boxes[cell_id - 1], round(_PAD_UM / pixel_um) + 1)
        cell = CellGeometry(
            cells[box] == cell_id,
            nuclei[box] == cell_id,
            pixel_um,
            cell_rng,
            mitotic=_SPINDLE in localizations[cell_id],
            others=occupied[box] & (cells[box] != cell_id),
            line=line,
        )
        own = level * np.exp(cell_rng.normal(0, own_spread, 3))
        references = draw_references(cell)
        protein = draw_protein(cell, localizations[cell_id], references, stain)
        planes = np.stack(
            [
                own[0] * references.microtubules,
                protein,
                own[1] * references.chromatin,
                own[2] * references.reticulum,
            ]
        ).astype(np.float32)
        if cell_rng.random() < 0.08:  # lies above or below the focus
            sigma_um = float(cell_rng.uniform(0.3, 0.9))
            planes = np.stack([cell.blur(plane, sigma_um) for plane in planes])
        scene[:, box[0], box[1]] += planes
    return take_picture(rng, scene, pixel_um, draw_optics(rng))


def _close_gaps(mask: Mask, pixel_um: float) -> Mask:
    """Fill the thin lines that some masks leave between touching cells."""
    side = 2 * round(0.4 / pixel_um) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, kernel).astype(bool)


def _padded(box: tuple[slice, slice], pad: int) -> tuple[slice, slice]:
    rows, columns = box
    return (
        slice(max(rows.start - pad, 0), rows.stop + pad),
        slice(max(columns.start - pad, 0), columns.stop + pad),
    )


def check_size(shape_hw: tuple[int, int], pixel_um: float) -> None:
    """Check that cells fit into an image.

    Raises:
        InputError: the image is smaller than a cell or the scale is not positive.
    """
    if not pixel_um > 0:
        raise InputError("pixel size", f"{pixel_um} um", "more than 0", "HPA's own is 0.08")
    if min(shape_hw) * pixel_um < 30:
        raise InputError(
            "image size",
            f"{shape_hw[1]}x{shape_hw[0]} pixels of {pixel_um} um",
            "at least 30 um on every side, the width of a cell",
            "make the image or the pixels larger",
        )
