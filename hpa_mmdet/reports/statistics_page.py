"""The statistics of a dataset as a page: tables, plots and examples."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from hpa_mmdet.coco.statistics import CellStatistics, LabelStatistics, summarize
from hpa_mmdet.localizations import LOCALIZATIONS, NAMES
from hpa_mmdet.pages.page import Cell, Page, Picture
from hpa_mmdet.pages.plots import plot_bars, plot_histogram, plot_matrix

_SHORT = {localization.name: localization.short_name for localization in LOCALIZATIONS}
Brightness = Mapping[str, Mapping[str, tuple[float, float, float]]]


class Examples(NamedTuple):
    """Pictures of images with one label and with several."""

    single: Sequence[Picture]
    several: Sequence[Picture]


def add_labels(page: Page, labels: LabelStatistics, what: str) -> None:
    """Add counts, numbers of labels, co-occurrence and the commonest sets.

    Args:
        page: to add to.
        labels: of images or cells.
        what: `images` or `cells`.
    """
    page.add_heading(f"Labels of {what}")
    page.add_text(
        f"{labels.items:,} {what}, {sum(labels.counts):,} labels, "
        f"{labels.labels_per_item:.3f} a set on average, {labels.distinct_sets:,} different sets."
    )
    colours = [_colour(name) for name in labels.names]
    page.add_figure(plot_bars(labels.names, labels.counts, unit=what, colours=colours))
    rows: list[list[Cell]] = [
        [k, name, count, 100 * count / max(labels.items, 1), alone, count - alone]
        for k, (name, count, alone) in enumerate(
            zip(labels.names, labels.counts, labels.alone, strict=True)
        )
    ]
    header = ["index", "class", what, "% of all", "as the only label", "with others"]
    page.add_table(header, rows, digits=2)
    sizes = [f"{size} label{'s' if size != 1 else ''}" for size in range(len(labels.set_sizes))]
    first = 0 if labels.set_sizes[0] else 1
    page.add_figure(
        plot_bars(sizes[first:], labels.set_sizes[first:], title="Labels in a set", unit=what)
    )
    _add_pairs(page, labels)
    page.add_table(
        ["label set", what, "%"],
        [
            [" + ".join(labels.names[k] for k in kind) or "none", count, 100 * count / labels.items]
            for kind, count in labels.commonest_sets
        ],
        f"The {len(labels.commonest_sets)} commonest sets",
        digits=2,
    )


def _add_pairs(page: Page, labels: LabelStatistics) -> None:
    present = [k for k, count in enumerate(labels.counts) if count]
    pairs = labels.pairs[np.ix_(present, present)]
    if not np.any(pairs - np.diag(np.diag(pairs))):
        page.add_text("No two labels stand together.")
        return
    names = [_SHORT.get(labels.names[k], labels.names[k]) for k in present]
    share = pairs / np.diag(pairs)[:, None]
    np.fill_diagonal(share, np.nan)
    texts = np.where(pairs > 0, pairs.astype(str), "")
    page.add_figure(
        plot_matrix(names, share, title="Labels that stand together", texts=texts),
        "Number: sets that hold both labels (diagonal: the label at all). "
        "Shade: share of the row's sets that hold the column's label too.",
    )


def add_cells(page: Page, cells: CellStatistics) -> None:
    """Add the number and the sizes of cells."""
    page.add_heading("Cells")
    page.add_text(
        f"{cells.heights_px.size:,} cells in {cells.cells_per_image.size:,} images; "
        f"{cells.reviewed:,} cells are reviewed, so their labels are their own; "
        f"{cells.on_border:,} cells touch the border of their image; "
        f"{len(cells.without_cells):,} images have no cell."
    )
    rows: list[list[Cell]] = []
    for name, summary in cells.summaries().items():
        if summary is not None:
            rows.append([name, *summary.row()])
    header = ["", "count", "mean", "sd", "min", "25 %", "median", "75 %", "max"]
    page.add_table(header, rows, "The crop of a cell is the box of its mask.", digits=1)
    page.add_figures(
        [
            plot_histogram(cells.cells_per_image, title="Cells per image", unit="cells"),
            plot_histogram(cells.areas_px, title="Cell area", unit="px"),
            plot_histogram(cells.heights_px, title="Crop height", unit="px"),
            plot_histogram(cells.widths_px, title="Crop width", unit="px"),
        ]
    )


def add_brightness(page: Page, brightness: Brightness, images: int) -> None:
    """Add how bright each channel is over the images that were read.

    Args:
        page: to add to.
        brightness: image id -> channel -> (mean, median, 99th percentile), 0 to 1.
        images: how many images the dataset has.
    """
    page.add_heading("Brightness")
    page.add_text(
        f"Of {len(brightness):,} of the {images:,} images, as a share of the largest value "
        "that the files' depth can hold."
    )
    channels = list(
        dict.fromkeys(channel for of_image in brightness.values() for channel in of_image)
    )
    rows: list[list[Cell]] = []
    histograms = []
    for channel in channels:
        figures = np.array(
            [of_image[channel] for of_image in brightness.values() if channel in of_image]
        )
        for place, name in enumerate(("mean", "median", "99th percentile")):
            summary = summarize(figures[:, place])
            if summary is not None:
                rows.append([f"{channel}, {name} of an image", *summary.row()])
        title = f"{channel.capitalize()}: mean of an image"
        histograms.append(plot_histogram(figures[:, 0], title=title))
    page.add_figures(histograms)
    header = ["", "images", "mean", "sd", "min", "25 %", "median", "75 %", "max"]
    page.add_table(header, rows, digits=4)


def add_examples(page: Page, examples: Examples) -> None:
    """Add pictures of images with one label, and of images with several."""
    for heading, pictures in (
        ("Examples with one label", examples.single),
        ("Examples with several labels", examples.several),
    ):
        if pictures:
            page.add_heading(heading)
            page.add_pictures(pictures, columns=4)


def _colour(name: str) -> tuple[float, ...]:
    if name not in NAMES:
        return (0.0, 0.447, 0.698)
    return tuple(value / 255 for value in LOCALIZATIONS[NAMES.index(name)].colour_rgb)
