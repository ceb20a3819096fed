"""Whatever form a model gives its masks in, as COCO run lengths of the whole image.

N: cells; m: side of a predicted mask (28); H, W: height and width of the original image.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco_mask
from torch import Tensor

from hpa_mmdet.errors import InputError
from hpa_mmdet.masks.paste import paste_masks as paste_runs

Rle = dict[str, Any]


def encode_masks(masks: Any, shape_hw: tuple[int, int], where: str) -> list[Rle]:
    """Encode masks of whole images.

    Args:
        masks: a list of N RLE dicts, or (N, H, W) as a tensor, an array or mmdet's
            BitmapMasks; what is not 0 is the cell.
        shape_hw: height and width of the original image.
        where: what an error names.

    Raises:
        InputError: the masks are of another size.
    """
    if isinstance(masks, list | tuple) and (not masks or isinstance(masks[0], dict)):
        sizes = {tuple(mask["size"]) for mask in masks}
        _check_shapes(sizes, shape_hw, where)
        return [_with_bytes(mask) for mask in masks]
    pixels = _to_array(getattr(masks, "masks", masks))
    if len(pixels) == 0:
        return []
    _check_shapes({pixels.shape[1:]}, shape_hw, where)
    planes = np.asfortranarray((pixels != 0).astype(np.uint8).transpose(1, 2, 0))
    encoded: list[Rle] = coco_mask.encode(planes)
    return encoded


def paste_masks(mask_probs: Any, boxes_xyxy: Any, shape_hw: tuple[int, int]) -> list[Rle]:
    """Paste box-sized probabilities and encode them, inside their boxes.

    Args:
        mask_probs: (N, m, m) or (N, 1, m, m), 0 to 1.
        boxes_xyxy: (N, 4) in pixels of the original image.
        shape_hw: height and width of the original image.
    """
    probs = _to_array(mask_probs)
    boxes = _to_array(getattr(boxes_xyxy, "tensor", boxes_xyxy))
    runs = paste_runs(probs.reshape(len(probs), *probs.shape[-2:]), boxes, shape_hw)
    return [{"size": list(shape_hw), "counts": each.to_counts().encode("ascii")} for each in runs]


def _check_shapes(shapes: set[tuple[int, ...]], shape_hw: tuple[int, int], where: str) -> None:
    odd = shapes - {tuple(shape_hw)}
    if odd:
        raise InputError(
            where,
            f"masks of {odd.pop()}",
            f"{tuple(shape_hw)} (height, width) as in the truth",
            "give masks at the size of the original image",
        )


def _with_bytes(mask: Rle) -> Rle:
    counts = mask["counts"]
    return {
        "size": [int(side) for side in mask["size"]],
        "counts": counts.encode("ascii") if isinstance(counts, str) else counts,
    }


def _to_array(values: Tensor | NDArray[Any] | Sequence[Any]) -> NDArray[Any]:
    if isinstance(values, Tensor):
        return values.detach().cpu().numpy()
    return np.asarray(values)
