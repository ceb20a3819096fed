import csv
import functools
import json
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from hpa_mmdet.cli.extract_crops import main
from hpa_mmdet.crops import CropOptions, CropStore, cells_of_image, chunks, cut_crops
from hpa_mmdet.crops.checks import check_labels, check_sources, read_store_labels
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.channels import CHANNELS, find_images, read_channels
from hpa_mmdet.io.label_images import read_label_image

SMALL = ["--size", "16", "--channels", "green", "mask", "red"]


def extract(data: Path, *words: str, out: str = "store") -> CropStore:
    assert main([str(data / "train.json"), "--out", str(data / out), *SMALL, *words]) == 0
    return CropStore(data / out)


def cut_by_hand(data: Path, hpa_id: str, options: CropOptions) -> np.ndarray:
    image = next(image for image in find_images(data / "images") if image.image_id == hpa_id)
    pixels = read_channels(image)
    planes = {name: pixels[..., at] for at, name in enumerate(CHANNELS)}
    cells = cells_of_image(read_label_image(data / "masks" / f"{hpa_id}_mask.png"))
    return cut_crops(planes, cells, options).pixels


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


def test_groups_come_from_a_table(data: Path) -> None:
    (data / "groups.csv").write_text("ID,antibody\na,HPA1\nb,HPA1\nc,\n")
    store = extract(data, "--groups", str(data / "groups.csv"), "antibody")
    assert store.images.groups == ["HPA1", "HPA1", "image c"]


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


def broken_header(store: Path, **changes: object) -> None:
    header = json.loads((store / "store.json").read_text())
    (store / "store.json").write_text(json.dumps({**header, **changes}))


