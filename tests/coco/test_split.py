"""Splits: alike in labels, groups whole, every image once."""

import json
from pathlib import Path

import numpy as np
import pytest
from make_dataset import Dataset, make_dataset, write_csv

from hpa_mmdet.cli.split_coco import main
from hpa_mmdet.coco.convert import convert
from hpa_mmdet.coco.folds import Grouping
from hpa_mmdet.coco.read import read_coco
from hpa_mmdet.coco.split import split
from hpa_mmdet.coco.stratify import assign_folds
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.label_tables import read_image_labels

IDS = tuple(f"i{number:02}" for number in range(30))


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    made = make_dataset(tmp_path / "data", IDS)
    rows = [(name, "16|0" if at % 3 else "14") for at, name in enumerate(IDS)]
    write_csv(made.labels, ("ID", "Label"), rows)
    return made


@pytest.fixture
def coco(dataset: Dataset, tmp_path: Path) -> Path:
    convert(dataset.sources(images=None), tmp_path / "t.json")
    return tmp_path / "t.json"


def ids_of(path: Path) -> list[str]:
    return [image.hpa_id for image in read_coco(path).images]


def test_labels_are_shared_out_as_asked(coco: Path, tmp_path: Path) -> None:
    split(coco, val_share=0.2)
    train, val = ids_of(tmp_path / "t_train.json"), ids_of(tmp_path / "t_val.json")
    assert sorted(train + val) == list(IDS)
    labels = [image.image_labels for image in read_coco(tmp_path / "t_val.json").images]
    assert sorted(labels) == [(0, 16)] * 4 + [(14,)] * 2
    table = (tmp_path / "t_split.csv").read_text().splitlines()
    assert table[0] == "ID,group,part"
    assert [row.split(",")[0] for row in table if row.endswith(",val")] == val


def test_cells_go_with_their_images(coco: Path, tmp_path: Path) -> None:
    split(coco)
    whole = {image.hpa_id: image for image in read_coco(coco).images}
    for name in ("t_train.json", "t_val.json"):
        images = read_coco(tmp_path / name).images
        annotation_ids = [cell.annotation_id for image in images for cell in image.cells]
        assert annotation_ids == list(range(1, len(annotation_ids) + 1))
        for image in images:
            own = whole[image.hpa_id]
            assert image.image_id == own.image_id
            assert [cell._replace(annotation_id=0) for cell in image.cells] == [
                cell._replace(annotation_id=0) for cell in own.cells
            ]


def test_folds_validate_each_image_once(coco: Path, tmp_path: Path) -> None:
    split(coco, folds=3)
    vals = [ids_of(tmp_path / f"t_fold{number}_val.json") for number in (1, 2, 3)]
    assert sorted(name for val in vals for name in val) == list(IDS)
    assert [len(val) for val in vals] == [10, 10, 10]
    for number, val in enumerate(vals, start=1):
        assert sorted(ids_of(tmp_path / f"t_fold{number}_train.json") + val) == list(IDS)


def test_groups_stay_together(coco: Path, tmp_path: Path) -> None:
    rows = [(name, f"plate{at // 4}" if at < 28 else "") for at, name in enumerate(IDS)]
    write_csv(tmp_path / "g.csv", ("ID", "plate"), rows)
    split(coco, folds=2, grouping=Grouping(tmp_path / "g.csv", "plate"))
    plate = dict(rows)
    vals = [ids_of(tmp_path / f"t_fold{number}_val.json") for number in (1, 2)]
    shared = {plate[name] for name in vals[0]} & {plate[name] for name in vals[1]}
    assert shared <= {""}  # images without a group are each their own


