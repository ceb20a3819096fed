"""Counts against hand-made tables; pandas as the oracle of distributions."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hpa_mmdet.coco.parse import CocoCell, CocoImage
from hpa_mmdet.coco.statistics import (
    choose_examples,
    count_labels,
    measure_brightness,
    measure_cells,
    summarize,
)
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.channels import ImageFiles

NAMES = ("a", "b", "c", "d")


def test_labels_are_counted_alone_and_together() -> None:
    sets = [(0,), (0, 1), (0, 1), (1, 2), (2,), (0,), (), (0, 1, 2)]
    labels = count_labels(sets, NAMES)
    assert labels.items == 8
    assert labels.counts == (5, 4, 3, 0)
    assert labels.alone == (2, 0, 1, 0)
    assert labels.set_sizes == (1, 3, 3, 1)
    assert labels.distinct_sets == 6
    assert labels.commonest_sets[:2] == (((0,), 2), ((0, 1), 2))
    assert labels.pairs.tolist() == [[5, 3, 1, 0], [3, 4, 2, 0], [1, 2, 3, 0], [0, 0, 0, 0]]
    assert labels.labels_per_item == 12 / 8
    assert labels.to_json()["items_by_number_of_labels"] == {0: 1, 1: 3, 2: 3, 3: 1}


def test_no_sets_at_all() -> None:
    labels = count_labels([], NAMES)
    assert labels.counts == (0, 0, 0, 0)
    assert labels.set_sizes == (0,)
    assert labels.to_json()["labels_per_item"] is None


@pytest.mark.parametrize("count", [2, 3, 50])
def test_a_summary_equals_pandas(count: int) -> None:
    values = np.random.default_rng(count).gamma(2, 100, count)
    summary = summarize(values)
    assert summary is not None
    np.testing.assert_allclose(summary.row(), pd.Series(values).describe().to_numpy())


def test_one_value_has_no_spread_and_none_no_summary() -> None:
    summary = summarize([7])
    assert summary is not None
    assert (summary.mean, summary.median, summary.count) == (7, 7, 1)
    assert math.isnan(summary.sd)
    assert summarize([]) is None


def _image(hpa_id: str, *boxes_xywh: tuple[int, int, int, int]) -> CocoImage:
    cells = tuple(
        CocoCell(k, (0,), box, box[2] * box[3], "", box[0] == 0, k)
        for k, box in enumerate(boxes_xywh, start=1)
    )
    return CocoImage(1, hpa_id, "x.png", (60, 90), {}, (0,), cells)


def test_cells_are_measured_by_their_boxes() -> None:
    cells = measure_cells([_image("a", (0, 5, 10, 20), (3, 3, 30, 4)), _image("b")])
    assert cells.cells_per_image.tolist() == [2, 0]
    assert cells.heights_px.tolist() == [20, 4]
    assert cells.widths_px.tolist() == [10, 30]
    assert cells.areas_px.tolist() == [200, 120]
    assert (cells.on_border, cells.without_cells) == (1, ("b",))
    numbers = cells.to_json()
    assert numbers["crop height, px"]["mean"] == 12
    assert (numbers["images"], numbers["cells"]) == (2, 2)


def test_a_dataset_without_cells() -> None:
    numbers = measure_cells([_image("b")]).to_json()
    assert numbers["cells"] == 0
    assert numbers["crop width, px"] is None


@pytest.mark.parametrize(("dtype", "full"), [(np.uint8, 255), (np.uint16, 65535)])
def test_brightness_is_a_share_of_the_depth(tmp_path: Path, dtype: type, full: int) -> None:
    paths = {}
    for channel, value in (("yellow", full), ("green", full // 5)):
        paths[channel] = tmp_path / f"a_{channel}.png"
        Image.fromarray(np.full((8, 14), value, dtype)).save(paths[channel])
    measured = measure_brightness(ImageFiles("a", paths))
    assert list(measured) == ["green", "yellow"]
    assert measured["green"] == pytest.approx((0.2, 0.2, 0.2))
    assert measured["yellow"] == pytest.approx((1, 1, 1))


def test_brightness_of_an_unreadable_image(tmp_path: Path) -> None:
    path = tmp_path / "a_green.png"
    path.write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"a_green\.png"):
        measure_brightness(ImageFiles("a", {"green": path}))


def test_examples_show_each_class_and_combination_once() -> None:
    sets = {"a": (0,), "b": (0,), "c": (1,), "d": (0, 1), "e": (0, 1), "f": (1, 2), "g": ()}
    assert choose_examples(sets, 3, 10) == (["a", "c"], ["d", "f"])
    assert choose_examples(sets, 3, 1) == (["a"], ["d"])
    assert choose_examples({}, 3, 5) == ([], [])
