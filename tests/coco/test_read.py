"""Reading back: whole, one image at a time, from other tools; wrong structure is named."""

import json
import pickle
from pathlib import Path

import pytest
from make_dataset import Dataset, make_dataset, options

from hpa_mmdet.coco.convert import convert
from hpa_mmdet.coco.index import CocoIndex
from hpa_mmdet.coco.lines import CocoLines
from hpa_mmdet.coco.merge import merge
from hpa_mmdet.coco.read import read_coco
from hpa_mmdet.errors import InputError
from hpa_mmdet.jobs.shards import Shard


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return make_dataset(tmp_path / "data")


@pytest.fixture
def coco(dataset: Dataset, tmp_path: Path) -> Path:
    convert(dataset.sources(), tmp_path / "t.json")
    return tmp_path / "t.json"


def rewrite(path: Path, change) -> Path:  # type: ignore[no-untyped-def]
    content = json.loads(path.read_text())
    change(content)
    changed = path.with_name("changed.json")
    changed.write_text(json.dumps(content))
    return changed


def test_images_come_one_at_a_time_as_they_come_together(coco: Path) -> None:
    together = read_coco(coco).images
    index = CocoIndex(coco)
    assert len(index) == 3
    assert list(index) == together
    assert index[2] == together[2]  # in any order
    assert index[0] == together[0]
    assert index.images_root == read_coco(coco).images_root
    again = pickle.loads(pickle.dumps(index))  # as a data loader's workers get it
    assert again[1] == together[1]


def test_an_index_gives_images_without_cells(dataset: Dataset, tmp_path: Path) -> None:
    convert(dataset.sources(), tmp_path / "t.json", options(min_area_px=1000))
    index = CocoIndex(tmp_path / "t.json")
    assert [image.cells for image in index] == [(), (), ()]


def test_an_index_needs_our_layout_and_order(coco: Path, tmp_path: Path) -> None:
    other = rewrite(coco, lambda content: content["annotations"].reverse())
    with pytest.raises(InputError, match=r"changed.json: the JSON has not one entry a line"):
        CocoIndex(other)
    merge([other], tmp_path / "merged.json")
    with pytest.raises(
        InputError, match=r"annotations are not in the order of the images \({\"id\":"
    ):
        CocoIndex(tmp_path / "merged.json")


def test_an_empty_file_of_ours_is_read(dataset: Dataset, tmp_path: Path) -> None:
    convert(dataset.sources(), tmp_path / "t.json", shard=Shard(1, 9))
    empty = tmp_path / "t.shard-1-of-9.json"
    assert read_coco(empty).images == []
    assert len(CocoIndex(empty)) == 0
    lines = CocoLines(empty)
    assert list(lines.images()) == list(lines.annotations({})) == []


def test_a_cut_file_is_seen(coco: Path) -> None:
    whole = coco.read_text()
    coco.write_text(whole[: whole.index('"b_green.png"')])
    with pytest.raises(InputError, match=r"t.json, images: not JSON \(Expecting"):
        list(CocoLines(coco).images())
    with pytest.raises(InputError, match=r"t.json: not JSON \(Expecting"):
        read_coco(coco)
    lines = whole.splitlines(keepends=True)
    coco.write_text("".join(lines[:-2]))
    with pytest.raises(InputError, match=r"t.json: the file is cut off; convert again"):
        CocoIndex(coco)
    with pytest.raises(InputError, match=r"t.json: the file is cut off; convert again"):
        list(CocoLines(coco).entries("annotations"))


def test_files_of_other_tools_are_read(coco: Path) -> None:
    def plainer(content: dict) -> None:
        del content["info"]
        for image in content["images"]:
            del image["hpa_id"], image["channel_files"], image["labels"]
        for annotation in content["annotations"]:
            x, y, w, h = annotation["bbox"]
            corners = [x, y, x + w, y, x + w, y + h, x, y + h]
            annotation["segmentation"] = [[float(number) for number in corners]]
            del annotation["category_ids"], annotation["cell_id"], annotation["touches_border"]

    images = read_coco(rewrite(coco, plainer)).images
    ours = read_coco(coco).images
    assert [image.hpa_id for image in images] == ["a", "b", "c"]
    for image, own in zip(images, ours, strict=True):
        assert [cell.cell_id for cell in image.cells] == [1, 2, 3]
        assert [cell.counts for cell in image.cells] == [cell.counts for cell in own.cells]
        assert [cell.hpa_indices for cell in image.cells] == [
            cell.hpa_indices[:1] for cell in own.cells
        ]
        assert [cell.touches_border for cell in image.cells] == [True, False, False]


def test_uncompressed_runs_are_compressed(coco: Path) -> None:
    def uncompressed(content: dict) -> None:
        content["annotations"][0]["segmentation"]["counts"] = [23 * 40 - 1, 1]

    assert read_coco(rewrite(coco, uncompressed)).images[0].cells[0].counts == "gl01"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda c: c.pop("images"), "found no list 'images'", id="no images"),
        pytest.param(lambda c: c.update(annotations={}), "found no list 'annotations'", id="dict"),
        pytest.param(
            lambda c: c["annotations"][0].update(image_id=77),
            "annotation 1: found image_id 77, expected the id of an image",
            id="orphan",
        ),
        pytest.param(
            lambda c: c["annotations"][0].update(category_ids=[77]),
            "annotation 1: found category 77, expected an id listed",
            id="unknown category",
        ),
        pytest.param(
            lambda c: c["categories"][0].update(name="cell", hpa_index=None),
            "category 1: found name 'cell', expected one of the 19",
            id="other class",
        ),
        pytest.param(
            lambda c: c["categories"][0].update(hpa_index=5),
            "category 1: found hpa_index 5, expected that of Nucleoplasm",
            id="index and name",
        ),
        pytest.param(
            lambda c: c["annotations"][0].pop("id"), "annotation None: it has no id", id="no id"
        ),
        pytest.param(
            lambda c: c["images"][0].pop("width"), "image 1: it has no width", id="no width"
        ),
    ],
)
def test_wrong_structure_is_named(coco: Path, change, message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InputError, match=message):
        read_coco(rewrite(coco, change))


def test_what_is_no_coco_at_all_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_coco(tmp_path / "no.json")
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(InputError, match=r"found the entry \[1\], expected a JSON object"):
        read_coco(tmp_path / "list.json")
    (tmp_path / "odd.json").write_text('{"info":[],\n"categories":[\n7\n],\n')
    with pytest.raises(
        InputError, match=r"odd.json, categories: found the entry 7, expected a JSON object"
    ):
        CocoLines(tmp_path / "odd.json")
