"""The contract of the one parser: classes, cells, masks, and every fault by its entry's id."""

import gc
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from hpa_mmdet.coco.index import CocoIndex, open_coco
from hpa_mmdet.coco.lines import CocoLines
from hpa_mmdet.coco.merge import merge
from hpa_mmdet.coco.parse import CocoCell
from hpa_mmdet.coco.read import read_coco
from hpa_mmdet.coco.schema import build_categories, to_line
from hpa_mmdet.coco.to_submission import convert_to_submission
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.submission import read_submission
from hpa_mmdet.localizations import NAMES
from hpa_mmdet.scoring.truth import read_truth

SHAPE_HW = (23, 40)  # never square: swapped axes must fail
Change = Callable[[dict[str, Any]], object]


def box_rle(x: int, y: int, width: int = 5, height: int = 4) -> dict[str, Any]:
    mask = np.zeros(SHAPE_HW, np.uint8, order="F")
    mask[y : y + height, x : x + width] = 1
    return {"size": [*SHAPE_HW], "counts": coco_mask.encode(mask)["counts"].decode()}


def plain_coco() -> dict[str, Any]:
    """Two images; the ids of images, cells and annotations have gaps."""
    images = [
        {"id": 7, "file_name": "a_green.png", "hpa_id": "a", "width": 40, "height": 23,
         "channel_files": {"green": "a_green.png"}, "labels": [3, 0]},
        {"id": 9, "file_name": "b_green.png", "width": 40, "height": 23},
    ]  # fmt: skip
    annotations = [
        {"id": 3, "image_id": 7, "category_id": 1, "category_ids": [1, 4], "cell_id": 5,
         "bbox": [1, 2, 5, 4], "area": 20, "iscrowd": 0, "segmentation": box_rle(1, 2)},
        {"id": 4, "image_id": 7, "category_id": 4, "segmentation": box_rle(0, 9)},
        {"id": 8, "image_id": 9, "category_id": 19, "segmentation": box_rle(20, 3)},
    ]  # fmt: skip
    return {"images": images, "annotations": annotations, "categories": build_categories()}


def write(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content))
    return path


def cells_of(path: Path, content: dict[str, Any], image: int = 0) -> tuple[CocoCell, ...]:
    return read_coco(write(path / "t.json", content)).images[image].cells


def test_a_plain_file_is_read(tmp_path: Path) -> None:
    first, second = read_coco(write(tmp_path / "t.json", plain_coco())).images
    assert (first.hpa_id, second.hpa_id) == ("a", "b")
    assert (first.image_labels, second.image_labels) == ((0, 3), ())
    given, numbered = first.cells
    assert (given.cell_id, given.hpa_indices, given.annotation_id) == (5, (0, 3), 3)
    assert (numbered.cell_id, numbered.hpa_indices) == (6, (3,))
    assert (numbered.bbox_xywh, numbered.area) == ((0, 9, 5, 4), 20)  # those of the mask
    assert (given.touches_border, numbered.touches_border) == (False, True)
    assert second.cells[0].cell_id == 1


def test_classes_go_by_name_then_index_never_by_the_categorys_number(tmp_path: Path) -> None:
    content = plain_coco()
    by_name = [{"id": 50 + k, "name": name} for k, name in enumerate(sorted(NAMES))]
    content["categories"] = by_name
    for annotation, name in zip(
        content["annotations"], ("Mitochondria", "Cytosol", "Nucleoplasm"), strict=True
    ):
        annotation["category_id"] = next(c["id"] for c in by_name if c["name"] == name)
        annotation.pop("category_ids", None)
    path = write(tmp_path / "t.json", content)
    sets = [cell.hpa_indices for image in read_coco(path).images for cell in image.cells]
    assert sets == [(14,), (16,), (0,)]
    truth = read_truth(path)
    assert np.argwhere(truth["a"].localizations).tolist() == [[0, 14], [1, 16]]
    content["categories"] = [
        {"id": category["id"], "name": f"other {category['name']}", "hpa_index": 2}
        for category in by_name
    ]
    assert [cell.hpa_indices for cell in cells_of(tmp_path, content)] == [(2,), (2,)]