def test_one_seed_gives_one_split(coco: Path, tmp_path: Path) -> None:
    split(coco, seed=3)
    once = (tmp_path / "t_val.json").read_bytes()
    split(coco, seed=3, overwrite=True)
    assert (tmp_path / "t_val.json").read_bytes() == once
    split(coco, seed=4, overwrite=True)
    assert (tmp_path / "t_val.json").read_bytes() != once


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"val_share": 0.0}, "--val-share: found 0.0, expected between 0 and 1"),
        ({"val_share": 1.0}, "--val-share: found 1.0"),
        ({"folds": 1}, "--folds: found 1, expected 2 or more"),
        ({"folds": 31}, "groups: found 30 groups, expected at least 31"),
    ],
)
def test_splits_that_cannot_be_are_refused(coco: Path, values: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        split(coco, **values)
    assert not list(coco.parent.glob("t_*"))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"val_share": 0.01}, "--val-share 0.01 of 30 images leaves none for validation; .*larger"),
        ({"val_share": 0.99}, "--val-share 0.99 of 30 images leaves none for training; .*smaller"),
    ],
)
def test_a_part_without_images_is_refused(coco: Path, values: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        split(coco, **values)
    assert not list(coco.parent.glob("t_*"))


def test_a_fold_without_images_is_refused(coco: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fold_of = np.array([0, 2] * 15)
    monkeypatch.setattr("hpa_mmdet.coco.split.assign_folds", lambda *args: fold_of)
    with pytest.raises(InputError, match=r"no image is left for fold 2 of 3; ask for fewer folds"):
        split(coco, folds=3)
    assert not list(coco.parent.glob("t_*"))


def test_a_group_is_needed_for_each_image(coco: Path, tmp_path: Path) -> None:
    write_csv(tmp_path / "g.csv", ("ID", "plate"), [("i00", "p")])
    with pytest.raises(InputError, match=r"g.csv: found no row for i01, i02, .*a plate for each"):
        split(coco, grouping=Grouping(tmp_path / "g.csv", "plate"))


def test_the_tool_says_how_even_it_came_out(coco: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    assert main([str(coco), "--folds", "3"]) == 0
    said = capsys.readouterr().out
    assert "fold 1: 10 of 30 images (33.3%); least even: " in said
    assert main([str(coco), "--folds", "3"]) == 2
    assert "t_fold1_train.json: is there from an earlier run" in capsys.readouterr().err


def test_shares_must_sum_to_one() -> None:
    with pytest.raises(InputError, match="positive numbers that sum to 1"):
        assign_folds([(0,)] * 9, list("abcdefghi"), [0.5, 0.6])


@pytest.mark.parametrize("seed", range(3))
def test_groups_are_whole_and_labels_more_even_than_by_chance(seed: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 4, size=400)
    label_sets = [tuple(rng.choice(19, size=size, replace=False)) for size in sizes]
    groups = np.array([f"g{rng.integers(120)}" for _ in label_sets])
    fold_of = assign_folds(label_sets, groups.tolist(), [0.25] * 4, seed)
    assert all(len(set(fold_of[groups == group])) == 1 for group in groups)
    per_fold = np.zeros((4, 19))
    for fold, labels in zip(fold_of, label_sets, strict=True):
        per_fold[fold, list(labels)] += 1
    # 42 images a label: by chance the folds would differ by 6 on average, 12 at most
    assert np.ptp(per_fold, axis=0).mean() < 3
    assert np.ptp(per_fold, axis=0).max() <= 6
    assert np.ptp(np.bincount(fold_of)) <= 8


def test_the_contests_labels_split_evenly(real_data: Path) -> None:
    table = read_image_labels(real_data / "hpa_contest/train.csv")
    fold_of = assign_folds(list(table.values()), list(table), [0.2] * 5)
    sets = np.zeros((len(table), 19), bool)
    for row, labels in enumerate(table.values()):
        sets[row, list(labels)] = True
    per_fold = np.stack([sets[fold_of == fold].sum(axis=0) for fold in range(5)])
    assert np.ptp(per_fold, axis=0).max() <= 0.01 * len(table)
    assert np.ptp(per_fold[:, 11]) <= 1  # Mitotic spindle, the rarest: 78 images


def test_info_and_categories_come_along(coco: Path, tmp_path: Path) -> None:
    split(coco)
    whole, val = (json.loads((tmp_path / name).read_text()) for name in ("t.json", "t_val.json"))
    assert val["info"] == whole["info"]
    assert val["categories"] == whole["categories"]
