"""Steps that were made faster give what the plain way gives."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.graph import MCP_Geometric
from skimage.segmentation import expand_labels, watershed

from hpa_mmdet.masks.label_image import number_cells
from hpa_mmdet.segment.cells import _costs_from
from hpa_mmdet.segment.filters import blur, flood, is_near, percentiles, spread_labels
from hpa_mmdet.segment.per_label import median_per_label

SHAPE_HW = (93, 130)


def soft_noise(seed: int, sigma: float = 2.0) -> NDArray[np.float32]:
    noise = np.random.default_rng(seed).normal(size=SHAPE_HW).astype(np.float32)
    return cv2.GaussianBlur(noise, (0, 0), sigma)


def some_labels(seed: int, count: int = 9) -> NDArray[np.int32]:
    rng = np.random.default_rng(seed)
    labels = np.zeros(SHAPE_HW, np.int32)
    for cell_id in rng.permutation(np.arange(1, 3 * count))[:count].tolist():
        y, x = rng.integers(0, SHAPE_HW)
        labels[max(0, y - 9) : y + 6, max(0, x - 4) : x + 8] = cell_id
    return labels


@pytest.mark.parametrize("sigma", [3.0, 39.9, 43.0, 90.0])
@pytest.mark.parametrize("cut", [0, 1, 3])
def test_a_wide_blur_is_that_of_opencv(sigma: float, cut: int) -> None:
    plane = soft_noise(1) + np.linspace(0, 3, SHAPE_HW[1], dtype=np.float32)
    plane = np.ascontiguousarray(plane[cut:, cut:])
    wanted = cv2.GaussianBlur(plane, (0, 0), sigma)
    tolerance = 1e-4 * np.ptp(plane) if sigma >= 40 else 0.0
    assert np.abs(blur(plane, sigma) - wanted).max() <= tolerance


@pytest.mark.parametrize("seed", range(6))
def test_a_flood_reaches_what_the_watershed_does(seed: int) -> None:
    heights, markers = soft_noise(seed), some_labels(seed)
    mask = (soft_noise(seed + 50, 4.0) > 0) | (markers > 0)
    assert np.array_equal(flood(heights, markers, mask), watershed(heights, markers, mask=mask))


def test_a_flood_without_markers_reaches_nothing() -> None:
    nothing = np.zeros(SHAPE_HW, np.int32)
    assert not flood(soft_noise(0), nothing, np.ones(SHAPE_HW, bool)).any()


@pytest.mark.parametrize("seed", range(3))
def test_ways_from_the_rims_cost_what_ways_from_everywhere_cost(seed: int) -> None:
    prices = np.exp(soft_noise(seed) * 8)
    prices[soft_noise(seed + 20, 4.0) > 0.08] = -1
    starts = (some_labels(seed) > 0) & (prices >= 0)
    wanted = MCP_Geometric(prices).find_costs(np.argwhere(starts))[0]
    assert np.isinf(wanted).any()
    np.testing.assert_allclose(_costs_from(starts, prices), wanted, rtol=1e-6)


def test_no_start_gives_no_way() -> None:
    assert np.isinf(_costs_from(np.zeros(SHAPE_HW, bool), np.ones(SHAPE_HW, np.float32))).all()


@pytest.mark.parametrize("seed", range(3))
def test_medians_by_label_are_those_of_the_sorted_values(seed: int) -> None:
    values, labels = soft_noise(seed), some_labels(seed)
    ids = np.arange(30)
    wanted = [sorted(values[labels == at]) for at in ids]
    wanted = [own[len(own) // 2] if at and own else 0 for at, own in zip(ids, wanted, strict=True)]
    assert (values < 0).any()
    assert median_per_label(values, labels, ids).tolist() == wanted


@pytest.mark.parametrize("distance", [1.0, 5.3, 12.0])
def test_near_is_exact(distance: float) -> None:
    labels = some_labels(4)
    assert np.array_equal(is_near(labels, distance), expand_labels(labels, distance) > 0)


def test_the_nearest_label_is_spread() -> None:
    labels = some_labels(5)
    nearest, distance = spread_labels(labels)
    wanted = expand_labels(labels, 1000)
    assert np.array_equal(nearest[labels > 0], labels[labels > 0])
    assert not distance[labels > 0].any()
    assert (nearest == wanted).mean() > 0.98
    ring = is_near(labels, 10)
    assert (distance[ring] < 10.3).all()
    assert (distance[~ring] > 9.7).all()


def test_percentiles_are_those_of_numpy() -> None:
    values = soft_noise(7)
    assert percentiles(values, 2, 50, 99.95) == np.percentile(values, [2, 50, 99.95]).tolist()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.int64])
def test_ids_larger_than_the_image_are_numbered_alike(dtype: type) -> None:
    small = np.array([[0, 7, 7], [3, 0, 120]], dtype)  # 120 is more than its pixels
    large = np.zeros((20, 30), dtype)
    large[:2, :3] = small
    for label_image in (small, large):
        numbered, ids = number_cells(label_image)
        assert numbered[:2, :3].tolist() == [[0, 2, 2], [1, 0, 3]]
        assert (ids.tolist(), ids.dtype) == ([3, 7, 120], dtype)
