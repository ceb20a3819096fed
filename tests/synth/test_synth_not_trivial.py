"""The labels can be learnt from shapes and hardly from brightness.

N cells, K = 19 classes. Brightness alone: how often the training cells of about the same
mean green have each label. Shape: ridge regression on a few dozen numbers that say where in
the cell the green lies, how grained it is, and which reference channel it follows, all
divided by the cell's mean green.
"""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from hpa_mmdet.synth import LabelModel, SyntheticImage, render_image

Array = NDArray[np.floating]
MODEL = LabelModel(share=1.0, evenness=1.0)  # all classes, many cells each


def describe(image: SyntheticImage) -> tuple[list[list[float]], list[float], list[list[int]]]:
    """For each cell its shape numbers, its mean green and its labels."""
    channels = image.channels.astype(np.float32)
    green = channels[..., 1]
    bands = [
        np.abs(cv2.GaussianBlur(green, (0, 0), s) - cv2.GaussianBlur(green, (0, 0), 2 * s))
        for s in (0.5, 1, 2, 4)
    ]
    shapes, means, labels = [], [], []
    for cell_id, shown in image.localizations.items():
        cell = image.cells == cell_id
        nucleus = image.nuclei == cell_id
        outside = cell & ~nucleus
        if min(outside.sum(), nucleus.sum()) < 40:
            continue
        depth, away, into = (
            cv2.distanceTransform(part.astype(np.uint8), cv2.DIST_L2, 3)
            for part in (cell, ~nucleus, nucleus)
        )
        mean = float(green[cell].mean()) + 1
        parts = [nucleus, outside, cell & (depth < 2), cell & (away < 2) & (into < 2)]
        numbers = [green[part].mean() / mean for part in (*parts, outside & (away < 6))]
        numbers += [band[part].mean() / mean for band in bands for part in (nucleus, outside)]
        for part in (nucleus, outside):
            numbers += (np.percentile(green[part], (50, 95, 99, 100)) / mean).tolist()
            numbers += [
                np.cov(green[part], channels[..., k][part])[0, 1]
                / (green[part].std() * channels[..., k][part].std() + 1)
                for k in (0, 2, 3)
            ]
        shapes.append(np.log(np.abs(numbers[:-6]) + 0.02).tolist() + numbers[-6:])
        means.append(mean)
        labels.append([int(k in shown) for k in range(19)])
    return shapes, means, labels


def mean_ap(truth: NDArray[np.integer], scores: Array) -> float:
    """Mean over classes of average precision, for classes with at least three cells."""
    values = []
    for label in np.flatnonzero(truth.sum(axis=0) >= 3):
        hits = truth[np.argsort(-scores[:, label], kind="stable"), label]
        values.append((np.cumsum(hits) / np.arange(1, len(hits) + 1))[hits > 0].mean())
    return float(np.mean(values))


@pytest.fixture(scope="module")
def halves() -> list[tuple[Array, Array, NDArray[np.integer]]]:
    made = []
    for half in range(2):
        found = [describe(render_image([half, seed], (180, 240), 0.4, MODEL)) for seed in range(40)]
        made.append(tuple(np.array([x for image in found for x in image[k]]) for k in range(3)))
    return made


def test_brightness_tells_little_and_shape_much(
    halves: list[tuple[Array, Array, NDArray[np.integer]]],
) -> None:
    (shape_a, mean_a, truth_a), (shape_b, mean_b, truth_b) = halves
    near = np.exp(-(((np.log(mean_b)[:, None] - np.log(mean_a)[None]) / 0.1) ** 2) / 2)
    by_brightness = mean_ap(truth_b, near @ truth_a / near.sum(axis=1, keepdims=True))
    by_frequency = mean_ap(truth_b, np.tile(truth_a.mean(axis=0), (len(truth_b), 1)))

    middle, spread = shape_a.mean(axis=0), shape_a.std(axis=0) + 1e-6
    known, unseen = (shape_a - middle) / spread, (shape_b - middle) / spread
    weights = np.random.default_rng(0).standard_normal((known.shape[1], 200)) * 0.25
    known, unseen = (np.hstack([x, np.tanh(x @ weights)]) for x in (known, unseen))
    ridge = np.linalg.solve(known.T @ known + 10 * np.eye(known.shape[1]), known.T @ truth_a)
    by_shape = mean_ap(truth_b, unseen @ ridge)

    assert by_shape > 0.45
    assert by_brightness < 0.4 * by_shape
    assert by_brightness < by_frequency + 0.08
