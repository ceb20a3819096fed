"""What is in a dataset, in numbers: labels, their combinations, cells, brightness.

K: classes of the label scheme. Sizes are in pixels.
"""

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.coco.parse import CocoImage
from hpa_mmdet.io.channels import CHANNELS, ImageFiles, read_channels

_COMMONEST = 25  # label sets that are listed


@dataclass(frozen=True)
class Summary:
    """A distribution; `sd` is of the sample (n - 1), NaN for fewer than two values."""

    count: int
    mean: float
    sd: float
    min: float
    q1: float
    median: float
    q3: float
    max: float

    def row(self) -> tuple[float, ...]:
        """Give the values in their order, for a table."""
        return astuple(self)


def summarize(values: Sequence[float] | NDArray[Any]) -> Summary | None:
    """Summarize values, None where there are none.

    Examples:
        >>> summarize([1, 2, 3, 4, 10])
        Summary(count=5, mean=4.0, sd=3.5355339059327378, min=1.0, q1=2.0, median=3.0, q3=4.0, max=10.0)
    """
    numbers = np.asarray(values, np.float64)
    if numbers.size == 0:
        return None
    sd = float(numbers.std(ddof=1)) if numbers.size > 1 else float("nan")
    low, q1, median, q3, high = (float(x) for x in np.percentile(numbers, [0, 25, 50, 75, 100]))
    return Summary(numbers.size, float(numbers.mean()), sd, low, q1, median, q3, high)


@dataclass(frozen=True)
class LabelStatistics:
    """How often labels stand alone and together, over images or over cells.

    Attributes:
        names: K class names.
        items: how many label sets were counted.
        counts: K, sets that hold the class.
        alone: K, sets that hold nothing but the class.
        set_sizes: how many sets have 0, 1, 2, ... labels.
        pairs: (K, K), sets that hold both; the diagonal is `counts`.
        commonest_sets: the label sets and their counts, most frequent first.
    """

    names: tuple[str, ...]
    items: int
    counts: tuple[int, ...]
    alone: tuple[int, ...]
    set_sizes: tuple[int, ...]
    pairs: NDArray[np.int64]
    commonest_sets: tuple[tuple[tuple[int, ...], int], ...]
    distinct_sets: int

    @property
    def labels_per_item(self) -> float:
        """Mean number of labels of a set; NaN without sets."""
        return sum(self.counts) / self.items if self.items else float("nan")

    def to_json(self) -> dict[str, Any]:
        """Give the numbers as plain values, classes by name."""
        return {
            "items": self.items,
            "labels_per_item": self.labels_per_item if self.items else None,
            "counts": dict(zip(self.names, self.counts, strict=True)),
            "alone": dict(zip(self.names, self.alone, strict=True)),
            "items_by_number_of_labels": dict(enumerate(self.set_sizes)),
            "distinct_sets": self.distinct_sets,
            "commonest_sets": [
                {"labels": [self.names[k] for k in labels], "count": count}
                for labels, count in self.commonest_sets
            ],
            "co_occurrence": self.pairs.tolist(),
        }


def count_labels(sets: Iterable[Sequence[int]], names: Sequence[str]) -> LabelStatistics:
    """Count label sets.

    Args:
        sets: rising class indices below K, one entry an item.
        names: K class names.
    """
    kinds: Counter[tuple[int, ...]] = Counter(tuple(labels) for labels in sets)
    pairs = np.zeros((len(names), len(names)), np.int64)
    alone = [0] * len(names)
    sizes: Counter[int] = Counter()
    for labels, count in kinds.items():
        sizes[len(labels)] += count
        for k in labels:
            pairs[k, k] += count
        for a, b in combinations(labels, 2):
            pairs[a, b] += count
            pairs[b, a] += count
        if len(labels) == 1:
            alone[labels[0]] += count
    ordered = sorted(kinds.items(), key=lambda kind: (-kind[1], kind[0]))
    return LabelStatistics(
        names=tuple(names),
        items=sum(kinds.values()),
        counts=tuple(int(value) for value in np.diag(pairs)),
        alone=tuple(alone),
        set_sizes=tuple(sizes[size] for size in range(max(sizes, default=0) + 1)),
        pairs=pairs,
        commonest_sets=tuple(ordered[:_COMMONEST]),
        distinct_sets=len(kinds),
    )


