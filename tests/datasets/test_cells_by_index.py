"""A large JSON is not loaded: the same entries, read when asked for, in any worker."""

import json
import os
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch.utils.data import DataLoader

from hpa_mmdet.coco.index import CocoIndex
from hpa_mmdet.coco.schema import build_info, to_line
from hpa_mmdet.coco.writer import open_writer
from hpa_mmdet.datasets import HpaCellDataset
from hpa_mmdet.errors import InputError
from hpa_mmdet.hooks.start_up_checks import check_dataset
from hpa_mmdet.masks.runs import MaskRuns

pytestmark = pytest.mark.usefixtures("mmdet_scope")
CELLS = 12
EMPTY = 7  # of so many images one has no cells


def speckles(number: int, width: int) -> str:
    """A mask of 200 pixels apart, whose text is as long as a cell's outline at 2048 px."""
    starts = number % 7 + 2 * np.arange(200)
    return MaskRuns(starts, starts + 1, (30, width)).to_counts()


def write_json(path: Path, images: int) -> Path:
    """Write images of 30x50 pixels; their ids have gaps, every seventh has no cells."""
    with open_writer(path, build_info(path.parent / "images", path)) as writer:
        for number in range(images):
            name = f"i{number:05}"
            image = {
                "id": 3 * number + 1,
                "file_name": f"{name}_green.png",
                "width": 50 if number % 2 else 20,
                "height": 30,
                "hpa_id": name,
                "channel_files": {"green": f"{name}_green.png"},
                "labels": [number % 19],
            }
            writer.add_image(to_line(image))
            for cell_id in range(1, CELLS + 1 if number % EMPTY else 1):
                cell = {
                    "image_id": image["id"],
                    "category_id": number % 19 + 1,
                    "category_ids": [number % 19 + 1],
                    "bbox": [cell_id, 2, 5, 3],
                    "area": 15,
                    "iscrowd": 0,
                    "cell_id": 2 * cell_id,
                    "touches_border": False,
                    # as long as a cell's outline at 2048 px
                    "segmentation": {
                        "size": [30, image["width"]],
                        "counts": speckles(number, image["width"]),
                    },
                }
                writer.add_annotation(to_line(cell))
    return path


def build(path: Path, **options: Any) -> HpaCellDataset:
    return HpaCellDataset(ann_file=str(path), pipeline=[], **options)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_json(tmp_path_factory.mktemp("large") / "train.json", 3000)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return write_json(tmp_path / "train.json", 30)


@pytest.fixture
def whole(small: Path) -> Path:
    """The same in another tool's layout, which is read whole."""
    path = small.with_name("whole.json")
    path.write_text(json.dumps(json.loads(small.read_text()), indent=1))
    return path


def entries(data: HpaCellDataset) -> list[dict[str, Any]]:
    return [data.get_data_info(index) for index in range(len(data))]


@pytest.mark.parametrize("serialize", [True, False], ids=["serialized", "as a list"])
@pytest.mark.parametrize(
    ("options", "count"),
    [
        pytest.param({}, 30, id="all"),
        pytest.param({"filter_cfg": {"filter_empty_gt": True}}, 25, id="without empty ones"),
        pytest.param({"filter_cfg": {"filter_empty_gt": True}, "test_mode": True}, 30, id="test"),
        pytest.param({"indices": 4}, 4, id="the first"),
        pytest.param({"indices": [5, 2, 29]}, 3, id="some"),
    ],
)
def test_entries_are_those_of_a_file_read_whole(
    small: Path, whole: Path, options: dict[str, Any], count: int, serialize: bool
) -> None:
    by_index, read = (build(path, serialize_data=serialize, **options) for path in (small, whole))
    assert len(by_index) == count
    assert entries(by_index) == entries(read)
    assert by_index.get_data_info(-1) == read.get_data_info(-1)
    assert by_index.get_cat_ids(1) == read.get_cat_ids(1)
    assert entries(by_index.get_subset([2, 0])) == entries(read.get_subset([2, 0]))
    by_index.get_subset_(2)
    assert entries(by_index) == entries(read)[:2]


