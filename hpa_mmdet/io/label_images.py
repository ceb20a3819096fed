"""Label images: 0 is background, k > 0 is cell k."""

from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.atomic import atomic_path
from hpa_mmdet.io.pictures import read_picture


def find_masks(folder: Path) -> dict[str, Path]:
    """Map image ids to their label images, named `<id>_mask.<ext>` or `<id>.<ext>`.

    Raises:
        InputError: the folder does not exist, has no label image, or two for one id.
    """
    if not folder.is_dir():
        raise InputError(folder, "no folder", "a folder of label images", "check the path")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in (".png", ".tif", ".tiff") or path.name.startswith("."):
            continue
        image_id = path.stem.removesuffix("_mask")
        if image_id in found:
            raise InputError(
                path, f"a second mask of {image_id}", "one per image", "remove one of the two"
            )
        found[image_id] = path
    if not found:
        raise InputError(folder, "no label image", "<id>.png or <id>_mask.png", "check the folder")
    return found


def read_label_image(path: Path) -> NDArray[np.integer]:
    """Read one label image.

    Returns:
        (H, W) integer; 0 is background.

    Raises:
        InputError: the file cannot be decoded or is not one plane of integers.
    """
    label_image = read_picture(path)
    if label_image.ndim != 2 or not np.issubdtype(label_image.dtype, np.integer):
        raise InputError(
            path,
            f"{label_image.ndim}-D {label_image.dtype}",
            "a 2-D integer label image, 0 background and k cell k",
            "save it as a grey PNG or TIFF of 8, 16 or 32 bit",
        )
    return label_image


def write_label_image(path: Path, label_image: NDArray[np.integer]) -> None:
    """Write (H, W) labels as 8- or 16-bit PNG, or as a 32-bit TIFF for a .tif path.

    Raises:
        InputError: a PNG is asked for and an id does not fit 16 bits.
    """
    highest = int(label_image.max(initial=0))
    with atomic_path(path) as temporary:
        if path.suffix.lower() in (".tif", ".tiff"):
            tifffile.imwrite(temporary, label_image.astype(np.uint32), compression="zlib")
            return
        if highest > np.iinfo(np.uint16).max:
            raise InputError(path, f"cell id {highest}", "at most 65535 in a PNG", "write .tif")
        dtype = np.uint8 if highest <= np.iinfo(np.uint8).max else np.uint16
        Image.fromarray(label_image.astype(dtype)).save(temporary, compress_level=1)
