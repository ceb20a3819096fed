"""A gallery of a dataset: each image with its cells outlined and named, and its channels."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from hpa_mmdet.coco.index import images_without_cells
from hpa_mmdet.coco.parse import CocoImage
from hpa_mmdet.coco.read import CocoData
from hpa_mmdet.errors import InputError
from hpa_mmdet.jobs import Report, run_items
from hpa_mmdet.localizations import LOCALIZATIONS, NAMES, localization_at
from hpa_mmdet.pages.compose import tint
from hpa_mmdet.pages.draw import localization_legend
from hpa_mmdet.pages.page import Page, Picture
from hpa_mmdet.reports.pictures import drawn_picture, read_backdrop, true_cells


@dataclass(frozen=True)
class Selection:
    """Which images to show.

    Attributes:
        labels: hpa_index values; an image is shown if it or a cell of it has one of them.
            Empty shows all.
        image_ids: only these, in this order. Empty shows all.
        limit: at most so many, spread evenly over the file.
    """

    labels: tuple[int, ...] = ()
    image_ids: tuple[str, ...] = ()
    limit: int = 24


class Entry(NamedTuple):
    """One image of the gallery."""

    overview: list[Picture]
    channels: list[Picture]


def parse_label(word: str) -> int:
    """Read a class by its index, name or short name, in any case.

    Raises:
        InputError: no class is called so.

    Examples:
        >>> parse_label("golgi"), parse_label("Cytosol"), parse_label("18")
        (7, 16, 18)
    """
    if word.isdecimal():
        return localization_at(int(word), f"--label {word}").hpa_index
    for localization in LOCALIZATIONS:
        names = (localization.name.casefold(), localization.short_name.casefold())
        if word.casefold() in names:
            return localization.hpa_index
    raise InputError(
        f"--label {word}", word, f"an index 0 to 18 or one of: {', '.join(NAMES)}", "correct it"
    )


def select_images(data: CocoData, selection: Selection) -> list[CocoImage]:
    """Choose the images to show.

    Raises:
        InputError: an id is not in the file, or nothing is left.
    """
    places: Sequence[int] = range(len(data.images))
    if selection.image_ids:
        named = enumerate(images_without_cells(data.images))
        place_of = {image.hpa_id: place for place, image in named}
        for image_id in selection.image_ids:
            if image_id not in place_of:
                raise InputError(data.path, f"no image {image_id}", "its hpa_id", "check --id")
        places = [place_of[image_id] for image_id in selection.image_ids]
    if selection.labels:
        wanted = set(selection.labels)
        places = [place for place in places if wanted & _all_labels(data.images[place])]
    if not places:
        names = ", ".join(NAMES[k] for k in selection.labels) or "any label"
        raise InputError(data.path, f"no image with {names}", "at least one", "choose another")
    step = max(1.0, len(places) / max(selection.limit, 1))
    chosen = [places[int(at * step)] for at in range(min(selection.limit, len(places)))]
    return [data.images[place] for place in chosen]


def _all_labels(image: CocoImage) -> set[int]:
    return set(image.image_labels).union(*(cell.hpa_indices for cell in image.cells))


def build_gallery(
    data: CocoData,
    images: Sequence[CocoImage],
    folder: Path | None,
    report: Report,
    *,
    size_px: int = 560,
    workers: int = 1,
) -> Page:
    """Draw the images and put the page together.

    Args:
        data: the dataset.
        images: those to show.
        folder: of the channel files; None draws the outlines alone.
        report: images that cannot be read are listed here and left out.
        size_px: longest side of a picture.
        workers: processes that draw.
    """
    page = Page("Gallery", f"{len(images)} of the {len(data.images):,} images of {data.path}")
    shown = set[int]().union(*(_all_labels(image) for image in images))
    page.add_legend(localization_legend(shown))
    if folder is None:
        page.add_note("No pixels: the file names no folder of images. Give --images for them.")
    done = run_items(
        partial(draw_entry, folder=folder, size_px=size_px),
        images,
        report,
        item_id=lambda image: image.hpa_id,
        workers=workers,
        description="drawing",
    )
    for image, entry in done:
        names = ", ".join(NAMES[k] for k in image.image_labels) or "no label"
        page.add_text(f"{image.hpa_id}: {names}")
        page.add_pictures(entry.overview, columns=2)
        if len(entry.channels) > 1:
            page.add_pictures(entry.channels, columns=4)
    return page


def draw_entry(image: CocoImage, *, folder: Path | None, size_px: int) -> Entry:
    """Draw one image: cells over it, without them, and each channel in its colour.

    Raises:
        InputError: a channel file is missing or cannot be read.
    """
    backdrop = read_backdrop(image, folder, size_px)
    height, width = image.shape_hw
    reviewed = sum(cell.reviewed for cell in image.cells)
    caption = f"{len(image.cells)} cells ({reviewed} reviewed), {width} x {height} px"
    overview = [Picture(drawn_picture(backdrop, true_cells(image)), caption)]
    if backdrop.channels:
        overview.append(Picture(backdrop.rgb, " + ".join(backdrop.channels)))
    step = 2 if size_px >= 400 else 1
    channels = [
        Picture(tint(backdrop.planes[::step, ::step, place], channel), channel)
        for place, channel in enumerate(backdrop.channels)
    ]
    return Entry(overview, channels)
