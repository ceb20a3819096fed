"""The channels of an image: one file each, or planes of one file.

H, W: image height and width in pixels; C: channels in the order asked for.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.header import MAX_PIXELS, Header, check_pixels
from hpa_mmdet.io.naming import (
    DECOMPOSED,
    Template,
    is_composed,
    parse_channels,
    split_plane,
    with_plane,
)
from hpa_mmdet.io.pictures import (
    DecodedPicture,
    check_complete,
    check_intensities,
    read_header,
    read_with_header,
)

CHANNELS: tuple[str, ...] = ("red", "green", "blue", "yellow")
DEFAULT_PATTERN = "{id}_{channel}.png"
_MOST_CHANNELS = 16
_CHANNEL_AXES = "CSQI"  # channels, bands, and what TIFF writers call them without saying more


class ImageFiles(NamedTuple):
    """One image: its id and the file of each channel that was found.

    A path `<file>#k` is plane k, from 0, of a file that holds several channels; `planes` is
    how many planes of such a file were named (those to skip too), or 0 where nobody counted.
    """

    image_id: str
    paths: Mapping[str, Path]
    planes: int = 0


class FoundImages(NamedTuple):
    """Images by rising id, the problems of ids, and what a report should say of the names.

    An id is a problem where a channel has two files, or a name that cannot be used.
    """

    images: list[ImageFiles]
    problems: dict[str, InputError]
    notes: tuple[str, ...] = ()


def find_images(
    folder: Path, channels: Sequence[str] = CHANNELS, pattern: str = DEFAULT_PATTERN
) -> list[ImageFiles]:
    """List the images of a folder, by rising id.

    An image of which only some channels exist is listed too: reading it raises, so that
    it ends in the run's report and does not vanish.

    Args:
        folder: where the files are.
        channels: their names, or `name=word` where files say it otherwise. Where the
            pattern has no {channel}, the planes of each file in order, `_` for one to skip.
        pattern: names of the files, as `Template` reads them.

    Raises:
        InputError: the folder does not exist, no file in it fits the pattern, or a channel
            of an image has two files.
    """
    found = scan_images(folder, channels, pattern)
    for problem in found.problems.values():
        raise problem
    return found.images


def scan_images(
    folder: Path, channels: Sequence[str] = CHANNELS, pattern: str = DEFAULT_PATTERN
) -> FoundImages:
    """List images as `find_images` does, but only note channels that have two files.

    Raises:
        InputError: the folder cannot be listed, or no file in it fits the pattern.
    """
    if not folder.is_dir():
        raise InputError(folder, "no folder", "a folder of images", "check the path")
    template = Template(pattern, parse_channels(channels))
    planes = {name: at for at, name in enumerate(channels) if name != "_"}
    paths: dict[str, dict[str, Path]] = {}
    problems: dict[str, InputError] = {}
    decomposed = 0
    for found in sorted(template.find(folder), key=lambda file: str(file.path)):
        of_image = paths.setdefault(found.image_id, {})
        decomposed += not is_composed(found.path.name)
        if found.problem is not None:
            problems[found.image_id] = found.problem
            continue
        if found.channel in of_image or (not template.has_channel and of_image):
            problems[found.image_id] = InputError(
                found.path,
                f"a second {found.channel} file of {found.image_id}".replace("  ", " "),
                "one",
                "make the ids differ, with more of the name in {id}",
            )
        elif template.has_channel:
            of_image[found.channel] = found.path
        elif len(channels) == 1:  # so a grey picture saved in colour is one plane
            of_image |= dict.fromkeys(planes, found.path)
        else:
            of_image |= {
                name: found.path.with_name(with_plane(found.path.name, plane))
                for name, plane in planes.items()
            }
    if not paths:
        raise InputError(
            folder,
            "no image files",
            f"files named {pattern} with channel in {', '.join(channels)}",
            "check the folder or give --pattern",
        )
    named = 0 if template.has_channel or len(channels) == 1 else len(channels)
    images = [ImageFiles(image_id, paths[image_id], named) for image_id in sorted(paths)]
    notes = (f"{folder}: {decomposed} x {DECOMPOSED}",) if decomposed else ()
    return FoundImages(images, problems, notes)


def read_channels(
    image: ImageFiles, channels: Sequence[str] = CHANNELS, *, max_pixels: int = MAX_PIXELS
) -> NDArray[np.integer]:
    """Read the channels of one image.

    A channel in a file of its own may be drawn in colour: its brightest band counts.

    Returns:
        (H, W, C) uint8 or uint16, as stored: nothing is scaled.

    Raises:
        InputError: a channel has no file, cannot be decoded, is not 8 or 16 bit, or differs
            in size or depth.
    """
    pictures: dict[Path, DecodedPicture] = {}
    planes: list[NDArray[np.integer]] = []
    for channel in channels:
        path, at = split_plane(_path_of(image, channel, channels))
        if path not in pictures:
            pictures[path] = read_with_header(path, max_pixels=max_pixels)
        plane = _one_plane(path, pictures[path], at, image.planes)
        if planes:
            _check_alike(
                path, (*plane.shape, plane.dtype), (*planes[0].shape, planes[0].dtype), channels[0]
            )
        planes.append(plane)
    # a single one need not be copied
    return planes[0][..., None] if len(planes) == 1 else np.stack(planes, axis=2)


def check_channels(
    image: ImageFiles, channels: Sequence[str], *, max_pixels: int = MAX_PIXELS
) -> tuple[int, int]:
    """Check the channels of an image by their headers and ends, without decoding them.

    Returns:
        Width and height in pixels.

    Raises:
        InputError: a channel has no file, or one that is no whole picture, lacks the
            plane, or differs in size.
    """
    headers: dict[Path, Header] = {}
    first: Header | None = None
    for channel in channels:
        path, at = split_plane(_path_of(image, channel, channels))
        if path not in headers:
            headers[path] = read_header(path)
            check_pixels(path, headers[path], max_pixels)
            check_complete(path, headers[path])
        header = headers[path]
        _check_plane(path, header, at, image.planes)
        if first is not None:
            ours, others = (
                (of.size_wh[1], of.size_wh[0], f"uint{of.bits}") for of in (header, first)
            )
            _check_alike(path, ours, others, channels[0])
        first = first or header
    return (0, 0) if first is None else first.size_wh


def _check_alike(
    path: Path, found: tuple[object, ...], first: tuple[object, ...], first_channel: str
) -> None:
    """Compare (height, width, type) of a channel with those of the first."""
    if found != first:
        raise InputError(
            path,
            f"{found[1]}x{found[0]} {found[2]}",
            f"{first[1]}x{first[0]} {first[2]} as its {first_channel} channel",
            "export all channels of an image at one size and depth",
        )


def _path_of(image: ImageFiles, channel: str, channels: Sequence[str]) -> Path:
    path = image.paths.get(channel)
    if path is None:
        raise InputError(
            f"image {image.image_id}",
            f"no {channel} file (only {', '.join(sorted(image.paths))})",
            f"one file for each of {', '.join(channels)}",
            "add the file, or name the channels you have with --channels",
        )
    return path


def _check_plane(path: Path, header: Header, plane: int | None, named: int) -> None:
    check_intensities(path, header)
    axes, shape = header.axes, header.shape
    extra = axes.replace("Y", "").replace("X", "")
    count = shape[axes.index(extra)] if len(extra) == 1 else 1
    if len(extra) > 1 or (extra and extra not in _CHANNEL_AXES):
        raise InputError(
            path,
            f"axes {axes} of {'x'.join(map(str, shape))}",
            "channels, rows and columns",
            "project stacks and split time series before",
        )
    if extra in ("Q", "I") and count > _MOST_CHANNELS >= shape[-1]:
        raise InputError(
            path,
            problem=f"{count} planes of {shape[-1]}x{shape[-2]} pixels look like an image saved "
            "with its channels last",
            remedy="save it with channels first, or say so in its metadata (axes YXC)",
        )
    if plane is not None and plane >= count:
        raise InputError(
            path,
            f"{count} planes",
            f"at least {plane + 1}",
            "list the channels in the order of the file's planes with --channels",
        )
    has_alpha = header.kind == "png" and count in (2, 4)
    if plane is not None and named and count not in (named, named + has_alpha):
        raise InputError(
            path,
            f"{count} planes",
            f"the {named} that --channels names",
            "name each plane of the file in order, with _ for one to leave out",
        )
    if plane is None and extra in ("C", "Q", "I") and count > 1:
        raise InputError(
            path,
            f"{count} planes",
            "one channel in each file",
            "give a --pattern without {channel} and the planes' names with --channels",
        )


def _one_plane(
    path: Path, picture: DecodedPicture, plane: int | None, named: int
) -> NDArray[np.integer]:
    header, pixels = picture
    if pixels.ndim == 3 and len(header.axes) == 2:  # a palette was resolved
        header = header._replace(shape=pixels.shape, axes="YXS", bits=8)
    _check_plane(path, header, plane, named)
    if pixels.ndim == 3:
        place = next(at for at, axis in enumerate(header.axes) if axis not in "YX")
        bands = np.moveaxis(pixels, place, 2)
        if plane is not None or header.axes[place] != "S":
            pixels = np.ascontiguousarray(bands[..., plane or 0])
        else:  # a grey picture saved as RGB, or a channel drawn in its colour
            pixels = bands[..., : 1 if bands.shape[2] <= 2 else 3].max(axis=2)
    pixels = pixels.view(np.uint8) if pixels.dtype == np.bool_ else pixels
    if header.black:  # 0 is white
        pixels = (header.black - pixels).astype(pixels.dtype)
    return np.asarray(pixels, pixels.dtype)
