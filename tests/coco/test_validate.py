"""Validation: a good file has no findings, each fault has its own."""

import json
from pathlib import Path

import numpy as np
import pytest
from make_dataset import Dataset, make_dataset, options
from PIL import Image

from hpa_mmdet.cli.validate_coco import main
from hpa_mmdet.coco.convert import convert
from hpa_mmdet.coco.findings import FINDING_KINDS
from hpa_mmdet.coco.validate import validate
from hpa_mmdet.errors import InputError


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return make_dataset(tmp_path / "data")


@pytest.fixture
def coco(dataset: Dataset, tmp_path: Path) -> Path:
    convert(dataset.sources(), tmp_path / "t.json")
    return tmp_path / "t.json"


def first(content: dict) -> dict:
    return content["annotations"][0]


FAULTS = {
    "key": lambda c: first(c).pop("iscrowd"),
    "category": lambda c: c["categories"].pop(),
    "duplicate id": lambda c: first(c).update(id=2),
    "duplicate image": lambda c: c["images"][0].update(hpa_id="b"),
    "orphan annotation": lambda c: first(c).update(image_id=9),
    "unknown category": lambda c: first(c).update(category_id=20, category_ids=[20]),
    "category set": lambda c: first(c).update(category_ids=[17, 1]),
    "key of an image": lambda c: c["images"][0].update(width="wide"),
    "bbox of three": lambda c: first(c).update(bbox=[0, 2, 8]),
    "size of an image": lambda c: c["images"][0].update(width=0),
    "duplicate id of an image": lambda c: c["images"][0].update(id=2),
    "image labels": lambda c: c["images"][0].update(labels=[16, 0]),
    "size": lambda c: first(c)["segmentation"].update(size=[40, 23]),
    "mask": lambda c: first(c)["segmentation"].update(counts="21"),
    "empty mask": lambda c: first(c)["segmentation"].update(counts="hl0"),
    "area": lambda c: first(c).update(area=71),
    "box": lambda c: first(c).update(bbox=[0, 2, 8, 10]),
    "box outside": lambda c: first(c).update(bbox=[-1, 2, 8, 9]),
    "border flag": lambda c: first(c).update(touches_border=False),
    "crowd": lambda c: first(c).update(iscrowd=1),
    "duplicate cell": lambda c: c["annotations"][1].update(cell_id=1),
    "refused": lambda c: c["annotations"][1].update(cell_id=1, category_id=2, category_ids=[2]),
    "path that leads out": lambda c: c["images"][0].update(file_name="../a_green.png"),
    "duplicate mask": lambda c: c["annotations"][1].update(
        {key: first(c)[key] for key in ("segmentation", "bbox", "area", "touches_border")}
    ),
    "image without cells": lambda c: c.update(annotations=c["annotations"][3:]),
    "stray label": lambda c: c["images"][0].update(labels=[16]),
    "order": lambda c: c["annotations"].insert(0, c["annotations"].pop()),
}
# the kind of a fault that shares it with another, and what cannot but come with it
KIND = {
    "path that leads out": "refused",
    "key of an image": "key",
    "bbox of three": "key",
    "size of an image": "size",
    "duplicate id of an image": "duplicate id",
}
ALSO = {
    "refused": {"stray label"},
    "box outside": {"box"},
    "key of an image": {"orphan annotation"},
    "size of an image": {"box outside"},
    "duplicate id of an image": {"orphan annotation"},
}


@pytest.mark.parametrize("fault", list(FAULTS))
def test_each_fault_has_its_finding(coco: Path, fault: str) -> None:
    kind = KIND.get(fault, fault)
    content = json.loads(coco.read_text())
    FAULTS[fault](content)
    coco.write_text(json.dumps(content))
    findings = validate(coco, check_files=False)
    expected = {kind, "small image", *ALSO.get(fault, ())}
    assert set(findings.counts) == expected, findings.summary()
    assert (findings.errors > 0) == FINDING_KINDS[kind][0]
    assert f": {kind}, " in findings.summary()


def test_a_converted_file_has_no_faults(coco: Path, tmp_path: Path, dataset: Dataset) -> None:
    findings = validate(coco)
    assert dict(findings.counts) == {"small image": 3}  # the test images are tiny
    assert (findings.images, findings.annotations) == (3, 9)
    convert(dataset.sources(), tmp_path / "l.json", options(layout="per-label"))
    assert validate(tmp_path / "l.json").errors == 0


def test_pixels_that_training_refuses_are_errors(coco: Path, dataset: Dataset) -> None:
    deep = np.zeros((23, 40), np.uint16)
    Image.fromarray(deep).save(dataset.images / "a_red.png")
    np.save(dataset.images / "b", deep.astype(np.float32))
    (dataset.images / "b.npy").replace(dataset.images / "b_red.png")
    findings = validate(coco)
    assert (findings.counts["depth"], findings.counts["missing file"]) == (1, 1)
    assert "files of 8 and of 16 bits" in findings.summary()
    assert "b_red.png: found float32 pixels, expected 8 or 16 bit" in findings.summary()


def test_image_files_are_looked_at(coco: Path, dataset: Dataset, tmp_path: Path) -> None:
    (dataset.images / "a_red.png").unlink()
    Image.fromarray(np.zeros((5, 6), np.uint8)).save(dataset.images / "b_red.png")
    (dataset.images / "c_red.png").write_bytes(b"")
    findings = validate(coco)
    assert findings.counts["missing file"] == 2
    assert findings.counts["file size"] == 1
    assert "b_red.png is 6x5, the entry 40x23" in findings.summary()
    assert validate(coco, tmp_path).counts["missing file"] == 12


def test_only_a_few_examples_are_kept(coco: Path) -> None:
    content = json.loads(coco.read_text())
    for annotation in content["annotations"]:
        annotation["area"] += 1
    coco.write_text(json.dumps(content))
    findings = validate(coco)
    assert (findings.counts["area"], len(findings.examples["area"])) == (9, 5)
    assert "    ..." in findings.summary()


def test_the_tool_speaks_to_people_and_programs(coco: Path, tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    assert main([str(coco), "--json", str(tmp_path / "check.json")]) == 0
    assert "3 images, 9 annotations, 0 errors, 3 warnings" in capsys.readouterr().out
    written = json.loads((tmp_path / "check.json").read_text())
    assert (written["errors"], written["findings"][0]["kind"]) == (0, "small image")
    content = json.loads(coco.read_text())
    first(content)["area"] = 1
    coco.write_text(json.dumps(content))
    assert main([str(coco), "--json", "-", "--no-files"]) == 1
    assert json.loads(capsys.readouterr().out)["errors"] == 1
    assert main([str(tmp_path / "no.json")]) == 2
    assert "validate_coco: " in capsys.readouterr().err


def test_what_cannot_be_read_is_no_finding(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text("{}")
    with pytest.raises(InputError, match="found no list 'categories'"):
        validate(tmp_path / "t.json")
