"""Bags from the store, and that whole images give the model the pixels of the store."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.structures import InstanceData

from hpa_mmdet.crops.store import CropStore
from hpa_mmdet.datasets import CropBagDataset
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.channels import CHANNELS, ImageFiles, read_channels
from hpa_mmdet.io.label_images import read_label_image
from hpa_mmdet.models.crop_preprocessor import CropPreprocessor

CROP = {"channels": ["red", "green", "blue", "yellow", "mask"], "size_px": 32}


def bags(discs: Path, **options: Any) -> CropBagDataset:
    return CropBagDataset(str(discs / "train_crops"), crop=CROP, **options)


def whole(discs: Path, image_id: str) -> tuple[torch.Tensor, DetDataSample]:
    """A whole image with its cells given, by rising id, as the Predictor makes it."""
    files = ImageFiles(
        image_id, {name: discs / "train" / f"{image_id}_{name}.png" for name in CHANNELS}
    )
    labels = read_label_image(discs / "masks" / f"{image_id}_mask.png")
    ids = np.unique(labels[labels > 0])
    masks = np.stack([labels == cell_id for cell_id in ids]).astype(np.uint8)
    sample = DetDataSample()
    sample.given_instances = InstanceData(
        bboxes=torch.zeros(len(ids), 4), masks=BitmapMasks(masks, *labels.shape)
    )
    pixels = read_channels(files, list(CHANNELS))
    return torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1))), sample


def test_bags_say_which_cells_are_reviewed(discs: Path, tmp_path: Path) -> None:
    content = json.loads((discs / "train.json").read_text())
    content["annotations"][1]["reviewed"] = True
    content["info"]["images_root"] = str(discs / "train")
    (tmp_path / "reviewed.json").write_text(json.dumps(content))
    assert not any(item["data_samples"].gt_instances.reviewed.any() for item in bags(discs))
    dataset = bags(discs, labels=str(tmp_path / "reviewed.json"))
    marks = [item["data_samples"].gt_instances.reviewed.tolist() for item in dataset]
    assert marks[0][:3] == [False, True, False]
    assert sum(map(sum, marks)) == 1
    assert dataset.get_data_info(0)["instances"][1]["reviewed"]


def test_an_item_is_an_image_with_its_cells(discs: Path) -> None:
    dataset = bags(discs)
    assert len(dataset) == 6
    item = dataset[1]
    sample = item["data_samples"]
    store = CropStore(discs / "train_crops")
    np.testing.assert_array_equal(item["inputs"].numpy(), store.bag(1))
    assert sample.hpa_id == "b"
    assert not sample.labels_are_exact
    assert np.flatnonzero(sample.image_labels).tolist() == [1, 6]
    assert (sample.gt_instances.cell_ids % 3 == 0).all()  # ids with gaps
    assert sample.gt_instances.localizations.sum(1).tolist() == [2.0] * len(item["inputs"])
    assert dataset.get_image_info(1)["image_labels"] == [1, 6]
    instances = dataset.get_data_info(1)["instances"]
    assert [cell["cell_id"] for cell in instances] == sample.gt_instances.cell_ids.tolist()
    assert all(cell["localizations"] == [1, 6] for cell in instances)


def test_an_item_can_be_one_cell_or_some_of_a_bag(discs: Path) -> None:
    cells = bags(discs, unit="cell")
    store = CropStore(discs / "train_crops")
    assert len(cells) == len(store)
    np.testing.assert_array_equal(cells[len(store) - 1]["inputs"].numpy()[0], store[len(store) - 1])
    assert cells.get_image_info(len(store) - 1)["hpa_id"] == "f"
    np.random.seed(0)  # noqa: NPY002
    some = bags(discs, max_cells=2)
    drawn = {tuple(some[0]["data_samples"].gt_instances.cell_ids.tolist()) for _ in range(30)}
    assert len(drawn) > 1
    assert all(len(ids) == 2 and ids[0] < ids[1] for ids in drawn)


def test_another_channel_stands_in_for_the_protein(discs: Path) -> None:
    np.random.seed(0)  # noqa: NPY002
    store = CropStore(discs / "train_crops")
    item = bags(discs, substitute_prob=1.0, sources=["red"])[0]
    sample, pixels = item["data_samples"], item["inputs"].numpy()
    assert sample.labels_are_exact
    assert np.flatnonzero(sample.image_labels).tolist() == [10]
    assert (sample.gt_instances.localizations.argmax(1) == 10).all()
    red, green = store.bag(0)[..., 0].astype(float), pixels[..., 1].astype(float)
    factor = green.sum() / red.sum()
    assert 0.6 <= factor <= 1.0
    assert np.abs(green - red * factor).max() < 1.5
    np.testing.assert_array_equal(pixels[..., [0, 2, 3, 4]], store.bag(0)[..., [0, 2, 3, 4]])


def test_folds_keep_groups_together(discs: Path) -> None:
    held = [bags(discs, folds=3, fold=fold, held_out=True) for fold in range(3)]
    names = [{part.get_image_info(i)["hpa_id"] for i in range(len(part))} for part in held]
    assert sorted(map(sorted, names)) == [["a", "b"], ["c", "d"], ["e", "f"]]
    kept = bags(discs, folds=3, fold=0)
    assert {kept.get_image_info(i)["hpa_id"] for i in range(4)} == set("abcdef") - names[0]
    with pytest.raises(InputError, match="2 to 3"):
        bags(discs, folds=4)


def test_labels_of_a_json_stand_in_for_the_stores(discs: Path, tmp_path: Path) -> None:
    content = json.loads((discs / "train.json").read_text())
    first = content["annotations"][0]
    first["category_ids"], first["category_id"] = [4], 4
    content["images"][0]["labels"] = [3]
    other = tmp_path / "refined.json"
    other.write_text(json.dumps(content))
    category = {row["id"]: row["hpa_index"] for row in content["categories"]}
    sample = bags(discs, labels=str(other))[0]["data_samples"]
    assert np.flatnonzero(sample.image_labels).tolist() == [3]
    shown = sample.gt_instances.localizations
    place = sample.gt_instances.cell_ids.tolist().index(first["cell_id"])
    assert np.flatnonzero(shown[place]).tolist() == [category[4]]
    assert shown.sum(1).tolist().count(2.0) == len(shown) - 1
    del content["annotations"][0]
    other.write_text(json.dumps(content))
    with pytest.raises(InputError, match="lacks cell"):
        bags(discs, labels=str(other))


def test_a_store_whose_images_have_changed_is_refused(discs: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(discs, moved)
    assert len(CropBagDataset(str(moved / "train_crops"))) == 6
    os.utime(moved / "train" / "d_green.png", ns=(1, 1))
    with pytest.raises(InputError, match=r"d_green\.png: has changed since the crops"):
        CropBagDataset(str(moved / "train_crops"))
    shutil.rmtree(moved / "train")
    assert len(CropBagDataset(str(moved / "train_crops"))) == 6  # a store without its images


def test_stores_that_do_not_fit_are_refused(discs: Path) -> None:
    with pytest.raises(InputError, match="size_px 32, expected 64"):
        CropBagDataset(str(discs / "train_crops"), crop={**CROP, "size_px": 64})
    with pytest.raises(
        InputError, match="channels red green blue yellow mask, expected green mask"
    ):
        CropBagDataset(str(discs / "train_crops"), crop={**CROP, "channels": ["green", "mask"]})
    with pytest.raises(InputError, match="holds no finished store"):
        CropBagDataset(str(discs / "nowhere"))
    with pytest.raises(InputError, match="found 'image', expected bag, cell"):
        bags(discs, unit="image")
    with pytest.raises(InputError, match="source 'cyan'"):
        bags(discs, substitute_prob=0.5, sources=["cyan"])


@pytest.mark.parametrize("options", [{}, {"channels": ("mask", "blue", "green"), "root": False}])
def test_whole_images_give_the_pixels_of_the_store(discs: Path, options: dict[str, Any]) -> None:
    preprocessor = CropPreprocessor(CROP, augmentation={}, **options)
    image, sample = whole(discs, "c")
    cut = preprocessor({"inputs": [image], "data_samples": [sample]})["inputs"]
    item = bags(discs)[2]
    stored = preprocessor({"inputs": [item["inputs"]], "data_samples": [item["data_samples"]]})
    for found, expected in zip(cut, stored["inputs"], strict=True):
        assert torch.equal(found, expected)
    channels = len(options.get("channels", ("green",)))
    assert cut.pixels.shape == (len(item["inputs"]), channels, 32, 32)
    assert cut.pixels.std() > 0.1


def test_pixels_are_scaled_once(discs: Path) -> None:
    item = bags(discs)[0]
    batch = {"inputs": [item["inputs"]], "data_samples": [item["data_samples"]]}
    plain = CropPreprocessor(CROP, root=False)(batch)["inputs"]
    green = item["inputs"][..., 1].float() * (item["inputs"][..., 4] > 127)
    torch.testing.assert_close(plain.pixels[:, 0], (green - 127) / 128)
    assert torch.equal(plain.coverage[:, 0], (item["inputs"][..., 4] > 127).float())
    rooted = CropPreprocessor(CROP)(batch)["inputs"]
    torch.testing.assert_close(rooted.pixels[:, 0], ((255 * green).sqrt() - 127) / 128)


def test_only_training_is_augmented(discs: Path) -> None:
    items = [bags(discs)[index] for index in range(2)]
    batch = {key: [item[key] for item in items] for key in ("inputs", "data_samples")}
    preprocessor = CropPreprocessor(CROP, augmentation={"noise": 2.0})
    torch.manual_seed(0)
    plain, again = preprocessor(batch)["inputs"], preprocessor(batch)["inputs"]
    changed = preprocessor(batch, training=True)["inputs"]
    assert torch.equal(plain.pixels, again.pixels)
    assert not torch.equal(plain.pixels, changed.pixels)
    black = (0 - 127) / 128
    assert (changed.pixels[(changed.coverage == 0)] == black).all()
    assert changed.bag_index.tolist() == [0] * len(items[0]["inputs"]) + [1] * len(
        items[1]["inputs"]
    )


def test_wrong_crops_and_images_are_refused(discs: Path) -> None:
    preprocessor = CropPreprocessor(CROP)
    image, sample = whole(discs, "a")
    with pytest.raises(InputError, match="names given cells and finds none"):
        preprocessor({"inputs": [image], "data_samples": [DetDataSample()]})
    with pytest.raises(InputError, match="found 32x32x4, expected 32x32x5"):
        preprocessor({"inputs": [torch.zeros(2, 32, 32, 4)], "data_samples": [sample]})
    with pytest.raises(InputError, match="no channel mask"):
        CropPreprocessor({"channels": ["green"]})
    with pytest.raises(InputError, match="no channel red"):
        CropPreprocessor({"channels": ["green", "mask"]}, channels=("red",))


def test_how_many_go_through_together_changes_nothing_but_memory(discs: Path) -> None:
    torch.manual_seed(0)
    model = MODELS.build(
        {
            "type": "CropClassifier",
            "backbone": {"type": "SmallNetwork", "filters": (4, 8)},
            "localization": {"type": "LocalizationBranch", "loss": {"type": "BagLoss"}},
            "data_preprocessor": {"type": "CropPreprocessor", "crop": CROP},
        }
    ).eval()
    items = [bags(discs)[index] for index in range(3)]
    empty = DetDataSample(metainfo={"image_labels": np.zeros(19, np.uint8)})
    batch = {
        "inputs": [*(item["inputs"] for item in items), torch.zeros(0, 32, 32, 5)],
        "data_samples": [*(item["data_samples"] for item in items), empty],
    }
    found = {}
    for size in (1, 2, 100):
        model.crops_at_once = size
        samples = model.test_step(batch)
        counts = [len(sample.pred_instances) for sample in samples]
        assert counts == [*(len(item["inputs"]) for item in items), 0]
        scores = [sample.pred_instances.localization_scores.clone() for sample in samples]
        found[size] = torch.cat(scores)
    torch.testing.assert_close(found[1], found[100])
    torch.testing.assert_close(found[2], found[100])
