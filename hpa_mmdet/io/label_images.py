"""Label images: 0 is background, k > 0 is cell k."""

from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.atomic import atomic_path, save_image
from hpa_mmdet.io.header import MAX_PIXELS, PNG_PALETTE
from hpa_mmdet.io.label_sets import LARGEST_CELL_ID
from hpa_mmdet.io.naming import DECOMPOSED, Template, is_composed
from hpa_mmdet.io.pictures import read_header, read_palette, read_picture

_ENDINGS = (".ome.tif", ".ome.tiff", ".png", ".tif", ".tiff", ".npy", ".npz")


class FoundMasks(NamedTuple):
    """Label images by id, the problems of ids, and what a report should say of the names.

    An id is a problem where it has two files, or a name that cannot be used. `unused` are
    files that are no label images by their names.
    """

    paths: dict[str, Path]
    problems: dict[str, InputError]
    unused: list[str]
    notes: tuple[str, ...] = ()


def find_masks(folder: Path, pattern: str | None = None) -> dict[str, Path]:
    """Map image ids to their label images.

    Args:
        folder: where they are.
        pattern: their names, with {id}; None for `<id>_mask.<ext>` or `<id>.<ext>`.

    Raises:
        InputError: the folder does not exist, has no label image, or two for one id.
    """
    found = scan_masks(folder, pattern)
    for problem in found.problems.values():
        raise problem
    return found.paths


def scan_masks(folder: Path, pattern: str | None = None) -> FoundMasks:
    """List label images as `find_masks` does, but only note ids that have two.

    Raises:
        InputError: the folder cannot be listed or has no label image.
    """
    if not folder.is_dir():
        raise InputError(folder, "no folder", "a folder of label images", "check the path")
    paths: dict[str, Path] = {}
    problems: dict[str, InputError] = {}
    unused: list[str] = []
    template = None if pattern is None else Template(pattern, {})
    files = Template("{id}", {}).find(folder) if template is None else template.find(folder)
    decomposed = 0
    for found in sorted(files, key=lambda file: str(file.path)):
        path = found.path
        image_id = _id_of(found.image_id) if template is None else found.image_id
        if image_id is None:
            unused.append(path.name)
            continue  # named in the report by the caller
        decomposed += not is_composed(path.name)
        if found.problem is not None:
            problems[image_id] = found.problem
        elif image_id in paths:
            problems[image_id] = InputError(
                path,
                f"a second mask of {image_id} beside {paths[image_id].name}",
                "one per image",
                "remove one of the two",
            )
        paths.setdefault(image_id, path)
    if not paths:
        named = pattern or "<id>.png or <id>_mask.png (.tif, .npy, .npz)"
        raise InputError(folder, "no label image", named, "check the folder or --mask-pattern")
    notes = (f"{folder}: {decomposed} x {DECOMPOSED}",) if decomposed else ()
    return FoundMasks(paths, problems, unused, notes)


def _id_of(name: str) -> str | None:
    for ending in _ENDINGS:
        if name.lower().endswith(ending):
            return name[: -len(ending)].removesuffix("_mask")
    return None


def read_label_image(path: Path, *, max_pixels: int = MAX_PIXELS) -> NDArray[np.integer]:
    """Read one label image: PNG or TIFF of any depth, .npy or .npz.

    Colour is accepted where it holds whole numbers without a doubt: equal bands, or a
    palette, whose places are the ids where its colours are not grey. So are floats that
    are whole numbers.

    Returns:
        (H, W) integer; 0 is background.

    Raises:
        InputError: the file cannot be decoded, is JPEG (which blurs ids), is not one
            plane, holds NaN, fractions, negative numbers or ids past 32 bits, or does not
            tell its cells apart (`check_cells`).
    """
    header = read_header(path)
    if header.kind == "jpeg":
        raise InputError(
            path, "a JPEG", "a lossless label image", "save masks as PNG or TIFF: JPEG blurs ids"
        )
    if header.png_colour == PNG_PALETTE:
        ids = _palette_ids(path, *read_palette(path, max_pixels=max_pixels))
        check_cells(path, ids)
        return ids
    label_image = read_picture(path, max_pixels=max_pixels)
    if header.axes == "YXS":
        label_image = _one_plane(path, label_image)
    if label_image.ndim != 2 or label_image.dtype.kind not in "uifb":
        raise InputError(
            path,
            f"{label_image.ndim}-D {label_image.dtype} (axes {header.axes})",
            "a 2-D integer label image, 0 background and k cell k",
            "save one plane as a grey PNG or TIFF of 8, 16 or 32 bit",
        )
    ids = _whole_numbers(path, label_image)
    check_cells(path, ids)
    return ids


