"""--layout: real outlines and label sets are kept, antibodies are parted."""

import csv
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hpa_mmdet.cli.synthesize import main
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.label_images import read_label_image
from hpa_mmdet.io.label_tables import read_cell_labels, read_image_labels
from hpa_mmdet.synth.invented_nuclei import invent_nuclei
from hpa_mmdet.synth.layout import (
    plan_layout_items,
    read_layout,
    render_layout_item,
    split_by_antibody,
)

MASK_HW = (300, 500)  # 24 by 40 um at HPA's 0.08
SETS = {3: "0|16", 7: "11", 40: "18"}  # ids with gaps


def write_table(path: Path, header: str, rows: list[tuple]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header.split(","), *rows])


def make_layout(folder: Path) -> Path:
    """Four images of three cells each, two antibodies."""
    (folder / "truth").mkdir(parents=True)
    images, cells = [], []
    for number, (labels, antibody) in enumerate(
        [("0|16", "A"), ("0|16|11", "A"), ("6", "B"), ("0|16", "B")]
    ):
        mask = np.zeros(MASK_HW, np.uint8)
        mask[20:280, 10:200] = 3
        mask[:150, 203:400] = 7
        mask[160:300, 210:500] = 40
        mask[10:14, 450:453] = 9  # too small to draw once it is scaled
        name = f"plate_{number}"
        Image.fromarray(mask).save(folder / "truth" / f"{name}_mask.png")
        images.append((name, labels, antibody))
        cells += [(name, cell, shown) for cell, shown in {**SETS, 9: "16"}.items()]
    write_table(folder / "images.csv", "ID,Label,antibody", images)
    write_table(folder / "cells.csv", "ID,cell_id,cell_labels", cells)
    return folder


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    return make_layout(tmp_path / "layout")


def test_an_image_in_its_own_outlines_keeps_every_cell_and_set(layout: Path) -> None:
    items = plan_layout_items(read_layout(layout), 0, 2, 2)
    assert all(item.labels == item.outlines for item in items)
    image = render_layout_item(items[0], 0, (150, 250))
    assert image.channels.shape == (150, 250, 4)
    assert {k: sorted(v) for k, v in image.localizations.items()} == {3: [0, 16], 7: [11], 40: [18]}
    want = np.zeros((150, 250), int)
    want[10:140, 5:100], want[:75, 102:200], want[80:150, 105:250] = 3, 7, 40
    assert (image.cells != want).mean() < 0.01
    assert set(np.unique(image.nuclei)) == {0, 3, 7, 40}
    inside = image.nuclei > 0
    assert (image.nuclei[inside] == image.cells[inside]).all()


def test_the_aspect_is_kept_where_size_has_another(layout: Path) -> None:
    item = plan_layout_items(read_layout(layout), 0, 1, 0)[0]
    assert render_layout_item(item, 0, (200, 200)).cells.shape == (120, 200)


def test_more_images_draw_label_sets_of_one_into_outlines_of_another(layout: Path) -> None:
    images = read_layout(layout)
    items = plan_layout_items(images, 0, 12, 0)
    assert [item.labels == item.outlines for item in items[:2]] == [True, True]
    assert any(item.labels != item.outlines for item in items[2:])
    for item in items[2:6]:
        image = render_layout_item(item, 0, (120, 200))
        assert image.image_labels == item.labels.image_labels
        want = Counter(item.labels.cell_sets.values())
        assert not Counter(image.localizations.values()) - want  # each set at most as often


def test_train_and_test_share_no_antibody_and_every_label_that_can_be_in_both(
    layout: Path,
) -> None:
    train, test = split_by_antibody(read_layout(layout), 0)
    assert len(train) == len(test) == 2
    assert not {image.antibody for image in train} & {image.antibody for image in test}
    for half in (train, test):
        assert 0 in frozenset().union(*(image.image_labels for image in half))


