"""Image labels from the scores of cells: what data labelled only by image can be scored by.

N: cells of an image; K = 19 localizations; M: images.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.errors import InputError
from hpa_mmdet.localizations import NUM_LOCALIZATIONS
from hpa_mmdet.scoring.resampling import (
    Estimate,
    class_average_precisions,
    mean_of_known,
    resample_images,
    with_range,
)

Pooling = Literal["max", "mean", "noisy_or"]
CELL_POOLINGS: tuple[Pooling, ...] = ("max", "mean", "noisy_or")


def pool_class_scores(
    class_scores: NDArray[np.float64], pooling: Pooling = "max"
) -> NDArray[np.float64]:
    """Pool the cells of one image.

    Args:
        class_scores: (N, K) in [0, 1].
        pooling: `max` (some cell shows it), `mean` (many cells show it) or `noisy_or`
            (1 - prod(1 - p): at least one does, were they independent).

    Returns:
        (K,); 0 for an image without cells.

    Examples:
        >>> pool_class_scores(np.array([[0.5, 0.0], [0.5, 1.0]]), "noisy_or")
        array([0.75, 1.  ])
    """
    if len(class_scores) == 0:
        return np.zeros(class_scores.shape[1])
    if pooling == "noisy_or":
        return np.asarray(1.0 - np.prod(1.0 - class_scores, axis=0))
    return np.asarray(class_scores.max(axis=0) if pooling == "max" else class_scores.mean(axis=0))


@dataclass(frozen=True)
class ImageResult:
    """Scores of image labels.

    Args:
        mean_ap: mean over the classes that any image is labelled with.
        ap: (K,) NaN where no image has the label.
        images: (K,) how many images have each label.
        pooling: how the cells of an image were pooled.
    """

    mean_ap: Estimate
    ap: NDArray[np.float64]
    images: NDArray[np.intp]
    pooling: Pooling


class ImageCollector:
    """Collects pooled scores and labels, image by image.

    Args:
        pooling: see `pool_class_scores`.

    Raises:
        InputError: the pooling is unknown.
    """

    def __init__(self, pooling: Pooling = "max") -> None:
        if pooling not in CELL_POOLINGS:
            raise InputError(
                "pooling", repr(pooling), " or ".join(CELL_POOLINGS), "choose one of them"
            )
        self.pooling: Pooling = pooling
        self._scores: list[NDArray[np.float64]] = []
        self._labels: list[NDArray[np.bool_]] = []

    def add(self, image_labels: NDArray[np.bool_], class_scores: NDArray[np.float64]) -> None:
        """Add one image: its labels (K,) and the scores of its cells (N, K)."""
        self._scores.append(pool_class_scores(class_scores, self.pooling))
        self._labels.append(image_labels)

    def result(self, *, resamples: int, seed: int = 0) -> ImageResult:
        """Score what was added; the range is over `resamples` draws of the images."""
        scores = np.array(self._scores, np.float64).reshape(-1, NUM_LOCALIZATIONS)
        labels = np.array(self._labels, bool).reshape(-1, NUM_LOCALIZATIONS)
        ap = class_average_precisions(labels, scores)[0]
        drawn: list[float] = []
        for weights in resample_images(np.arange(len(labels)), resamples, seed):
            drawn += map(mean_of_known, class_average_precisions(labels, scores, weights))
        return ImageResult(
            with_range(mean_of_known(ap), drawn), ap, labels.sum(axis=0), self.pooling
        )
