"""Hostile COCO JSONs: an `InputError` or a whole answer, never anything else, and soon."""

from collections import deque
from contextlib import suppress
from pathlib import Path

import pytest
from coco_bytes import UNTIL_SPENT, Budget, coco_bytes
from hypothesis import given

from hpa_mmdet.coco.index import open_coco
from hpa_mmdet.coco.lines import CocoLines
from hpa_mmdet.coco.merge import merge
from hpa_mmdet.coco.parse import CocoImage
from hpa_mmdet.coco.read import read_coco
from hpa_mmdet.coco.statistics import measure_cells
from hpa_mmdet.coco.to_submission import convert_to_submission
from hpa_mmdet.coco.validate import validate
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.submission import read_submission
from hpa_mmdet.masks.label_image import label_image_from_rles
from hpa_mmdet.scoring.files import ScoringOptions, read_found_cells, score_rows
from hpa_mmdet.scoring.truth import read_truth

KEPT = [  # what once broke a reader
    b"\xff\xfe[\0]\0",
    b"[" * 100_000,
    b'{"info":null,\n"categories":[\n',
    b'{"info":{},\n"categories":[\n{"id":1,"name":"Cytosol"}\n],\n"images":[\nnull\n],\n"annotations":[\n\n]}\n',
    b'{"categories":[],"images":[{"id":1,"file_name":"a.png","width":3,"height":1'
    + b"0" * 5000
    + b'}],"annotations":[]}',
]


def read_everywhere(data: bytes, folder: Path) -> None:
    """Give a file to every reader; where all of it can be read, the tools must agree."""
    path = folder / "t.json"
    path.write_bytes(data)
    whole = index = None
    with suppress(InputError):
        whole = read_coco(path).images
    with suppress(InputError):
        index = list(open_coco(path).images)
    for read in (_read_lines, validate, read_truth, lambda path: read_found_cells(path, {})):
        with suppress(InputError):
            read(path)
    if whole is None or index is None:
        return
    assert list(whole) == index
    measure_cells(index)
    for image in index:
        counts = [cell.counts for cell in image.cells]
        label_image_from_rles(counts, image.shape_hw, [cell.cell_id for cell in image.cells])
    _convert_and_score(path, folder)


def _read_lines(path: Path) -> None:
    lines = CocoLines(path)
    shapes_hw = {image.image_id: image.shape_hw for _, image in lines.images()}
    deque(lines.annotations(shapes_hw), maxlen=0)


def _convert_and_score(path: Path, folder: Path) -> None:
    """What one of our tools writes, the next one reads."""
    submission, merged = folder / "s.csv", folder / "merged.json"
    merged.unlink(missing_ok=True)
    try:
        convert_to_submission(path, submission)
        merge([path], merged, overwrite=True)
        truth = read_truth(path)
    except InputError:  # an image twice, or none
        return
    assert _without_annotation_ids(merged) == _without_annotation_ids(path)
    scores = score_rows(
        read_submission(submission), truth, ScoringOptions(tie_orders=0, resamples=0)
    )
    assert not scores.contest.missing


def _without_annotation_ids(path: Path) -> list[CocoImage]:
    """A merged file numbers its annotations anew."""
    return [
        image._replace(cells=tuple(cell._replace(annotation_id=0) for cell in image.cells))
        for image in read_coco(path).images
    ]


@pytest.mark.parametrize("data", KEPT, ids=range(len(KEPT)))
def test_what_once_broke_a_reader(data: bytes, tmp_path: Path) -> None:
    read_everywhere(data, tmp_path)


def test_hostile_files_are_refused_or_read(tmp_path: Path) -> None:
    budget = Budget()

    @UNTIL_SPENT
    @given(coco_bytes())
    def try_one(data: bytes) -> None:
        with budget.one_input(data):
            read_everywhere(data, tmp_path)

    budget.spend(try_one)
