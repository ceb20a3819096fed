"""Images stored as one file per channel.

H, W: image height and width in pixels; C: channels in the order asked for.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.pictures import read_picture

CHANNELS: tuple[str, ...] = ("red", "green", "blue", "yellow")
DEFAULT_PATTERN = "{id}_{channel}.png"


class ImageFiles(NamedTuple):
    """One image: its id and the file of each channel that was found."""

    image_id: str
    paths: Mapping[str, Path]


def find_images(
    folder: Path, channels: Sequence[str] = CHANNELS, pattern: str = DEFAULT_PATTERN
) -> list[ImageFiles]:
    """List the images of a folder, by rising id.

    A pattern without `{channel}`, as `{id}.jpg`, means one file that holds all channels.
    An image of which only some channels exist is listed too: reading it raises, so that
    it ends in the run's report and does not vanish.

    Raises:
        InputError: the folder does not exist, or no file in it fits the pattern.
    """
    if not folder.is_dir():
        raise InputError(folder, "no folder", "a folder of images", "check the path")
    prefix, after_id = pattern.split("{id}")
    found: dict[str, dict[str, Path]] = {}
    for channel in channels:
        ending = after_id.replace("{channel}", channel)
        for path in folder.glob(f"{prefix}*{ending}"):
            image_id = path.name[len(prefix) : -len(ending)]
            found.setdefault(image_id, {})[channel] = path
    if not found:
        raise InputError(
            folder,
            "no image files",
            f"files named {pattern} with channel in {', '.join(channels)}",
            "check the folder or give --pattern",
        )
    return [ImageFiles(image_id, found[image_id]) for image_id in sorted(found)]


def read_channels(image: ImageFiles, channels: Sequence[str] = CHANNELS) -> NDArray[np.integer]:
    """Read the channels of one image.

    Returns:
        (H, W, C) uint8 or uint16, as stored: nothing is scaled.

    Raises:
        InputError: a channel has no file, cannot be decoded, or differs in size or depth.
    """
    planes: list[NDArray[np.integer]] = []
    for channel in channels:
        path = image.paths.get(channel)
        if path is None:
            raise InputError(
                f"image {image.image_id}",
                f"no {channel} file (only {', '.join(sorted(image.paths))})",
                f"one file for each of {', '.join(channels)}",
                "add the file, or name the channels you have with --channels",
            )
        plane = read_picture(path)
        if plane.ndim == 3 and list(image.paths.values()).count(path) > 1:
            plane = _band(plane, channel, path)
        if plane.ndim == 3:  # a grey picture saved as RGB, or a channel drawn in its colour
            plane = plane[..., :3].max(axis=2)
        if planes and (plane.shape != planes[0].shape or plane.dtype != planes[0].dtype):
            first, second = planes[0], plane
            raise InputError(
                path,
                f"{second.shape[1]}x{second.shape[0]} {second.dtype}",
                f"{first.shape[1]}x{first.shape[0]} {first.dtype} as its {channels[0]} channel",
                "export all channels of an image at one size and depth",
            )
        planes.append(plane)
    return np.stack(planes, axis=2)


def _band(picture: NDArray[np.integer], channel: str, path: Path) -> NDArray[np.integer]:
    """Take a channel out of a picture whose bands are red, green and blue."""
    if channel not in CHANNELS[:3]:
        raise InputError(
            path, f"no {channel} band in a colour picture", "red, green and blue", "give --channels"
        )
    return picture[..., CHANNELS.index(channel)]