@pytest.mark.parametrize("cell_ids", [(None, None), ("missing", "missing"), (None, "missing")])
def test_cells_without_ids_are_numbered(tmp_path: Path, cell_ids: tuple[Any, Any]) -> None:
    content = plain_coco()
    for annotation, cell_id in zip(content["annotations"], cell_ids, strict=False):
        annotation["cell_id"] = cell_id
        if cell_id == "missing":
            del annotation["cell_id"]
    assert [cell.cell_id for cell in cells_of(tmp_path, content)] == [1, 2]


def test_annotations_of_one_cell_are_joined(tmp_path: Path) -> None:
    content = plain_coco()
    first = content["annotations"][0]
    content["annotations"].append({**first, "id": 11, "category_ids": [17, 1], "category_id": 17})
    second = content["annotations"][1]  # without an id: known by its mask
    content["annotations"].append({**second, "id": 12, "category_id": 9})
    cells = cells_of(tmp_path, content)
    assert [cell.hpa_indices for cell in cells] == [(0, 3, 16), (3, 8)]
    assert [cell.cell_id for cell in cells] == [5, 6]
    content["annotations"][-1]["cell_id"] = 2  # the same mask, but said to be another cell
    assert len(cells_of(tmp_path, content)) == 3


def test_soft_labels_follow_their_categories(tmp_path: Path) -> None:
    content = plain_coco()
    content["annotations"][0] |= {"category_ids": [9, 2, 5], "category_probs": [0.5, 1, 0.25]}
    cell = cells_of(tmp_path, content)[0]
    assert (cell.hpa_indices, cell.hpa_probs) == ((1, 4, 8), (1.0, 0.25, 0.5))


def test_ids_are_composed(tmp_path: Path) -> None:
    content = plain_coco()
    content["images"][0]["hpa_id"] = "e\u0301"
    path = write(tmp_path / "t.json", content)
    assert read_coco(path).images[0].hpa_id == "\u00e9"
    (tmp_path / "s.csv").write_text("ID,ImageWidth,ImageHeight,PredictionString\ne\u0301,40,23,\n")
    assert next(read_submission(tmp_path / "s.csv")).image_id == "\u00e9"


def set_in(section: str, place: int, **values: object) -> Change:
    def change(content: dict[str, Any]) -> None:
        content[section][place].update(values)

    return change


def entry(section: str, place: int, value: object) -> Change:
    def change(content: dict[str, Any]) -> None:
        content[section][place] = value

    return change


