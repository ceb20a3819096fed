"""A store beside its source: what has changed since is noticed, damage is named."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_stores import SMALL, extract, relabel

from hpa_mmdet.cli.extract_crops import main
from hpa_mmdet.crops import CropOptions, CropStore
from hpa_mmdet.crops.checks import check_labels, check_sources, read_store_labels
from hpa_mmdet.errors import InputError


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
