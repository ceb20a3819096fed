"""Decoding picture files, with one clear error for whatever is wrong with one."""

from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from hpa_mmdet.errors import InputError


def read_picture(path: Path) -> NDArray[np.integer]:
    """Decode a PNG, JPEG or TIFF as it is stored.

    Returns:
        (H, W) or (H, W, bands); uint8, uint16 or, for label images, wider integers.

    Raises:
        InputError: there is no file, or it is empty, truncated or not a picture.
    """
    try:
        if path.suffix.lower() in (".tif", ".tiff"):
            return np.asarray(tifffile.imread(path))
        with Image.open(path) as picture:
            return np.array(picture)
    except FileNotFoundError:
        raise InputError(path, "no file", "a picture", "check the path") from None
    except (OSError, SyntaxError, ValueError) as error:  # PIL and tifffile raise all of these
        raise InputError(
            path, f"an unreadable picture ({error})", "a whole PNG, JPEG or TIFF", "export it again"
        ) from error