def test_the_tool_writes_the_groups_and_the_same_bytes_again(layout: Path, tmp_path: Path) -> None:
    arguments = ["--layout", str(layout), "--size", "120", "200", "--images", "3"]
    for name in ("a", "b"):
        out = [str(tmp_path / name), *arguments, "--test-images", "1", "--workers", "1"]
        assert main(out) == 0
    a, b = (
        {p.relative_to(f): p.read_bytes() for p in sorted(f.rglob("*.*"))}
        for f in (tmp_path / "a", tmp_path / "b")
    )
    assert [str(name) for name in a if a[name] != b[name]] == ["README-SYNTHETIC.txt"]
    with (tmp_path / "a" / "train_groups.csv").open(newline="") as file:
        groups = list(csv.DictReader(file))
    labels = read_image_labels(tmp_path / "a" / "train.csv")
    assert [row["ID"] for row in groups] == list(labels)
    assert len({row["antibody"] for row in groups}) == 1
    mask = read_label_image(
        tmp_path / "a" / "truth" / "train" / "masks" / f"{groups[0]['ID']}_mask.png"
    )
    assert mask.dtype == np.uint8
    content = json.loads((tmp_path / "a" / "truth" / "train" / "cells.json").read_text())
    assert len(content["annotations"]) == 9


def test_nuclei_lie_deep_in_cells_and_none_is_empty() -> None:
    cells = np.zeros((90, 140), np.uint16)
    cells[5:85, 5:60], cells[10:14, 70:130], cells[40:90, 90:140] = 1, 2, 9
    shown = {1: frozenset({0}), 2: frozenset({18}), 9: frozenset({11})}
    nuclei = invent_nuclei(np.random.default_rng(0), cells, shown, 0.3)
    for cell_id in shown:
        nucleus = nuclei == cell_id
        assert 0 < nucleus.sum() < (cells == cell_id).sum()
        assert (cells[nucleus] == cell_id).all()
    assert (nuclei == 1).sum() * 0.3**2 > 40


def test_a_mask_with_a_cell_that_no_row_names_fails_alone(
    layout: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = layout / "truth" / "plate_0_mask.png"
    mask = np.array(Image.open(path))
    mask[280:300, :190] = 55
    Image.fromarray(mask).save(path)
    arguments = ["--layout", str(layout), "--size", "120", "200", "--workers", "1"]
    assert main([str(tmp_path / "out"), *arguments, "--images", "2", "--test-images", "2"]) == 1
    said = capsys.readouterr().out
    assert "3 done, 1 failed" in said
    assert "plate_0_mask.png: found no row for cell 55 in cells.csv" in said


@pytest.mark.parametrize(
    ("header", "row", "message"),
    [
        pytest.param("ID,Label", ("plate_0", "0"), "columns ID,Label, expected", id="antibody"),
        pytest.param(
            "ID,Label,antibody", ("other", "0", "A"), "without a mask in truth/", id="mask"
        ),
    ],
)
def test_an_incomplete_layout_is_named(layout: Path, header: str, row: tuple, message: str) -> None:
    write_table(layout / "images.csv", header, [row])
    with pytest.raises(InputError, match=message):
        read_layout(layout)


def test_an_image_without_rows_of_cells_is_named(layout: Path) -> None:
    write_table(layout / "cells.csv", "ID,cell_id,cell_labels", [("plate_1", 3, "0")])
    with pytest.raises(InputError, match="image plate_0 without a row in cells"):
        read_layout(layout)


def test_one_antibody_cannot_be_parted(layout: Path) -> None:
    write_table(layout / "images.csv", "ID,Label,antibody", [("plate_0", "0", "A")])
    with pytest.raises(InputError, match="layout: found one antibody"):
        plan_layout_items(read_layout(layout), 0, 2, 1)


def test_real_outlines_and_sets(real_data: Path) -> None:
    images = read_layout(real_data / "hpa_manual")
    train, test = split_by_antibody(images, 0)
    assert len(images) == 148
    assert min(len(train), len(test)) > 60
    for half in (train, test):
        labels = frozenset().union(*(image.image_labels for image in half))
        assert labels == set(range(18)) - {15}  # no image of these has an aggresome
    item = plan_layout_items(images, 0, 1, 0)[0]
    image = render_layout_item(item, 0, (384, 384))
    own = read_cell_labels(real_data / "hpa_manual" / "cells.csv")[item.labels.image_id]
    assert {k: tuple(sorted(v)) for k, v in image.localizations.items()} == own
