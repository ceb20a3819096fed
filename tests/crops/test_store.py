"""A store of crops: what it holds, its index, what is left out of it."""

import csv
import pickle
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from small_stores import SMALL, cut_by_hand, extract, relabel

from hpa_mmdet.cli.extract_crops import main
from hpa_mmdet.crops import CropStore
from hpa_mmdet.crops.checks import read_store_labels
from hpa_mmdet.io.channels import CHANNELS


def test_a_store_holds_the_crops_that_inference_cuts(data: Path) -> None:
    store = extract(data)
    assert len(store) == 6
    assert store.crop_shape == (16, 16, 3)
    assert store.images.hpa_ids == ["a", "b", "c"]
    assert store.images.crop_counts.tolist() == [3, 3, 0]
    for place, hpa_id in enumerate("ab"):
        np.testing.assert_array_equal(store.bag(place), cut_by_hand(data, hpa_id, store.options))
    assert store.bag(2).shape == (0, 16, 16, 3)


def test_the_index_says_whose_each_crop_is(data: Path) -> None:
    store = extract(data)
    cells, images = store.cells, store.images
    assert cells.images.tolist() == [0, 0, 0, 1, 1, 1]
    assert cells.cell_ids.tolist() == [2, 5, 9] * 2
    assert cells.boxes_xywh[:3].tolist() == [[3, 0, 22, 14], [20, 30, 25, 30], [70, 20, 28, 30]]
    assert cells.areas[:3].tolist() == [22 * 14, 25 * 30, 28 * 30]
    assert cells.at_border.tolist() == [True, False, False] * 2
    assert [row.nonzero()[0].tolist() for row in cells.localizations] == [[3, 5]] * 3 + [[0]] * 3
    assert [row.nonzero()[0].tolist() for row in images.image_labels] == [[3, 5], [0], [16]]
    assert images.groups == ["a", "b", "c"]
    assert images.shapes_hw.tolist() == [[70, 110]] * 3
    assert images.files[0] == [f"a_{name}.png" for name in CHANNELS]
    table = pq.read_table(data / "store" / "cells.parquet").to_pylist()
    assert table[4] == {
        "image": 1,
        "ID": "b",
        "cell_id": 5,
        "x": 21,
        "y": 30,
        "width": 25,
        "height": 30,
        "area": 750,
        "labels": [0],
        "label_probs": [],
        "reviewed": False,
        "border": False,
        "clipped": False,
        "group": "b",
    }


def test_bags_and_crops_are_views_of_the_file(data: Path) -> None:
    store = extract(data)
    assert isinstance(store.bag(1).base, np.memmap)
    assert isinstance(store[4].base, np.memmap)
    np.testing.assert_array_equal(store.take([4, 0]), [store.bag(1)[1], store.bag(0)[0]])
    with pytest.raises(IndexError):
        store[6]


def test_a_store_goes_to_a_worker_by_its_path(data: Path) -> None:
    store = extract(data)
    sent = pickle.dumps(store)
    assert len(sent) < 1000
    np.testing.assert_array_equal(pickle.loads(sent).bag(0), store.bag(0))


def test_a_folder_of_images_gives_the_same_pixels(data: Path) -> None:
    of_json = extract(data)
    words = ["--masks", str(data / "masks"), "--labels", str(data / "labels.csv")]
    out = data / "other"
    assert main([str(data / "images"), *words, *SMALL, "--out", str(out)]) == 0
    of_folder = CropStore(out)
    for place in range(3):
        np.testing.assert_array_equal(of_folder.bag(place), of_json.bag(place))
    np.testing.assert_array_equal(of_folder.cells.localizations, of_json.cells.localizations)
    np.testing.assert_array_equal(of_folder.images.image_labels, of_json.images.image_labels)


def test_labels_are_optional_for_a_folder_and_cells_may_have_their_own(data: Path) -> None:
    folder, masks = str(data / "images"), ["--masks", str(data / "masks")]
    assert main([folder, *masks, *SMALL, "--out", str(data / "bare")]) == 0
    assert not CropStore(data / "bare").cells.localizations.any()
    (data / "cells.csv").write_text("ID,cell_id,cell_labels\na,2,7\na,9,0|18\n")
    words = [*masks, "--cell-labels", str(data / "cells.csv"), "--out", str(data / "own")]
    assert main([folder, *words, *SMALL]) == 0
    store = CropStore(data / "own")
    sets = [row.nonzero()[0].tolist() for row in store.cells.localizations[:3]]
    assert sets == [[7], [0, 7, 18], [0, 18]]  # 5 is not named and inherits
    assert store.cells.reviewed[:3].tolist() == [True, False, True]


