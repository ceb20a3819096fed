"""tools/refine_labels.py: its JSON obeys the rules, trains, and says which changes were right."""

import csv
import json
import secrets
import shutil
from pathlib import Path

import numpy as np
import pytest
from discs import TINY_BACKBONE, TINY_CHANNELS, write_discs

from hpa_mmdet.cli.convert_coco import main as convert
from hpa_mmdet.cli.refine_labels import main
from hpa_mmdet.coco.read import read_coco
from hpa_mmdet.errors import InputError
from hpa_mmdet.fit.feature_cache import FeatureCache
from hpa_mmdet.refine import run
from hpa_mmdet.refine.out_of_fold import predict_out_of_fold
from hpa_mmdet.refine.rewrite import rewrite_labels

CONFIG = "configs/mask_rcnn/hpa-mask-rcnn_lite0_fpn_bag-lse_demo.py"
REFINED = "configs/mask_rcnn/hpa-mask-rcnn_lite0_fpn_refined_demo.py"


def tiny() -> list[str]:
    return [
        "--cfg-options",
        *(
            f"{backbone}.{key}"
            for backbone in ("model.backbone", "model.localization.backbone")
            for key in (f"model_name={TINY_BACKBONE}", "weights=None")
        ),
        f"model.neck.in_channels={list(TINY_CHANNELS)}".replace(" ", ""),
        f"model.localization.feature_dim={2 * sum(TINY_CHANNELS)}",
        "train_cfg.fit.dataloader.num_workers=0",
        "train_cfg.fit.epochs=2",
        f"experiment_name=run_{secrets.token_hex(4)}",
    ]


@pytest.fixture
def discs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(Path(__file__).parents[2])
    write_discs(tmp_path, ["a", "b", "c", "d"])
    (tmp_path / "images").rename(tmp_path / "train")
    arguments = {"--masks": "masks", "--labels": "train.csv", "--out": "train.json"}
    flat = [part for key, name in arguments.items() for part in (key, str(tmp_path / name))]
    assert convert([str(tmp_path / "train"), *flat]) == 0
    return tmp_path