RLE = box_rle(1, 2)
BAD = [
    pytest.param(entry("annotations", 1, None), "annotation at place 1: found the entry None", id="null"),
    pytest.param(entry("images", 1, None), "image at place 1: found the entry None", id="null image"),
    pytest.param(entry("categories", 3, "Cytosol"), "category at place 3: found the entry", id="name"),
    pytest.param(set_in("categories", 3, id="4"), "category '4': found id '4', expected a whole", id="category id"),
    pytest.param(set_in("categories", 3, id=3), "category 3: found its id twice", id="category twice"),
    pytest.param(set_in("categories", 3, hpa_index=7), "category 4: found hpa_index 7, expected that of", id="index"),
    pytest.param(set_in("categories", 3, hpa_index=99), "category 4: found hpa_index 99, expected a whole number from 0 to 18", id="index 99"),
    pytest.param(set_in("categories", 3, name=["a"], hpa_index=None), "category 4: found name", id="name list"),
    pytest.param(set_in("images", 0, id="7"), "image at place 0: found id '7'", id="image id text"),
    pytest.param(set_in("images", 0, id=7.0), "image at place 0: found id 7.0", id="image id float"),
    pytest.param(set_in("images", 0, id=True), "image at place 0: found id True", id="image id bool"),
    pytest.param(set_in("images", 1, id=7), "image 7: found its id twice", id="image twice"),
    pytest.param(set_in("images", 0, width=0), "image 7: found width 0", id="no width"),
    pytest.param(set_in("images", 0, width=2**40), "image 7: found width", id="huge width"),
    pytest.param(set_in("images", 0, width=2**16, height=2**16), "image 7: found 65536x65536 pixels", id="huge"),
    pytest.param(set_in("images", 0, file_name=None), "image 7: it has no file_name", id="no name"),
    pytest.param(set_in("images", 0, file_name="/etc/a.png"), "image 7: file name '/etc/a.png' leads out", id="absolute"),
    pytest.param(set_in("images", 0, channel_files={"red": "../a.png"}), "image 7: file name '../a.png' leads out", id="climbing"),
    pytest.param(set_in("images", 0, file_name="9" * 256), "image 7: file name '999.* is too long", id="long name"),
    pytest.param(set_in("images", 0, channel_files=["a.png"]), "image 7: found the entry", id="channel list"),
    pytest.param(set_in("images", 0, channel_files={"red": None}), "image 7: found file name None", id="channel null"),
    pytest.param(set_in("images", 0, hpa_id=3), "image 7: found hpa_id 3, expected a text", id="hpa_id number"),
    pytest.param(set_in("images", 0, hpa_id="a\nb"), r"image 7: found hpa_id 'a\\nb', expected no control", id="line break"),
    pytest.param(set_in("images", 0, labels=[19]), r"image 7: found labels \[19\], expected hpa_index", id="label 19"),
    pytest.param(set_in("images", 0, labels=[1.0]), r"image 7: found labels \[1.0\]", id="label float"),
    pytest.param(set_in("images", 0, labels="0"), "image 7: found labels '0', expected a list", id="label text"),
    pytest.param(set_in("annotations", 0, id=None), "annotation None: it has no id", id="no id"),
    pytest.param(set_in("annotations", 0, id="x"), "annotation 'x': found id 'x'", id="id text"),
    pytest.param(set_in("annotations", 0, image_id=8), "annotation 3: found image_id 8, expected the id of", id="orphan"),
    pytest.param(set_in("annotations", 0, image_id=None), "annotation 3: it has no image_id", id="no image"),
    pytest.param(set_in("annotations", 0, category_ids=[77]), "annotation 3: found category 77", id="category 77"),
    pytest.param(set_in("annotations", 0, category_ids=[[1]]), r"annotation 3: found category \[1\]", id="category list"),
    pytest.param(set_in("annotations", 1, category_id=None), "annotation 4: it has no category_id", id="no category"),
    pytest.param(set_in("annotations", 0, category_probs=[0.5]), "annotation 3: found category_probs", id="one prob"),
    pytest.param(set_in("annotations", 0, category_probs=[0.5, 2]), "annotation 3: found category_probs", id="prob 2"),
    pytest.param(set_in("annotations", 0, category_probs=[0.5, "1"]), "annotation 3: found category_probs", id="prob text"),
    pytest.param(set_in("annotations", 0, cell_id="5"), "annotation 3: found cell_id '5'", id="cell text"),
    pytest.param(set_in("annotations", 0, cell_id=0), "annotation 3: found cell_id 0", id="cell 0"),
    pytest.param(set_in("annotations", 0, cell_id=2**32), "annotation 3: found cell_id 4294967296", id="cell 2**32"),
    pytest.param(set_in("annotations", 0, cell_id=2**32 - 1), "no cell_id is left above 4294967295", id="none left"),
    pytest.param(set_in("annotations", 1, cell_id=5), "annotation 4: its cell_id 5 is that of annotation 3", id="equal"),
    pytest.param(set_in("annotations", 0, bbox=[1, 2, 3]), r"annotation 3: found bbox \[1, 2, 3\]", id="bbox three"),
    pytest.param(set_in("annotations", 0, bbox=[1, 2, 3, None]), "annotation 3: found bbox", id="bbox null"),
    pytest.param(set_in("annotations", 0, bbox=[1, 2, 3, 1e300]), "annotation 3: found bbox", id="bbox far"),
    pytest.param(set_in("annotations", 0, area="20"), "annotation 3: found area '20'", id="area text"),
    pytest.param(set_in("annotations", 0, area=-1), "annotation 3: found area -1", id="area negative"),
    pytest.param(set_in("annotations", 0, area=True), "annotation 3: found area True", id="area bool"),
    pytest.param(set_in("annotations", 0, segmentation={**RLE, "size": [40, 23]}), r"annotation 3: found segmentation.size \[40, 23\], expected \[23, 40\]", id="swapped"),
    pytest.param(set_in("annotations", 0, segmentation={**RLE, "counts": "2111"}), "annotation 3: found a mask of 6 pixels, expected 920", id="cut"),
    pytest.param(set_in("annotations", 0, segmentation={**RLE, "counts": "~~"}), "annotation 3: the mask's run lengths are damaged", id="damaged"),
    pytest.param(set_in("annotations", 0, segmentation={**RLE, "counts": [920]}), "annotation 3: its mask has no pixels", id="no pixels"),
    pytest.param(set_in("annotations", 0, segmentation=[[0, 0, 1e9, 0, 1e9, 1e9]]), "annotation 3: a polygon has a corner at", id="polygon"),
    pytest.param(lambda content: content.update(info={"images_root": 3}), "info, images_root: found file name 3, expected a file name", id="root"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "message"), BAD)