def test_no_store_and_a_damaged_header_are_named(data: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere: holds no finished store of crops; make one"):
        CropStore(data / "nowhere")
    extract(data)
    (data / "store" / "store.json").write_text('{"format": "hpa-mmdet cr')
    with pytest.raises(InputError, match=r"store\.json: is no header of a store .*extract again"):
        CropStore(data / "store")


def test_a_store_of_another_version_is_refused(data: Path) -> None:
    extract(data)
    broken_header(data / "store", version=2)
    with pytest.raises(InputError, match=r"found a store of version 2, expected version 1"):
        CropStore(data / "store")


def test_a_truncated_store_is_refused(data: Path) -> None:
    store = extract(data)
    pixels = data / "store" / "pixels-000000.npy"
    whole = pixels.read_bytes()
    pixels.write_bytes(whole[:-200])
    with pytest.raises(
        InputError, match=r"pixels-000000\.npy: found .* bytes, expected .*copy the whole"
    ):
        CropStore(data / "store")
    pixels.write_bytes(b"x" * len(whole))
    with pytest.raises(InputError, match=r"pixels-000000\.npy: .*extract the crops again"):
        CropStore(data / "store").bag(0)
    np.save(pixels, np.zeros((6, 16, 16, 4), np.uint8))
    pixels.write_bytes(pixels.read_bytes()[: len(whole)].ljust(len(whole)))
    with pytest.raises(InputError, match=r"found uint8 of \(6, 16, 16, 4\), expected uint8"):
        CropStore(data / "store").bag(0)
    pixels.unlink()
    with pytest.raises(InputError, match=r"pixels-000000\.npy: No such file"):
        CropStore(data / "store")
    del store


def test_a_damaged_index_is_refused(data: Path) -> None:
    extract(data)
    table = data / "store" / "cells.parquet"
    table.write_bytes(table.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"cells\.parquet: cannot be read .*extract the crops"):
        CropStore(data / "store")
    extract(data, out="other")
    shutil.copy(data / "other" / "images.parquet", data / "store" / "cells.parquet")
    with pytest.raises(
        InputError, match=r"cells\.parquet: found columns ID, image_id.*expected image"
    ):
        CropStore(data / "store")
    extract(data, "--min-side", "15", out="fewer")
    shutil.copy(data / "fewer" / "cells.parquet", data / "store" / "cells.parquet")
    with pytest.raises(InputError, match=r"cells\.parquet: found 4 rows, expected 6 as in store"):
        CropStore(data / "store")


def test_a_store_of_other_channels_than_the_configs_is_refused(data: Path) -> None:
    store = extract(data)
    store.check_options(store.options)
    with pytest.raises(
        InputError, match=r"found channels green mask red, expected red green as in crops\.py"
    ):
        store.check_options(CropOptions(channels=("red", "green"), size_px=16), "crops.py")


def files_of(store: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in store.iterdir() if path.is_file()}


@pytest.fixture
def one_image_a_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    chunk_images = functools.partial(chunks.chunk_images, size=1)
    monkeypatch.setattr("hpa_mmdet.crops.extract.chunk_images", chunk_images)


@pytest.mark.usefixtures("one_image_a_chunk")
def test_workers_shards_and_ray_give_the_same_bytes(data: Path) -> None:
    expected = files_of(extract(data).path)
    assert {"pixels-000000.npy", "pixels-000001.npy", "store.json"} <= expected.keys()
    assert "pixels-000002.npy" not in expected  # image c has no cell
    assert files_of(extract(data, "--workers", "2", out="workers").path) == expected
    assert files_of(extract(data, "--engine", "ray", out="ray").path) == expected
    words = [str(data / "train.json"), "--out", str(data / "shards"), *SMALL]
    for number in (2, 1):
        assert main([*words, "--shard", f"{number}/2"]) == 0
        with pytest.raises(InputError, match="holds no finished store"):
            CropStore(data / "shards")
    times = {path: path.stat().st_mtime_ns for path in (data / "shards").glob("*.npy")}
    assert files_of(extract(data, out="shards").path) == expected
    kept = {path: path.stat().st_mtime_ns for path in (data / "shards").glob("*.npy")}
    assert kept.items() <= times.items()


@pytest.mark.usefixtures("one_image_a_chunk")
def test_a_changed_image_is_cut_again_and_no_other(data: Path) -> None:
    extract(data)
    words = [str(data / "train.json"), "--out", str(data / "store"), *SMALL]
    assert main(words) == 2
    times = [path.stat().st_mtime_ns for path in sorted((data / "store").glob("*.npy"))]
    Image.fromarray(np.full((70, 110), 9, np.uint8)).save(data / "images" / "b_green.png")
    store = extract(data, "--overwrite")
    later = [path.stat().st_mtime_ns for path in sorted((data / "store").glob("*.npy"))]
    assert later[0] == times[0]
    assert later[1] > times[1]
    assert set(np.unique(store.bag(1)[..., 0])) <= set(range(10))


def test_an_older_store_is_replaced_whole_and_other_files_never(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    extract(data)
    words = [str(data / "train.json"), "--out", str(data / "store"), *SMALL]
    assert main(words) == 2
    assert "store.json: is there from an earlier run; give --overwrite" in capsys.readouterr().err
    store = extract(data, "--overwrite", "--size", "24")
    assert store.crop_shape == (24, 24, 3)
    assert files_of(store.path) == files_of(extract(data, "--size", "24", out="fresh").path)
    (data / "other").mkdir()
    (data / "other" / "cells.parquet").write_text("mine")
    assert main([*words[:2], str(data / "other"), *SMALL]) == 2
    assert "cells.parquet: was not written by extract_crops" in capsys.readouterr().err
    assert (data / "other" / "cells.parquet").read_text() == "mine"


@pytest.mark.usefixtures("one_image_a_chunk")
def test_a_bad_image_is_listed_and_left_out(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = data / "images" / "a_green.png"
    path.write_bytes(path.read_bytes()[:90])
    words = [str(data / "train.json"), "--out", str(data / "store"), *SMALL]
    assert main(words) == 1
    assert "failed a: " in capsys.readouterr().out
    store = CropStore(data / "store")
    assert store.images.hpa_ids == ["b", "c"]
    np.testing.assert_array_equal(store.bag(0), cut_by_hand(data, "b", store.options))
    report = json.loads((data / "store" / "report.json").read_text())
    assert [failed["id"] for failed in report["failed"]] == ["a"]


def test_images_of_another_size_than_their_masks_fail(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for channel in CHANNELS:
        save = Image.fromarray(np.zeros((70, 111), np.uint8)).save
        save(data / "images" / f"a_{channel}.png")
    assert main([str(data / "train.json"), "--out", str(data / "store"), *SMALL]) == 1
    said = capsys.readouterr().out
    assert "image a: found channels of 111x70 pixels, expected 110x70 as in the COCO" in said
    words = [str(data / "images"), "--masks", str(data / "masks"), "--out", str(data / "two")]
    assert main([*words, *SMALL]) == 1
    assert re.search(r"image a: found channels of 111x70 .*a_mask\.png", capsys.readouterr().out)


def test_a_source_that_cannot_be_is_refused(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ["--out", str(data / "store"), *SMALL]
    for words, message in (
        ([str(data / "images")], "images: a folder of images needs --masks DIR"),
        ([str(data / "train.json"), "--masks", str(data / "masks")], "a COCO JSON holds its masks"),
        ([str(data / "train.json"), "--labels", str(data / "labels.csv")], "holds its labels"),
        ([str(data / "train.json"), "--min-side", "0"], "--min-side: found 0, expected 1 or more"),
        ([str(data / "train.json"), "--min-side", "9", "--max-side", "8"], "--max-side: found 8"),
        ([str(data / "train.json"), "--framing", "fixed"], "--um-per-px: belongs with"),
    ):
        assert main([*words, *out]) == 2
        assert message in capsys.readouterr().err
    assert not (data / "store").exists()


def test_cells_larger_than_a_fixed_window_are_said_or_left_out(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fixed = ["--framing", "fixed", "--um-per-px", "0.1", "--pixel-size", "0.063"]  # 25 pixels
    store = extract(data, *fixed)
    assert store.cells.clipped.tolist() == [False, True, True] * 2
    said = capsys.readouterr().out
    assert "4 cells are larger than their crop, which shows the middle" in said
    fewer = extract(data, *fixed, "--drop-clipped", out="fewer")
    assert fewer.cells.cell_ids.tolist() == [2, 2]
    assert "4 cells left out: larger than the crop's window" in capsys.readouterr().out


def test_masks_and_ids_without_the_other_are_said(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for channel in CHANNELS:
        (data / "images" / f"b_{channel}.png").unlink()
    (data / "masks" / "c_mask.png").unlink()
    (data / "labels.csv").write_text("ID,Label\nc,16\n")
    words = ["--masks", str(data / "masks"), "--labels", str(data / "labels.csv")]
    assert main([str(data / "images"), *words, "--out", str(data / "store"), *SMALL]) == 2
    said = capsys.readouterr().out
    assert "1 label images have no images and are left out" in said
    assert "image a: has no row in" in said
    assert "image c: has no mask in" in said


SLOW = """
import functools, sys, time
from hpa_mmdet.cli.extract_crops import main
from hpa_mmdet.crops import chunks, extract
extract.chunk_images = functools.partial(chunks.chunk_images, size=1)
quick = chunks.cut_prepared
def slow(*values):
    time.sleep(0.1)
    return quick(*values)
chunks.cut_prepared = slow
main(sys.argv[1:])
"""


@pytest.mark.usefixtures("one_image_a_chunk")
def test_a_killed_extraction_goes_on_to_the_same_bytes(data: Path) -> None:
    expected = files_of(extract(data, out="whole").path)
    words = [str(data / "train.json"), "--out", str(data / "store"), *SMALL]
    process = subprocess.Popen([sys.executable, "-c", SLOW, *words])
    while process.poll() is None and not list((data / "store").glob("pixels-*.npy")):
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    earlier = {p.name: p.stat().st_mtime_ns for p in (data / "store").glob("pixels-*.npy")}
    assert 0 < len(earlier) < 3
    assert files_of(extract(data).path) == expected
    assert (data / "store" / "pixels-000000.npy").stat().st_mtime_ns == earlier["pixels-000000.npy"]


FULL = """
import resource, sys
from hpa_mmdet.cli.extract_crops import main
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))
sys.exit(main(sys.argv[1:]))
"""


def test_a_full_disk_ends_the_run_and_the_next_one_finishes_it(data: Path) -> None:
    words = [str(data / "train.json"), "--out", str(data / "store"), *SMALL]
    told = subprocess.run(
        [sys.executable, "-c", FULL, *words], capture_output=True, text=True, check=False
    )
    assert told.returncode == 2
    assert re.search(r"pixels-000000\.npy: .*(full|room)", told.stderr)
    assert "Traceback" not in told.stderr
    assert not list((data / "store").glob("pixels*"))
    assert files_of(extract(data).path) == files_of(extract(data, out="whole").path)


def test_images_that_have_changed_since_are_noticed(data: Path) -> None:
    store = extract(data)
    check_sources(store)
    moved = data.rename(data.with_name("moved"))
    check_sources(CropStore(moved / "store"))
    path = moved / "images" / "b_red.png"
    os.utime(path, (1, 1))
    with pytest.raises(InputError, match=r"b_red\.png: has changed since the crops of .*store"):
        check_sources(CropStore(moved / "store"))
    path.unlink()
    with pytest.raises(InputError, match=r"b_red\.png: No such file or directory, but crops of"):
        check_sources(CropStore(moved / "store"))


def relabel(data: Path, **changes: object) -> Path:
    content = json.loads((data / "train.json").read_text())
    content["annotations"][1] |= changes
    (data / "refined.json").write_text(json.dumps(content))
    return data / "refined.json"


def test_labels_that_differ_from_the_jsons_are_noticed_and_can_be_taken(data: Path) -> None:
    store = extract(data)
    check_labels(store, data / "train.json")
    path = relabel(data, category_ids=[6], category_id=6)
    with pytest.raises(
        InputError,
        match=r"cell 5 of image a: found labels Nucleoli fibrillar center, Nuclear bodies, "
        r"expected Nuclear bodies as in .*refined\.json",
    ):
        check_labels(store, path)
    cells, images, reviewed = read_store_labels(store, path)
    assert cells[1].nonzero()[0].tolist() == [5]
    assert not reviewed.any()
    np.testing.assert_array_equal(images, store.images.image_labels)


def test_soft_labels_are_kept(data: Path) -> None:
    path = relabel(data, category_probs=[0.25, 0.5])
    assert main([str(path), "--out", str(data / "soft"), *SMALL]) == 0
    soft = CropStore(data / "soft").cells.localizations[1]
    assert soft[[3, 5]].tolist() == [0.25, 0.5]
    with pytest.raises(InputError, match=r"found labels .*expected Nucleoli .* 0\.25, Nuclear"):
        check_labels(extract(data), path)


def test_a_json_of_other_images_or_cells_is_refused(data: Path) -> None:
    store = extract(data)
    content = json.loads((data / "train.json").read_text())
    (data / "o.json").write_text(
        json.dumps(
            {**content, "images": content["images"][1:], "annotations": content["annotations"][3:]}
        )
    )
    with pytest.raises(InputError, match=r"o\.json: lacks 1 images of .*store, such as a"):
        read_store_labels(store, data / "o.json")
    del content["annotations"][2]
    (data / "o.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"o\.json: lacks cell 9 of image a, of which there"):
        read_store_labels(store, data / "o.json")
    content["images"][0]["labels"] = [3]
    (data / "o.json").write_text((data / "train.json").read_text().replace("[3,5]", "[3]"))
    with pytest.raises(InputError, match=r"image a: found labels .*Nuclear bodies, expected"):
        check_labels(store, data / "o.json")


def test_the_white_level_of_12_bit_files_is_measured_over_all_of_them(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    for path in (data / "images").iterdir():
        Image.fromarray(rng.integers(1, 300, (70, 110)).astype(np.uint16)).save(path)
    bright = np.full((70, 110), 4000, np.uint16)
    Image.fromarray(bright).save(data / "images" / "b_red.png")
    store = extract(data)
    assert "read with white level 4095 (12 bits)" in capsys.readouterr().out
    assert store.options.white_level == 4095
    inside = store.bag(1)[..., 1] == 255
    assert set(np.unique(store.bag(1)[..., 2][inside])) == {249}  # 4000 of 4095
    assert store.bag(0)[..., 2].max() <= 19
    expected = CropOptions.from_dict({**store.options.to_dict(), "white_level": None})
    store.check_options(expected)
    assert extract(data, "--white-level", "65535", out="deep").bag(1)[..., 2].max() == 16
