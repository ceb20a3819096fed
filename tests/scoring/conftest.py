"""A submission and its truth, drawn."""

import json
from pathlib import Path

import pytest
from contest_by_hand import DrawnImage, box, random_images
from truth_files import coco

from hpa_mmdet.io.submission import write_submission


@pytest.fixture
def images() -> list[DrawnImage]:
    one = next(images for images in map(random_images, range(99)) if len(images) == 4)
    two_cells = [(box(1, 1, 9, 9), {2, 5}), (box(12, 1, 9, 9), {18})]
    found = [(2, 0.8, box(1, 2, 9, 9)), (5, 0.4, box(1, 2, 9, 9)), (18, 0.6, box(12, 1, 9, 9))]
    return [*one, DrawnImage("5", two_cells, found)]


@pytest.fixture
def files(tmp_path: Path, images: list[DrawnImage]) -> tuple[Path, Path]:
    submission, truth = tmp_path / "submission.csv", tmp_path / "truth.json"
    write_submission(submission, [image.row() for image in images])
    truth.write_text(json.dumps(coco(images)))
    return submission, truth