def test_every_fault_is_named_with_its_entry(tmp_path: Path, change: Change, message: str) -> None:
    content = plain_coco()
    change(content)
    path = write(tmp_path / "t.json", content)
    with pytest.raises(InputError, match=rf"t\.json.*{message}"):
        read_coco(path)
    for tool in (lambda: list(open_coco(path).images), lambda: read_truth(path)):
        with pytest.raises(InputError, match=message):
            tool()
    with pytest.raises(InputError):
        convert_to_submission(path, tmp_path / "s.csv")
    assert not (tmp_path / "s.csv").exists()
    if "twice" not in message and "none left" not in message:
        with pytest.raises(InputError):
            merge([path], tmp_path / "out.json")
        assert not (tmp_path / "out.json").exists()


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ("2111", "annotation 8: found a mask of 6 pixels"),
        ("~~", "annotation 8: the mask's run lengths are damaged"),
        ([920], "annotation 8: its mask has no pixels"),
    ],
    ids=["cut", "damaged", "no pixels"],
)
def test_a_fault_of_a_later_image_is_named_as_its_own(
    tmp_path: Path, counts: object, message: str
) -> None:
    content = plain_coco()
    content["annotations"][2]["segmentation"]["counts"] = counts
    with pytest.raises(InputError, match=message):
        read_coco(write(tmp_path / "t.json", content))
    assert gc.isenabled()


def test_images_of_many_sizes_are_read_together_as_one_by_one(tmp_path: Path) -> None:
    content = plain_coco()
    content["images"], content["annotations"] = [], []
    for number in range(1, 201):
        height, width = SHAPE_HW if number % 50 else SHAPE_HW[::-1]
        content["images"].append(
            {"id": number, "file_name": f"{number}.png", "width": width, "height": height}
        )
        for cell in range(number % 3):
            counts = [100 * (cell + 1), 7 + number, 920 - 107 - 100 * cell - number]
            content["annotations"].append(
                {"id": 10 * number + cell, "image_id": number, "category_id": 1 + number % 19,
                 "segmentation": {"size": [height, width], "counts": counts}}
            )  # fmt: skip
    together = read_coco(write(tmp_path / "t.json", content)).images
    one_by_one = CocoIndex(write_ours(tmp_path / "ours.json", content))
    assert list(together) == list(one_by_one)
    assert [len(image.cells) for image in together] == [n % 3 for n in range(1, 201)]
    assert [cell.area for cell in together[4].cells] == [12, 12]


def write_ours(path: Path, content: dict[str, Any]) -> Path:
    """Write a file in our layout, one entry a line, whatever the entries are."""
    sections = [
        f'"{section}":[\n' + ",\n".join(to_line(entry) for entry in content[section]) + "\n]"
        for section in ("categories", "images", "annotations")
    ]
    path.write_text(
        '{"info":' + to_line(content.get("info", {})) + ",\n" + ",\n".join(sections) + "}\n"
    )
    return path