@dataclass(frozen=True)
class CellStatistics:
    """The cells of a dataset: how many an image, how large their boxes are.

    Attributes:
        cells_per_image: one value an image.
        heights_px: one value a cell, of its box; the crop of the cell.
        widths_px: as above.
        areas_px: of the mask.
        on_border: cells cut by the border of their image.
        reviewed: cells whose set is known; the others inherit their image's labels.
        without_cells: ids of the images that have none.
    """

    cells_per_image: NDArray[np.int64]
    heights_px: NDArray[np.int64]
    widths_px: NDArray[np.int64]
    areas_px: NDArray[np.int64]
    on_border: int
    without_cells: tuple[str, ...] = field(default=())
    reviewed: int = 0

    def summaries(self) -> dict[str, Summary | None]:
        """Summarize each measure, by its name."""
        return {
            "cells per image": summarize(self.cells_per_image),
            "crop height, px": summarize(self.heights_px),
            "crop width, px": summarize(self.widths_px),
            "cell area, px": summarize(self.areas_px),
        }

    def to_json(self) -> dict[str, Any]:
        """Give the numbers as plain values."""
        return {
            "images": int(self.cells_per_image.size),
            "cells": int(self.heights_px.size),
            "cells_on_border": self.on_border,
            "cells_reviewed": self.reviewed,
            "images_without_cells": list(self.without_cells),
            **{name: summary and asdict(summary) for name, summary in self.summaries().items()},
        }


def measure_cells(images: Iterable[CocoImage]) -> CellStatistics:
    """Measure the cells of a dataset from their boxes; no mask is decoded, no image kept."""
    counts, heights, widths, areas = (array("q") for _ in range(4))
    on_border, reviewed, without_cells = 0, 0, []
    for image in images:
        counts.append(len(image.cells))
        heights.extend(cell.bbox_xywh[3] for cell in image.cells)
        widths.extend(cell.bbox_xywh[2] for cell in image.cells)
        areas.extend(cell.area for cell in image.cells)
        on_border += sum(cell.touches_border for cell in image.cells)
        reviewed += sum(cell.reviewed for cell in image.cells)
        if not image.cells:
            without_cells.append(image.hpa_id)
    return CellStatistics(
        cells_per_image=np.array(counts, np.int64),
        heights_px=np.array(heights, np.int64),
        widths_px=np.array(widths, np.int64),
        areas_px=np.array(areas, np.int64),
        on_border=on_border,
        without_cells=tuple(without_cells),
        reviewed=reviewed,
    )


def measure_brightness(image: ImageFiles) -> dict[str, tuple[float, float, float]]:
    """Measure the channels that an image has.

    Returns:
        For each channel the mean, the median and the 99th percentile of its pixels, as a
        share of the largest value its depth can hold.

    Raises:
        InputError: a channel cannot be read.
    """
    channels = tuple(sorted(image.paths, key=_channel_order))
    pixels = read_channels(image, channels)
    full = float(np.iinfo(pixels.dtype).max)
    measured = {}
    for place, channel in enumerate(channels):
        plane = pixels[..., place]
        median, high = np.percentile(plane[::2, ::2], [50, 99])
        measured[channel] = (float(plane.mean()) / full, float(median) / full, float(high) / full)
    return measured


def _channel_order(channel: str) -> tuple[int, str]:
    return (CHANNELS.index(channel) if channel in CHANNELS else len(CHANNELS), channel)


def choose_examples(
    sets: Mapping[str, Sequence[int]], classes: int, wanted: int
) -> tuple[list[str], list[str]]:
    """Choose ids with one label and ids with several, as many classes as possible.

    Args:
        sets: the label set of each id.
        classes: K.
        wanted: the most ids in each of the two lists.
    """
    single: list[str] = []
    several: list[str] = []
    seen_single: set[int] = set()
    seen_several: set[tuple[int, ...]] = set()
    for image_id, labels in sets.items():
        if len(labels) == 1 and len(single) < min(wanted, classes) and labels[0] not in seen_single:
            seen_single.add(labels[0])
            single.append(image_id)
        elif len(labels) > 1 and len(several) < wanted and tuple(labels) not in seen_several:
            seen_several.add(tuple(labels))
            several.append(image_id)
    return single, several