def test_an_image_without_its_cells_is_the_rest_of_its_entry(small: Path, whole: Path) -> None:
    for data in (build(small), build(whole)):
        entry = data.get_data_info(3)
        assert len(entry.pop("instances")) == CELLS
        assert data.get_image_info(3) == entry


def test_the_file_is_not_loaded(large: Path) -> None:
    tracemalloc.start()
    try:
        data = build(large, filter_cfg={"filter_empty_gt": True})
        held, peak = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        for index in range(0, len(data), 10):
            data[index]
        later, peak_of_reading = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    size = large.stat().st_size
    assert size > 16e6
    assert len(data) == 2571
    assert held < 0.02 * size  # places in the file
    assert peak < 0.1 * size
    assert later - held < 0.01 * size  # nothing is kept of what was read
    assert peak_of_reading - later < 0.01 * size


def collate(batch: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return batch


# Python 3.12 warns of a fork in a process that has threads; that is what is tested here
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
@pytest.mark.parametrize(("start", "workers"), [("fork", 2), ("spawn", 1)])
def test_workers_give_the_same_samples(small: Path, start: str, workers: int) -> None:
    data = build(small)
    loader: Iterator[Any] = DataLoader(  # type: ignore[assignment]
        data, 4, num_workers=workers, multiprocessing_context=start, collate_fn=collate
    )
    assert [entry for batch in loader for entry in batch] == entries(data)


def test_samplers_and_checks_work_on_it(small: Path) -> None:
    from mmdet.datasets.samplers import AspectRatioBatchSampler  # once ours stand in for mmcv's
    from mmengine.dataset import ClassBalancedDataset, DefaultSampler

    data = build(small, filter_cfg={"filter_empty_gt": True})
    batches = list(AspectRatioBatchSampler(DefaultSampler(data, shuffle=False), 2))
    assert sorted(index for batch in batches for index in batch) == list(range(25))
    wide = [{data.get_data_info(index)["width"] > 30 for index in batch} for batch in batches]
    assert sum(len(index) > 1 for index in wide) <= 1  # what is left over at the end
    balanced = ClassBalancedDataset(data, oversample_thr=0.08)
    labels = [data.get_data_info(index)["image_labels"][0] for index in range(25)]
    times = [balanced.repeat_indices.count(index) for index in range(25)]
    assert [count == 2 for count in times] == [labels.count(label) == 1 for label in labels]
    check_dataset(data)  # its pipeline reads no channel


def test_a_file_out_of_order_is_read_whole(small: Path) -> None:
    lines = small.read_text().split("\n")
    first = lines.index('"annotations":[') + 1
    lines[first], lines[first + CELLS] = lines[first + CELLS], lines[first]
    moved = small.with_name("moved.json")
    moved.write_text("\n".join(lines))
    ids = [instance["cell_id"] for instance in build(moved).get_data_info(1)["instances"]]
    assert sorted(ids) == list(range(2, 2 * CELLS + 2, 2))


def test_a_file_that_changes_is_not_misread(small: Path) -> None:
    data = build(small)
    small.write_text(small.read_text().replace("i00001", "i001"))
    with pytest.raises(InputError, match=r"train.json: the file was changed since"):
        data.get_data_info(2)


def test_what_an_image_lacks_is_said_when_it_is_read(small: Path) -> None:
    text = small.read_text()
    small.write_text(text.replace('"segmentation"', '"mask"', 1))
    with pytest.raises(InputError, match=r"train.json, annotation 1: it has no segmentation"):
        entries(build(small))


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99], ids=["images", "annotations", "end"])
def test_a_cut_file_is_an_error(small: Path, share: float) -> None:
    os.truncate(small, int(small.stat().st_size * share + 2000 * (share < 0.1)))
    with pytest.raises(
        InputError, match=r"train.json(, categories)?: (the file is cut off|not JSON)"
    ):
        build(small)


def test_slices_and_counts_of_an_index(small: Path) -> None:
    index = CocoIndex(small)
    assert index[-2:] == [index[28], index[29]]
    assert index.annotation_counts.tolist() == [12 if place % 7 else 0 for place in range(30)]
    with pytest.raises(IndexError):
        index[30]
