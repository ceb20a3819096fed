"""tools/synthesize.py: the contest's layout, truth apart, the same bytes for any workers."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hpa_mmdet.cli.synthesize import main
from hpa_mmdet.io.channels import CHANNELS, find_images, read_channels
from hpa_mmdet.io.label_images import read_label_image
from hpa_mmdet.io.label_tables import read_cell_labels, read_image_labels
from hpa_mmdet.io.output_records import RECORDS
from hpa_mmdet.io.submission import read_submission
from hpa_mmdet.synth import dataset

ARGUMENTS = [
    "--images",
    "3",
    "--test-images",
    "2",
    "--size",
    "120",
    "160",
    "--pixel-um",
    "0.5",
    "--seed",
    "4",
]


def tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and RECORDS not in path.parts
    }


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("synthetic") / "out"
    assert main([str(out), *ARGUMENTS, "--workers", "1"]) == 0
    return out


def test_the_layout_is_the_contest_s_and_truth_stands_apart(data: Path) -> None:
    train, test = (find_images(data / split) for split in ("train", "test"))
    assert (len(train), len(test)) == (3, 2)
    names = {path for path in tree(data) if not path.startswith("truth/")}
    pictures = {
        f"{split}/{image.image_id}_{channel}.png"
        for split, found in (("train", train), ("test", test))
        for image in found
        for channel in CHANNELS
    }
    tables = {"train.csv", "sample_submission.csv", "README-SYNTHETIC.txt"}
    assert names == pictures | tables
    assert sorted(read_image_labels(data / "train.csv")) == [image.image_id for image in train]
    rows = list(read_submission(data / "sample_submission.csv"))
    assert {row.image_id for row in rows} == {image.image_id for image in test}
    assert {(row.width, row.height) for row in rows} == {(160, 120)}
    assert all(row.predictions == [] for row in rows)
    assert read_channels(train[0]).shape == (120, 160, 4)


def test_no_image_is_in_both_splits(data: Path) -> None:
    first, second = (
        {path.read_bytes() for path in (data / split).glob("*.png")} for split in ("train", "test")
    )
    assert not first & second


def test_what_stands_outside_truth_says_nothing_of_single_cells(data: Path) -> None:
    with (data / "train.csv").open(newline="") as file:
        assert next(csv.reader(file)) == ["ID", "Label"]
    notice = (data / "README-SYNTHETIC.txt").read_text()
    assert "SYNTHETIC" in notice
    assert "--seed 4" in notice


@pytest.mark.parametrize("split", ["train", "test"])
def test_truth_json_masks_and_table_agree(data: Path, split: str) -> None:
    truth = data / "truth" / split
    sets = read_cell_labels(truth / "cells.csv")
    content = json.loads((truth / "cells.json").read_text())
    assert {image["hpa_id"] for image in content["images"]} == {
        image.image_id for image in find_images(data / split)
    }
    seen = 0
    for image in content["images"]:
        mask = read_label_image(truth / "masks" / f"{image['hpa_id']}_mask.png")
        nuclei = read_label_image(truth / "nuclei" / f"{image['hpa_id']}_mask.png")
        assert mask.shape == nuclei.shape == (120, 160)
        assert (mask[nuclei > 0] == nuclei[nuclei > 0]).all()
        for cell in (
            annotation
            for annotation in content["annotations"]
            if annotation["image_id"] == image["id"]
        ):
            shown = sets[image["hpa_id"]][cell["cell_id"]]
            assert [category_id - 1 for category_id in cell["category_ids"]] == list(shown)
            assert cell["area"] == (mask == cell["cell_id"]).sum()
            seen += 1
    assert seen == sum(len(cells) for cells in sets.values()) > 0


def test_any_number_of_workers_writes_the_same_bytes(data: Path, tmp_path: Path) -> None:
    assert main([str(tmp_path / "two"), *ARGUMENTS, "--workers", "2"]) == 0
    first, second = tree(data), tree(tmp_path / "two")
    notice = "README-SYNTHETIC.txt"  # tells the command
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == [notice]


def test_more_images_leave_the_first_ones_as_they_are(data: Path, tmp_path: Path) -> None:
    more = [*ARGUMENTS, "--workers", "1"]
    more[1] = "4"
    assert main([str(tmp_path / "more"), *more]) == 0
    first, second = tree(data), tree(tmp_path / "more")
    pictures = [name for name in first if name.endswith(".png")]
    assert all(first[name] == second[name] for name in pictures)
    assert len([name for name in second if name.startswith("train/")]) == 16


def test_share_reaches_every_cell(tmp_path: Path) -> None:
    assert main([str(tmp_path), *ARGUMENTS, "--share", "1", "--workers", "1"]) == 0
    labels = read_image_labels(tmp_path / "truth" / "train" / "images.csv")
    cells = read_cell_labels(tmp_path / "truth" / "train" / "cells.csv")
    for image_id, sets in cells.items():
        assert 11 in labels[image_id] or set(sets.values()) == {labels[image_id]}


def test_the_contact_sheet_is_a_picture_of_all_classes(tmp_path: Path) -> None:
    path = tmp_path / "sheet.jpg"
    assert main(["--contact-sheet", str(path)]) == 0
    with Image.open(path) as picture:
        assert picture.size == (1344, 930)
        tiles = np.asarray(picture)[:930].reshape(5, 186, 4, 336, 3).swapaxes(1, 2)
    assert (tiles.reshape(20, -1).max(axis=1) > 150).all()
    assert path.stat().st_size < 250_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param([], "OUT: found nothing", id="no folder"),
        pytest.param(["{}", "--images", "0", "--test-images", "0"], "found 0, 0", id="no images"),
        pytest.param(["{}", "--images", "-1"], "found -1, 160, expected one", id="negative"),
        pytest.param(["{}", "--share", "70"], "--share: found 70.0, expected 0 to 1", id="share"),
        pytest.param(["{}", "--size", "40", "640"], "found 640x40 pixels of 0.25 um", id="small"),
        pytest.param(["{}", "--layout", "{}/none"], "none/truth: found no folder", id="layout"),
    ],
)
def test_bad_arguments_write_nothing(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main([word.replace("{}", str(out)) for word in arguments]) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_a_folder_with_another_data_set_is_left_alone_unless_told(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = tree(data)
    assert main([str(data), *ARGUMENTS, "--evenness", "1"]) == 2
    assert f"{data}: found files, expected an empty folder" in capsys.readouterr().err
    assert tree(data) == before
    assert main([str(data), *ARGUMENTS, "--workers", "1", "--overwrite"]) == 0
    after = tree(data)
    assert {name for name in before if before[name] != after[name]} <= {"README-SYNTHETIC.txt"}


def test_a_run_that_a_full_disk_ended_goes_on(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out, write, written = tmp_path / "out", dataset.write_label_image, []

    def full(path: Path, label_image: np.ndarray) -> None:
        if len(written) == 3:
            raise OSError(28, "No space left on device")
        written.append(path)
        write(path, label_image)

    command = [str(out), *ARGUMENTS, "--workers", "1"]
    with monkeypatch.context() as patch:
        patch.setattr(dataset, "write_label_image", full)
        assert main(command) == 2
    assert "found a full disk" in capsys.readouterr().err
    [first] = (out / "truth" / "train" / "masks").glob("*.png")
    time = first.stat().st_mtime_ns
    assert main(command) == 0  # as the message says
    assert first.stat().st_mtime_ns == time
    left, right = tree(data), tree(out)
    assert {name for name in left | right if left.get(name) != right.get(name)} <= {
        "README-SYNTHETIC.txt"
    }


def test_overwrite_leaves_no_image_of_the_older_data_set(tmp_path: Path) -> None:
    small = [*ARGUMENTS, "--workers", "1"]
    assert main([str(tmp_path / "out"), *small]) == 0
    other = [*small[:-4], "--seed", "5", "--workers", "1", "--overwrite"]
    other[1] = "2"
    assert main([str(tmp_path / "out"), *other]) == 0
    assert len(tree(tmp_path / "out" / "train")) == 2 * 4
    assert len(tree(tmp_path / "out" / "truth" / "train" / "masks")) == 2


def test_overwrite_never_removes_files_of_other_origin(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "mine.png").write_bytes(b"precious")
    assert main([str(tmp_path), *ARGUMENTS, "--overwrite"]) == 2
    assert "found no file that synthesize wrote" in capsys.readouterr().err
    assert (tmp_path / "train" / "mine.png").read_bytes() == b"precious"
    out = tmp_path / "out"
    assert main([str(out), *ARGUMENTS, "--workers", "1"]) == 0
    changed = next(iter((out / "test").glob("*_red.png")))
    for path in (out / "train" / "mine.png", changed, out / "train.json"):
        path.write_bytes(b"precious")
    options = ["--workers", "1", "--overwrite", "--evenness", "1"]
    assert main([str(out), *ARGUMENTS, *options]) == 1  # the changed image fails
    assert f"{changed.name}: was changed since synthesize wrote it" in capsys.readouterr().out
    for path in (out / "train" / "mine.png", changed, out / "train.json"):
        assert path.read_bytes() == b"precious"


def test_a_contact_sheet_replaces_no_other_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.jpg").write_bytes(b"precious")
    assert main(["--contact-sheet", str(tmp_path / "a.jpg"), "--overwrite"]) == 2
    assert "a.jpg: was not written by synthesize" in capsys.readouterr().err
