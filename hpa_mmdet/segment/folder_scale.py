"""One size of nuclei for all images of a folder, so that they inform each other.

A picture of two cells, or of haze, says little about its scale; its neighbours of the same
microscope do. Sixteen images spread over the folder are measured, whichever part of it a run
does, so that shards and broken runs agree; the result stands in the records of the masks, so
that a folder that grows keeps its scale.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np

from hpa_mmdet.io.channels import ImageFiles, read_channels
from hpa_mmdet.io.outputs import OutputFiles
from hpa_mmdet.jobs import Report, run_items
from hpa_mmdet.segment.outputs import SegmentFolders
from hpa_mmdet.segment.protocol import Planes, Segmenter
from hpa_mmdet.segment.scale import (
    FEW_BLOBS,
    SAME_SIZE,
    SizeEstimate,
    estimate_nucleus_size,
)
from hpa_mmdet.segment.watershed import WatershedSegmenter

SAMPLE = 16  # images that are measured
MOST_BLOBS = 5  # an image counts by its nuclei, up to these: all but the poorest alike
AGREE = 0.7  # share of the images' weight of about one size, below which the size is doubted
REMEDY = "look at --qc, give --nucleus-diameter-px"


class FolderScale(NamedTuple):
    """The diameter of nuclei that a folder's images share, in pixels.

    `doubt` says why it may be wrong, else it is empty. `was_there` tells that an earlier run
    into the same masks had found it.
    """

    diameter: float
    doubt: str = ""
    was_there: bool = False


def with_scale(segmenter: Segmenter, diameter: float) -> Segmenter:
    """Give the segmenter that takes nuclei to be as large as this, in pixels.

    A segmenter that has no size to estimate stays as it is.
    """
    size = segmenter.size_to_estimate
    if size is None:
        return segmenter
    known = replace(size, diameter_px=round(size.bounded(diameter), 1))
    return replace(segmenter, size=known)


def scale_of_earlier_run(
    images: Sequence[ImageFiles], folders: SegmentFolders, outputs: OutputFiles
) -> FolderScale | None:
    """Give the scale that the masks of a folder were made with; None if there are none."""
    for image in images:
        record = outputs.record_of(folders.mask_of(image.image_id))
        if record is not None and "folder_scale_px" in record.note:
            diameter, doubt = record.note["folder_scale_px"], record.note.get("scale_doubt", "")
            return FolderScale(float(diameter), str(doubt), was_there=True)
    return None


def measure_folder(
    images: Sequence[ImageFiles],
    channels: Sequence[str],
    segmenter: Segmenter,
    *,
    workers: int = 1,
    engine: str = "local",
) -> FolderScale | None:
    """Estimate the scale from images spread over a folder.

    An image that cannot be read says nothing here; the run that segments it reports it.

    Args:
        images: all of the folder, in one order for all runs.
        channels: to read.
        segmenter: whose DNA plane is measured.
        workers: as in `run_items`.
        engine: as in `run_items`.

    Returns:
        The scale, or None where no image shows nuclei.
    """
    places = np.unique(np.linspace(0, len(images) - 1, min(SAMPLE, len(images))).round())
    sample = [images[int(at)] for at in places]
    measure = partial(_measure, channels=channels, segmenter=segmenter)
    found = run_items(
        measure,
        sample,
        Report("segment"),
        workers=workers,
        description="size of nuclei",
        engine=engine,
    )
    return pool([estimate for _, estimate in found if estimate is not None])


def pool(estimates: Sequence[SizeEstimate]) -> FolderScale | None:
    """Give the median of the estimates, weighted by their nuclei.

    Doubted estimates count only where all are. Images of few nuclei each are enough together.

    Examples:
        >>> pool([SizeEstimate(40, 2, ""), SizeEstimate(44, 30, ""), SizeEstimate(90, 1, "one")])
        FolderScale(diameter=44, doubt='', was_there=False)
    """
    if not estimates:
        return None
    sure = [estimate for estimate in estimates if not estimate.doubt]
    used = sorted(sure or estimates)
    weights = np.array([min(estimate.blobs, MOST_BLOBS) for estimate in used], float)
    middle = int(np.searchsorted(np.cumsum(weights), weights.sum() / 2))
    diameter = used[middle].diameter
    near = [abs(np.log(estimate.diameter / diameter)) < SAME_SIZE for estimate in used]
    doubts = {estimate.doubt for estimate in used if estimate.blobs >= FEW_BLOBS}
    if weights[near].sum() < AGREE * weights.sum():
        smallest, largest = used[0].diameter, used[-1].diameter
        doubt = f"nuclei of {smallest:.0f} to {largest:.0f} pixels in different images"
    elif weights[near].sum() < FEW_BLOBS:
        doubt = f"{weights.sum():.0f} nuclei in {len(used)} images stand out"
    else:
        doubt = "; ".join(sorted(doubts - {""}))
    return FolderScale(diameter, doubt)


def _measure(
    image: ImageFiles, *, channels: Sequence[str], segmenter: Segmenter
) -> SizeEstimate | None:
    stack = read_channels(image, channels)
    return measure_nuclei(segmenter, {name: stack[..., at] for at, name in enumerate(channels)})


def measure_nuclei(segmenter: Segmenter, planes: Planes) -> SizeEstimate | None:
    """Estimate the size of nuclei in an image as the segmenter would see them."""
    if isinstance(segmenter, WatershedSegmenter):
        dna = segmenter.dna_of(planes)
        return None if dna is None else estimate_nucleus_size(dna)
    return estimate_nucleus_size(planes["blue"]) if "blue" in planes else None


def fit_to_image(segmenter: Segmenter, planes: Planes) -> tuple[Segmenter, str]:
    """Estimate the size for one image where it is not known; give the doubts too.

    The networks' segmenters measure the image themselves, and are given back as they are.
    """
    if not isinstance(segmenter, WatershedSegmenter) or segmenter.size_to_estimate is None:
        return segmenter, ""
    estimate = measure_nuclei(segmenter, planes)
    if estimate is None:
        return segmenter, ""
    return with_scale(segmenter, estimate.diameter), estimate.doubt