def check_cells(path: Path, label_image: NDArray[np.integer]) -> None:
    """Refuse a label image that does not tell its cells apart.

    Rules, where a part is a connected region at least a fifth as large as the largest of its id:

    - there is no background (0), and one id touches all four edges: background was counted;
    - there is one id, in two parts or more: the mask is binary;
    - the highest id is 255, and 255 has three parts or more: ids were cut at 255;
    - the highest id is 255, and a tenth of the ids, three at least, have two parts or more:
      ids were counted modulo 256.

    Args:
        path: what an error names.
        label_image: (H, W) integer; 0 is background.

    Raises:
        InputError: one of the rules holds.
    """
    if not label_image.any():
        return
    highest = int(label_image.max())
    if label_image[::16, ::16].all() and label_image.all():
        edges = [label_image[0], label_image[-1], label_image[:, 0], label_image[:, -1]]
        around = set.intersection(*(set(np.unique(edge).tolist()) for edge in edges))
        if around:
            raise InputError(
                path,
                problem=f"no pixel is background (0), and id {min(around)} touches all four edges",
                remedy="write 0 where there is no cell, and number cells from 1",
            )
    is_single = _has_one_id(label_image, highest)
    if not is_single and highest != np.iinfo(np.uint8).max:
        return
    parts = _count_parts(label_image)
    if is_single and parts[highest] > 1:
        problem = f"one id, {highest}, has {parts[highest]} separate parts: a binary mask"
    elif not is_single and parts[highest] > 2:
        problem = f"id 255 has {parts[highest]} separate parts: ids were cut at 255"
    elif (several := sum(count > 1 for count in parts.values())) >= max(3, len(parts) / 10):
        problem = f"{several} ids have separate parts and none is above 255: counted modulo 256"
    else:
        return
    raise InputError(
        path, problem=problem, remedy="give each cell an id of its own, in 16 bits if need be"
    )


def _has_one_id(label_image: NDArray[np.integer], highest: int) -> bool:
    sample = label_image[::8, ::8]
    if not np.isin(sample, (0, highest)).all():
        return False
    return bool(((label_image == 0) | (label_image == highest)).all())


def _count_parts(label_image: NDArray[np.integer]) -> dict[int, int]:
    """Count each id's connected regions that are at least a fifth of its largest one."""
    from skimage.measure import label

    regions = label(label_image, background=0, connectivity=2)
    areas = np.bincount(regions.ravel())
    ids = np.zeros(areas.size, np.int64)
    ids[regions.ravel()] = label_image.ravel()
    largest = dict.fromkeys(ids[1:].tolist(), 0)
    for cell_id, area in zip(ids[1:].tolist(), areas[1:].tolist(), strict=True):
        largest[cell_id] = max(largest[cell_id], area)
    pairs = zip(ids[1:].tolist(), areas[1:].tolist(), strict=True)
    return Counter(cell_id for cell_id, area in pairs if 5 * area >= largest[cell_id])


def _palette_ids(
    path: Path, places: NDArray[np.uint8], palette: NDArray[np.uint8]
) -> NDArray[np.integer]:
    used = palette[np.unique(places)]
    if (used == used[:, :1]).all() and len(np.unique(used[:, 0])) < len(used):
        raise InputError(
            path,
            problem="places of its palette share one grey, so their cells would be joined",
            remedy="save the label image in grey, without a palette",
        )
    if (used == used[:, :1]).all():  # a grey label image that some tool has made smaller
        return palette[places, 0]
    if palette[0].any():
        raise InputError(
            path,
            f"a palette that begins with the colour {tuple(palette[0].tolist())}",
            "black background first, then one place for each cell",
            "save label images in grey, without colours",
        )
    return places


def _one_plane(path: Path, picture: NDArray[np.generic]) -> NDArray[np.generic]:
    has_alpha = picture.shape[2] in (2, 4)
    colours = picture[..., :-1] if has_alpha else picture
    opaque = not has_alpha or bool((picture[..., -1] == picture[:1, :1, -1]).all())
    if opaque and (colours == colours[..., :1]).all():
        return np.ascontiguousarray(colours[..., 0])
    raise InputError(
        path,
        "a colour picture",
        "one id for each pixel",
        "save label images in grey, without colours",
    )


def _whole_numbers(path: Path, label_image: NDArray[np.generic]) -> NDArray[np.integer]:
    if label_image.dtype.kind == "b":
        return label_image.astype(np.uint8)
    if label_image.dtype.kind == "f":
        if not np.isfinite(label_image).all():
            raise InputError(
                path, "NaN or infinity", "whole numbers", "write 0 where there is no cell"
            )
        whole = label_image.astype(np.int64)
        if (whole != label_image).any():
            value = label_image[whole != label_image].flat[0]
            raise InputError(
                path, f"the fraction {value}", "whole numbers", "save ids without interpolation"
            )
        label_image = whole
    if label_image.dtype.kind == "i" and label_image.size and int(label_image.min()) < 0:
        raise InputError(
            path, f"id {label_image.min()}", "ids >= 0", "use 0 for background, k for cell k"
        )
    if label_image.dtype.itemsize > 4 and int(label_image.max(initial=0)) > LARGEST_CELL_ID:
        raise InputError(
            path, f"id {label_image.max()}", f"at most {LARGEST_CELL_ID}", "number the cells from 1"
        )
    return np.asarray(label_image)


def write_label_image(path: Path, label_image: NDArray[np.integer]) -> None:
    """Write (H, W) labels as 8- or 16-bit PNG, or as a 32-bit TIFF for a .tif path.

    Raises:
        InputError: a PNG is asked for and an id does not fit 16 bits.
    """
    highest = int(label_image.max(initial=0))
    if highest > LARGEST_CELL_ID:
        raise InputError(path, f"cell id {highest}", f"at most {LARGEST_CELL_ID}", "number from 1")
    with atomic_path(path) as temporary:
        if path.suffix.lower() in (".tif", ".tiff"):
            tifffile.imwrite(temporary, label_image.astype(np.uint32), compression="zlib")
            return
        if highest > np.iinfo(np.uint16).max:
            raise InputError(path, f"cell id {highest}", "at most 65535 in a PNG", "write .tif")
        dtype = np.uint8 if highest <= np.iinfo(np.uint8).max else np.uint16
        save_image(Image.fromarray(label_image.astype(dtype)), temporary, compress_level=1)