def truth_table(folder: Path) -> Path:
    """Every cell shows the image's first label and not its second."""
    rows = ["ID,cell_id,cell_labels"]
    for image in read_coco(folder / "train.json").images:
        rows += [f"{image.hpa_id},{cell.cell_id},{image.image_labels[0]}" for cell in image.cells]
    path = folder / "cells.csv"
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.mark.parametrize(
    ("soft", "assign"),
    [
        pytest.param(True, "share", id="soft"),
        pytest.param(False, "share", id="hard"),
        pytest.param(False, "probability", id="hard-probability"),
    ],
)
def test_the_new_json_obeys_the_rules_and_the_table_counts(
    discs: Path, soft: bool, assign: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out, features = discs / "refined.json", discs / "features.npz"
    command = [
        CONFIG, str(discs / "train.json"), "--out", str(out), "--folds", "2",
        "--features", str(features), "--truth", str(truth_table(discs)),
        "--assign", assign,
        *(["--soft"] if soft else []), *tiny(),
    ]  # fmt: skip
    assert main(command) == 0
    assert "fold 2 of 2 done" in capsys.readouterr().out
    old, new = read_coco(discs / "train.json"), read_coco(out)
    assert new.images_root == old.images_root
    removed = added = 0
    for before, after in zip(old.images, new.images, strict=True):
        assert after._replace(cells=()) == before._replace(cells=())
        allowed = set(before.image_labels)
        shown: set[int] = set()
        for one, other in zip(before.cells, after.cells, strict=True):
            assert other.counts == one.counts
            assert other.cell_id == one.cell_id
            assert set(other.hpa_indices) <= allowed | {18}
            assert len(other.hpa_probs) == (len(other.hpa_indices) if soft else 0)
            probs = other.hpa_probs or [1.0] * len(other.hpa_indices)
            kept = {k for k, p in zip(other.hpa_indices, probs, strict=True) if p >= 0.5}
            shown |= kept
            removed += len(set(one.hpa_indices) - kept)
            added += len(kept - set(one.hpa_indices))
        assert allowed <= shown
    with (discs / "refined.changes.csv").open() as handle:
        table = list(csv.DictReader(handle))
    assert len(table) == 19
    assert sum(int(row["removed"]) for row in table) == removed
    assert sum(int(row["added"]) for row in table) == added
    firsts = {image.image_labels[0] for image in old.images}
    for k in firsts:  # truth: removing a first label is wrong
        assert table[k]["removed_right"] == "0" or k in {i.image_labels[1] for i in old.images}
    # the features are taken from the file: the images are not needed any more
    (discs / "train").rename(discs / "gone")
    assert main([*command, "--overwrite"]) == 0


def test_a_second_round_learns_from_the_first(discs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same command on the first round's JSON; kept features bring no old labels along."""
    learnt: list[FeatureCache] = []

    def spy(model: object, cache: FeatureCache, *args: object) -> np.ndarray:
        learnt.append(cache)
        return predict_out_of_fold(model, cache, *args)

    monkeypatch.setattr(run, "predict_out_of_fold", spy)
    first, second, options = discs / "first.json", discs / "second.json", ["--folds", "2"]
    options += ["--features", str(discs / "features.npz"), "--soft"]
    assert main([CONFIG, str(discs / "train.json"), "--out", str(first), *options, *tiny()]) == 0
    shutil.copy(first, discs / "train_refined.json")
    assert main([REFINED, str(first), "--out", str(second), *options, *tiny()]) == 0
    images = read_coco(first).images
    shown = [(cell.hpa_indices, cell.hpa_probs) for image in images for cell in image.cells]
    for targets, (indices, probs) in zip(learnt[1].cell_targets, shown, strict=True):
        assert targets.nonzero()[:, 0].tolist() == sorted(indices)
        assert targets[list(indices)].tolist() == pytest.approx(probs)
    assert [image.image_labels for image in read_coco(second).images] == [
        image.image_labels for image in images
    ]

    content = json.loads(first.read_text())
    content["annotations"][0]["cell_id"] = 99
    (discs / "other.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="features: found cell 3 of image a, expected a cell of"):
        run._with_labels_of(learnt[0], read_coco(discs / "other.json"))
    content["images"][0]["hpa_id"] = "elsewhere"
    (discs / "other.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match="features: found image a, expected an image of"):
        run._with_labels_of(learnt[0], read_coco(discs / "other.json"))


def test_what_cannot_be_refined_is_said_in_a_line(
    discs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = discs / "train.json", discs / "refined.json"
    assert main([CONFIG, str(discs / "none.json"), "--out", str(out)]) == 2
    assert "none.json: found no file" in capsys.readouterr().err
    assert main([CONFIG, str(source), "--out", str(source)]) == 2
    assert "train.json: is an input of this run" in capsys.readouterr().err
    (discs / "groups.csv").write_text("ID,antibody\na,1\nb,1\nc,2\n")
    features = discs / "features.npz"
    command = [CONFIG, str(source), "--out", str(out), "--features", str(features), "--folds", "2"]
    assert main([*command, "--groups", str(discs / "groups.csv"), "antibody", *tiny()]) == 2
    assert "groups.csv: found no row for d" in capsys.readouterr().err
    (discs / "groups.csv").write_text("ID,gene\na,1\n")
    assert main([*command, "--groups", str(discs / "groups.csv"), "antibody", *tiny()]) == 2
    assert (
        "groups.csv: found columns ID,gene, expected ID or Id,antibody" in capsys.readouterr().err
    )
    table = discs / "groups.csv"
    command[command.index(str(out))] = str(table)
    assert main([*command, "--groups", str(table), "gene", "--overwrite", *tiny()]) == 2
    assert "groups.csv: is an input of this run" in capsys.readouterr().err
    assert table.read_text() == "ID,gene\na,1\n"
    command[command.index(str(table))] = str(out)
    (discs / "cells.csv").write_text("ID,cell_id,cell_labels\na,3,0\n")
    assert main([*command, "--truth", str(discs / "cells.csv"), *tiny()]) == 2
    assert "found no row for cell 6 of image a" in capsys.readouterr().err
    features.write_bytes(b"no features")
    assert main([*command, *tiny()]) == 2
    assert "features.npz: is no cache of" in capsys.readouterr().err


def test_what_a_person_saw_is_not_refined(discs: Path) -> None:
    content = json.loads((discs / "train.json").read_text())
    content["annotations"][1] |= {"reviewed": True, "category_id": 18, "category_ids": [18]}
    (discs / "train.json").write_text(json.dumps(content))
    out = discs / "refined.json"
    assert (
        main([CONFIG, str(discs / "train.json"), "--out", str(out), "--folds", "2", *tiny()]) == 0
    )
    cells = [cell for image in read_coco(out).images for cell in image.cells]
    assert (cells[1].hpa_indices, cells[1].reviewed) == ((17,), True)
    assert not any(cell.reviewed for cell in (cells[0], *cells[2:]))


def test_several_annotations_of_a_cell_are_refused(discs: Path) -> None:
    content = json.loads((discs / "train.json").read_text())
    content["annotations"].append({**content["annotations"][0], "id": 999})
    (discs / "train.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match="annotation 999: its id or its cell stands in another"):
        rewrite_labels(discs / "train.json", discs / "out.json", {}, soft=False)


def test_cells_without_ids_are_relabelled_in_every_image(discs: Path) -> None:
    """In numbers of its own categories, as another tool may have written the file."""
    source, out = discs / "train.json", discs / "out.json"
    content = json.loads(source.read_text())
    content["categories"] = [
        {"id": 100 - category["id"], "name": category["name"]} for category in content["categories"]
    ]
    for annotation in content["annotations"]:
        del annotation["cell_id"]
        annotation["category_id"] = 100 - annotation["category_id"]
        annotation["category_ids"] = [100 - k for k in annotation["category_ids"]]
    source.write_text(json.dumps(content))
    data = read_coco(source)
    cells = [cell for image in data.images for cell in image.cells]
    assert len({image.image_id for image in data.images if image.cells}) > 1
    labels = np.zeros(19)
    labels[[2, 7]] = 1
    rewrite_labels(source, out, {cell.annotation_id: labels for cell in cells[1:]}, soft=False)
    written = [cell for image in read_coco(out).images for cell in image.cells]
    assert written[0].hpa_indices == cells[0].hpa_indices
    assert {cell.hpa_indices for cell in written[1:]} == {(2, 7)}


def test_a_missing_table_is_said_before_the_model_is_built(
    discs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [CONFIG, str(discs / "train.json"), "--out", str(discs / "out.json")]
    for words in (["--groups", "none.csv", "antibody"], ["--truth", "none.csv"]):
        assert main([*command, *words, *tiny()]) == 2
        output = capsys.readouterr()
        assert "none.csv" in output.err
        assert "init" not in output.out
