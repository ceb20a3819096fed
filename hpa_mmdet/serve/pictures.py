"""Uploaded files to pixels: checked by their content, decoded in a process of their own.

H, W: image height and width in pixels; C: channels.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.channels import CHANNELS, ImageFiles, read_channels
from hpa_mmdet.io.header import Header
from hpa_mmdet.io.naming import with_plane
from hpa_mmdet.io.pictures import check_complete, read_header
from hpa_mmdet.serve.limits import Refusal

ALL_CHANNELS = "image"
"""The form field of one file that holds all channels."""
FIELDS = (*CHANNELS, ALL_CHANNELS)
OPTIONAL = "yellow"
_KINDS = ("png", "tiff", "jpeg")
_BLACK_NOTE = (
    "No yellow (ER) image was given: the model saw black in its place, so cells may be missed "
    "and localizations less sure."
)


class DecodedImage(NamedTuple):
    """An image as the model takes it.

    Args:
        pixels: (H, W, C) uint8 or uint16, as stored.
        channels: their names.
        notes: what the user should know.
        sha256: of the uploaded bytes, file by file.
    """

    pixels: NDArray[np.integer]
    channels: tuple[str, ...]
    notes: tuple[str, ...]
    sha256: str


def decode_files(paths: Mapping[str, Path], wanted: Sequence[str], max_pixels: int) -> DecodedImage:
    """Decode the files of one upload.

    Args:
        paths: a file for each channel, or one under "image" whose planes are the channels.
        wanted: the channels that the model takes, in its order.
        max_pixels: rows times columns that are decoded.

    Raises:
        Refusal: a channel is missing or extra, a file is no PNG, TIFF or JPEG, is too
            large, damaged, or differs from the others in size or depth.
    """
    headers = {name: _header(name, path) for name, path in paths.items()}
    planes = _planes(paths, headers, wanted)
    for name, header in headers.items():
        _check_size(name, header, max_pixels)
    _check_same_size(headers)
    here = tuple(name for name in wanted if name in planes)
    try:
        for name, path in paths.items():
            check_complete(path, headers[name])
        pixels = read_channels(ImageFiles("upload", planes), here, max_pixels=max_pixels)
    except InputError as error:
        raise Refusal(422, "unreadable", _without_paths(error, paths)) from None
    notes: tuple[str, ...] = ()
    if here != tuple(wanted):
        full = np.zeros((*pixels.shape[:2], len(wanted)), pixels.dtype)
        full[..., [wanted.index(name) for name in here]] = pixels
        pixels, notes = full, (_BLACK_NOTE,)
    digest = hashlib.sha256()
    for name in sorted(paths):
        digest.update(paths[name].read_bytes())
    return DecodedImage(pixels, tuple(wanted), notes, digest.hexdigest())


def _header(name: str, path: Path) -> Header:
    try:
        header = read_header(path)
    except InputError:
        header = None
    if header is None or header.kind not in _KINDS:
        raise Refusal(
            415,
            "not_a_picture",
            f"The {name} file is not a PNG, TIFF or JPEG picture, or it is damaged. "
            "Export it again as one of these.",
        )
    return header


def _planes(
    paths: Mapping[str, Path], headers: Mapping[str, Header], wanted: Sequence[str]
) -> dict[str, Path]:
    """Find for each channel its file, or the plane of the one file."""
    if ALL_CHANNELS in paths:
        if len(paths) > 1:
            raise Refusal(
                422,
                "too_many_files",
                "Send either one file with all channels or one file for each channel.",
            )
        return _planes_of_one(paths[ALL_CHANNELS], headers[ALL_CHANNELS], wanted)
    several = len(wanted) > 1
    missing = [name for name in wanted if name not in paths and not (name == OPTIONAL and several)]
    if missing:
        verb = "image is" if len(missing) == 1 else "images are"
        raise Refusal(
            422,
            "missing_channel",
            f"The {' and '.join(missing)} {verb} missing. "
            f"Send one image for each of {', '.join(wanted)} (yellow may be left out).",
        )
    return dict(paths)


def _planes_of_one(path: Path, header: Header, wanted: Sequence[str]) -> dict[str, Path]:
    extra = [axis for axis in header.axes if axis not in "YX"]
    count = header.shape[header.axes.index(extra[0])] if len(extra) == 1 else 1
    least = len(wanted) - (OPTIONAL in wanted and len(wanted) > 1)
    if len(extra) > 1 or not least <= count <= len(CHANNELS):
        shape = " x ".join(map(str, header.shape))
        raise Refusal(
            422,
            "wrong_planes",
            f"The file holds {shape} values ({header.axes}). A file with all channels needs the "
            f"planes {', '.join(CHANNELS[: max(least, len(wanted))])}, in this order.",
        )
    order = CHANNELS if len(wanted) > 1 else wanted
    if not extra:
        return {wanted[0]: path}
    return {
        name: path.with_name(with_plane(path.name, at)) for at, name in enumerate(order[:count])
    }


def _check_size(name: str, header: Header, max_pixels: int) -> None:
    width, height = header.size_wh
    if width * height > max_pixels:
        raise Refusal(
            413,
            "too_many_pixels",
            f"The {name} image has {width} x {height} pixels; this server takes up to "
            f"{max_pixels / 1e6:.0f} million. Cut it into parts, or use tools/infer.py.",
        )
    if min(width, height) < 1 or int(np.prod(header.shape, dtype=object)) > 8 * max_pixels:
        raise Refusal(413, "too_many_pixels", f"The {name} file holds too many or no pixels.")


def _check_same_size(headers: Mapping[str, Header]) -> None:
    sizes = {name: header.size_wh for name, header in headers.items()}
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{name} {width} x {height}" for name, (width, height) in sizes.items())
        raise Refusal(
            422,
            "different_sizes",
            f"The channels differ in size: {listed}. Send all channels of one image.",
        )


def _without_paths(error: InputError, paths: Mapping[str, Path]) -> str:
    """Say what is wrong with a file without telling where it lies on this machine."""
    text = str(error)
    for name, path in paths.items():
        text = text.replace(str(path), f"{name} file").replace(f"{path.parent}/", "")
    return text[:1].upper() + text[1:] + "."