@pytest.mark.parametrize(("change", "message"), BAD)
def test_a_fault_is_named_alike_where_images_are_read_one_by_one(
    tmp_path: Path, change: Change, message: str
) -> None:
    assert len(CocoIndex(write_ours(tmp_path / "good.json", plain_coco()))) == 2
    content = plain_coco()
    change(content)
    path = write_ours(tmp_path / "t.json", content)
    with pytest.raises(
        InputError,
        match=message.replace("at place 3", ".*").replace("category .*: found", "categ.*found"),
    ):
        list(open_coco(path).images)


def test_an_index_checks_each_image_as_it_is_read(tmp_path: Path) -> None:
    merge([write(tmp_path / "plain.json", plain_coco())], tmp_path / "ours.json")
    text = (tmp_path / "ours.json").read_text()
    (tmp_path / "bad.json").write_text(text.replace(json.dumps(RLE["counts"]), '"2111"', 1))
    index = CocoIndex(tmp_path / "bad.json")
    assert index[1].cells[0].hpa_indices == (18,)
    with pytest.raises(InputError, match=r"bad.json, annotation 1: found a mask of"):
        index[0]
    assert index.without_cells(0).hpa_id == "a"


def test_our_file_may_end_in_more_line_breaks_or_begin_with_a_mark(tmp_path: Path) -> None:
    merge([write(tmp_path / "plain.json", plain_coco())], tmp_path / "ours.json")
    want, data = read_coco(tmp_path / "ours.json").images, (tmp_path / "ours.json").read_bytes()
    for name, changed in (
        ("breaks", data + b"\n\n"),
        ("no break", data[:-1]),
        ("mark", b"\xef\xbb\xbf" + data),
        ("windows", data.replace(b"\n", b"\r\n")),
    ):
        (tmp_path / "t.json").write_bytes(changed)
        assert list(open_coco(tmp_path / "t.json").images) == want, name
        lines = CocoLines(tmp_path / "t.json")
        shapes_hw = {image.image_id: image.shape_hw for _, image in lines.images()}
        assert len(list(lines.annotations(shapes_hw))) == 3
    assert len(CocoIndex(tmp_path / "ours.json")) == 2


def test_an_entry_that_is_not_at_the_start_of_its_line_is_not_lost(tmp_path: Path) -> None:
    merge([write(tmp_path / "plain.json", plain_coco())], tmp_path / "ours.json")
    text = (tmp_path / "ours.json").read_text()
    (tmp_path / "t.json").write_text(text.replace('\n{"id":9', '\n {"id":9'))
    with pytest.raises(InputError, match="not in the order of the images"):
        CocoIndex(tmp_path / "t.json")
    assert len(open_coco(tmp_path / "t.json").images) == 2


def test_an_annotation_whose_line_hides_another_image_is_refused(tmp_path: Path) -> None:
    merge([write(tmp_path / "plain.json", plain_coco())], tmp_path / "ours.json")
    text = (tmp_path / "ours.json").read_text()
    (tmp_path / "t.json").write_text(
        text.replace('"id":1,"image_id":7,', '"id":1,"x":{"image_id":7,"y":0},"image_id":9,')
    )
    with pytest.raises(InputError, match="annotation 1: found image_id 9, expected the id of an"):
        CocoIndex(tmp_path / "t.json")[0]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "latin-1"])
def test_other_encodings_are_named(tmp_path: Path, encoding: str) -> None:
    content = plain_coco()
    content["images"][0]["hpa_id"] = "\u00e9"
    text = json.dumps(content, ensure_ascii=False)
    (tmp_path / "t.json").write_bytes(text.encode(encoding))
    for read in (read_coco, open_coco, CocoLines, read_truth):
        with pytest.raises(InputError, match=r"t.json: (found text in UTF|not UTF-8)"):
            read(tmp_path / "t.json")
