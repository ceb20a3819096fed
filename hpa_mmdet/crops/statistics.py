"""Sizes of cells, as the earlier work published them, beside its figures."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class SizeSummary(NamedTuple):
    """One side of the cells' boxes, in pixels; None where the earlier work gives no figure."""

    cells: int
    mean: float
    sd: float
    least: float | None = None
    quartile_1: float | None = None
    median: float | None = None
    quartile_3: float | None = None
    largest: float | None = None


# Training crops of the contest's 21,806 images (2048 to 3072 pixels a side), cut by the masks
# of the HPA segmenter. Their least, quartiles and largest are not given.
PUBLISHED: dict[str, SizeSummary] = {
    "height": SizeSummary(248_271, 406, 208),
    "width": SizeSummary(248_271, 411, 210),
}


def summarize_sizes(sides_px: NDArray[np.integer]) -> SizeSummary:
    """Summarize (N,) sides; the standard deviation is that of the sample, 0 for one cell."""
    if not sides_px.size:
        return SizeSummary(0, float("nan"), float("nan"))
    sd = float(sides_px.std(ddof=1)) if sides_px.size > 1 else 0.0
    points = np.percentile(sides_px, [0, 25, 50, 75, 100]).tolist()
    return SizeSummary(int(sides_px.size), float(sides_px.mean()), sd, *points)


def describe_sizes(boxes_xywh: NDArray[np.integer]) -> str:
    """Write the table of (N, 4) boxes: height and width, each beside the earlier work's."""
    header = ("", "count", "mean", "sd", "min", "25 %", "50 %", "75 %", "max")
    lines = ["{:<24}{:>9}{:>8}{:>8}{:>7}{:>7}{:>7}{:>7}{:>7}".format(*header)]
    for side, column in (("height", 3), ("width", 2)):
        lines.append(_line(f"{side}, px", summarize_sizes(boxes_xywh[:, column])))
        lines.append(_line(f"{side}, earlier work", PUBLISHED[side]))
    return "\n".join(lines)


def _line(name: str, summary: SizeSummary) -> str:
    points = "".join("      -" if value is None else f"{value:7.0f}" for value in summary[3:])
    return f"{name:<24}{summary.cells:9,}{summary.mean:8.0f}{summary.sd:8.0f}{points}"