def test_reviewed_cells_keep_their_mark_and_bad_outlines_are_left_out(data: Path) -> None:
    path = relabel(data, reviewed=True)
    assert main([str(path), "--out", str(data / "r"), *SMALL]) == 0
    assert CropStore(data / "r").cells.reviewed.tolist() == [False, True, *[False] * 4]
    assert read_store_labels(extract(data), path).reviewed.tolist() == [False, True, *[False] * 4]
    (data / "cells.csv").write_text("ID,cell_id,cell_labels\na,2,7\na,9,bad_mask\n")
    words = ["--masks", str(data / "masks"), "--cell-labels", str(data / "cells.csv")]
    assert main([str(data / "images"), *words, *SMALL, "--out", str(data / "own")]) == 0
    assert CropStore(data / "own").cells.cell_ids[:2].tolist() == [2, 5]
    dropped = (data / "own" / "dropped.csv").read_text().splitlines()
    assert dropped[1].startswith("a,9,a reviewer marked its outline as bad,")


def test_groups_come_from_a_table(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (data / "groups.csv").write_text("ID,antibody\na,HPA1\nb,HPA1\nc,\n")
    store = extract(data, "--groups", str(data / "groups.csv"), "antibody")
    assert store.images.groups == ["HPA1", "HPA1", "image c"]
    (data / "groups.csv").write_text("ID,antibody\na,HPA1\nb,HPA1\n")
    words = ["--groups", str(data / "groups.csv"), "antibody", "--overwrite", *SMALL]
    assert main([str(data / "train.json"), "--out", str(data / "store"), *words]) == 2
    assert "groups.csv: found no row for c" in capsys.readouterr().err
    assert CropStore(data / "store").images.groups == ["HPA1", "HPA1", "image c"]


def test_cells_beyond_the_limits_are_counted_and_listed(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = extract(data, "--drop-border", "--max-side", "29", "--min-side", "15")
    assert len(store) == 0
    said = capsys.readouterr().out
    assert "2 cells left out: a side below --min-side (dropped.csv)" in said
    assert "4 cells left out: a side above --max-side (dropped.csv)" in said
    with (data / "store" / "dropped.csv").open() as handle:
        rows = list(csv.reader(handle))
    assert rows[:3] == [
        ["ID", "cell_id", "reason", "value"],
        ["a", "2", "a side below --min-side", "14"],
        ["a", "5", "a side above --max-side", "30"],
    ]
    assert len(rows) == 7


def test_regions_come_from_the_nuclei(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = extract(data, "--nuclei", str(data / "nuclei"), "--region", "nucleus")
    assert store.cells.cell_ids.tolist() == [5, 9] * 2
    assert store.cells.areas.tolist() == [100] * 4
    assert "2 cells left out: no pixel in the region" in capsys.readouterr().out
    (data / "nuclei" / "b_mask.png").unlink()
    words = ["--nuclei", str(data / "nuclei"), "--region", "cytoplasm", "--overwrite"]
    assert main([str(data / "train.json"), "--out", str(data / "store"), *SMALL, *words]) == 1
    assert "image b: has no label image of nuclei" in capsys.readouterr().out


def test_sizes_are_printed_beside_the_earlier_works(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    extract(data)
    lines = capsys.readouterr().out.splitlines()
    heights, widths = [14, 30, 30] * 2, [22, 25, 28] * 2
    for line, sides in ((lines[1], heights), (lines[3], widths)):
        points = np.percentile(sides, [0, 25, 50, 75, 100])
        expected = [6, np.mean(sides), np.std(sides, ddof=1), *points]
        assert line.split()[2:] == [f"{value:.0f}" for value in expected]
    assert lines[2].split()[-8:] == ["248,271", "406", "208", *"-----"]
    assert lines[4].split()[-8:] == ["248,271", "411", "210", *"-----"]


def test_a_sheet_is_drawn_for_each_class(data: Path) -> None:
    extract(data, "--sheets", "2")
    names = sorted(path.name for path in (data / "store" / "sheets").iterdir())
    assert names == [
        "00_nucleoplasm.jpg",
        "03_nucleoli_fibrillar_center.jpg",
        "05_nuclear_bodies.jpg",
    ]
