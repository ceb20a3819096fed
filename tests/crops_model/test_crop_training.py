"""The tools with a crop classifier: training, resuming, prediction, export, explanations."""

import csv
import json
import secrets
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from discs import TINY_BACKBONE
from PIL import Image

import hpa_mmdet
from hpa_mmdet.cli.explain import main as explain
from hpa_mmdet.cli.export import main as export
from hpa_mmdet.cli.infer import main as infer
from hpa_mmdet.cli.train import main as train
from hpa_mmdet.compat.checkpoints import load_checkpoint_strict
from hpa_mmdet.datasets import CropBagDataset
from hpa_mmdet.errors import InputError
from hpa_mmdet.inference.explain import class_activation
from hpa_mmdet.io.channels import CHANNELS, ImageFiles, read_channels
from hpa_mmdet.io.label_images import read_label_image

CROP = {"channels": ["red", "green", "blue", "yellow", "mask"], "size_px": 32}
CONFIG = "configs/crops/crop_lite0_bag-lse_demo.py"
SMALL = (
    "model.backbone.weights=None",
    f"model.backbone.model_name={TINY_BACKBONE}",
    "model.data_preprocessor.crop.size_px=32",
    "train_dataloader.dataset.crop.size_px=32",
    "train_cfg.fit.dataloader.dataset.crop.size_px=32",
    "train_cfg.fit.more_dataloaders.0.dataset.crop.size_px=32",
    "train_cfg.fit.dataloader.num_workers=0",
    "train_cfg.fit.more_dataloaders.0.num_workers=0",
    "train_dataloader.num_workers=0",
    "train_dataloader.persistent_workers=False",
    "train_dataloader.batch_size=3",
    "train_cfg.fit.epochs=3",
    "optim_wrapper.optimizer.lr=0.01",
)


def arguments(discs: Path, work_dir: Path, *more: str, options: tuple[str, ...] = ()) -> list[str]:
    return [
        CONFIG, "--data-root", str(discs), "--work-dir", str(work_dir), *more,
        "--cfg-options", *SMALL, f"visualizer.name=run_{secrets.token_hex(4)}", *options,
    ]  # fmt: skip


@pytest.fixture(scope="module")
def trained(discs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    work_dir = tmp_path_factory.mktemp("trained")
    assert train(arguments(discs, work_dir, options=("train_cfg.max_epochs=2",))) == 0
    return work_dir


def files(trained: Path) -> list[str]:
    return [str(trained / Path(CONFIG).name), str(trained / "fitted.pth")]


def test_training_fits_the_heads_and_tunes_the_network(trained: Path) -> None:
    epochs = [load_checkpoint_strict(trained / f"epoch_{epoch}.pth") for epoch in (1, 2)]
    first, second = (checkpoint["state_dict"] for checkpoint in epochs)
    name = "backbone.network.blocks.3.0.conv_pw.weight"
    name = name if name in first else next(key for key in first if key.endswith("weight"))
    assert not torch.equal(first[name], second[name])
    # the heads were fitted before the first epoch, so they know the features' deviations
    assert not torch.equal(first["localization.cell_head.standardize.std"], torch.ones(1))
    fitted = load_checkpoint_strict(trained / "fitted.pth")
    assert len(fitted["meta"]["thresholds"]) == 19
    log = next(trained.glob("2*/*.log")).read_text()
    assert "fitted in" in log
    assert "kept: the average over the steps" in log


def test_a_resumed_run_goes_on_without_another_first_fit(
    discs: Path, trained: Path, tmp_path: Path
) -> None:
    (tmp_path / "epoch_1.pth").write_bytes((trained / "epoch_1.pth").read_bytes())
    (tmp_path / "last_checkpoint").write_text(str(tmp_path / "epoch_1.pth"))
    assert train(arguments(discs, tmp_path, "--resume", options=("train_cfg.max_epochs=2",))) == 0
    states = [
        load_checkpoint_strict(folder / "epoch_2.pth")["state_dict"]
        for folder in (trained, tmp_path)
    ]
    for name, tensor in states[0].items():
        torch.testing.assert_close(tensor, states[1][name], msg=name)


def test_whole_images_with_masks_are_predicted_as_the_stores_crops(
    discs: Path, trained: Path, tmp_path: Path
) -> None:
    predictor = hpa_mmdet.Predictor(*files(trained), device="cpu")
    image = read_channels(
        ImageFiles("c", {name: discs / "train" / f"c_{name}.png" for name in CHANNELS}),
        list(CHANNELS),
    )
    labels = read_label_image(discs / "masks" / "c_mask.png")
    cells = predictor(image, labels)
    item = CropBagDataset(str(discs / "train_crops"))[2]
    model = predictor.loaded.model
    with torch.inference_mode():
        (sample,) = model.test_step(
            {"inputs": [item["inputs"]], "data_samples": [item["data_samples"]]}
        )
    expected = sample.pred_instances.localization_scores.numpy()
    found = np.stack([cell.localization_scores for cell in cells])
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert expected.std(0).max() > 1e-4  # cells are told apart
    with pytest.raises(InputError, match="--instances masks"):
        predictor(image)


def test_the_tools_write_the_usual_outputs(discs: Path, trained: Path, tmp_path: Path) -> None:
    masks = ["--instances", "masks", "--masks", str(discs / "masks"), "--device", "cpu"]
    out = tmp_path / "plain"
    assert infer([*files(trained), str(discs / "train"), *masks, "--out", str(out)]) == 0
    with (out / "submission.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert [row["ID"] for row in rows] == list("abcdef")
    counts = [
        len(np.unique(read_label_image(discs / "masks" / f"{i}_mask.png"))) - 1 for i in "abcdef"
    ]
    assert [len(set(row["PredictionString"].split()[2::3])) for row in rows] == counts

    base = tmp_path / "model"
    assert export([*files(trained), "--out", str(base)]) == 0
    exported = [str(base.with_suffix(end)) for end in (".json", ".safetensors")]
    assert len(json.loads(Path(exported[0]).read_text())["thresholds"]) == 19
    again = tmp_path / "exported"
    assert infer([*exported, str(discs / "train"), *masks, "--out", str(again)]) == 0
    assert (again / "submission.csv").read_bytes() == (out / "submission.csv").read_bytes()

    turned = tmp_path / "turned"
    flags = ["--tta", "d4", "--out", str(turned)]
    assert infer([*files(trained), str(discs / "train"), *masks, *flags]) == 0
    assert (turned / "submission.csv").read_bytes() != (out / "submission.csv").read_bytes()


def test_large_runs_are_judged_on_the_store_kept_back(discs: Path, tmp_path: Path) -> None:
    """The config for GPUs, small: validation from a store, best epoch, half precision."""
    data = tmp_path / "data"
    data.mkdir()
    for name in ("train_train_crops", "train_val_crops"):
        shutil.copytree(discs / "train_crops", data / name)
    shutil.copy(discs / "train.json", data / "train_val.json")
    stores = ("train_dataloader", "train_cfg.fit.dataloader", "train_cfg.fit.more_dataloaders.0",
              "train_cfg.fit.exponents_dataloader", "val_dataloader")  # fmt: skip
    options = [
        f"{loader}.{key}"
        for loader in stores
        for key in ("dataset.crop.size_px=32", "num_workers=0", "persistent_workers=False")
    ]
    arguments = [
        "configs/crops/crop_r18_bag-lse_1x_hpa.py", "--data-root", str(data), "--amp",
        "--work-dir", str(tmp_path / "run"), "--cfg-options", *options,
        "model.backbone.weights=None", f"model.backbone.model_name={TINY_BACKBONE}",
        "model.data_preprocessor.crop.size_px=32", "train_cfg.max_epochs=2",
        "train_cfg.fit.epochs=2",
        f"visualizer.name=run_{secrets.token_hex(4)}",
    ]  # fmt: skip
    assert train(arguments) == 0
    run = tmp_path / "run"
    assert list(run.glob("best_image_map_epoch_*.pth"))
    rows = [
        json.loads(line)
        for line in next(run.glob("2*/vis_data/scalars.json")).read_text().splitlines()
    ]
    scores = [row for row in rows if "image/map" in row]
    assert len(scores) == 3  # of the first fit, after the first epoch, and of what is kept
    assert all(
        0 <= row["localization/map"] <= 1 and row["localization/found"] == 1 for row in scores
    )


def test_a_store_that_is_missing_is_named_with_what_makes_it(
    discs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = train(
        arguments(discs, tmp_path, options=(f"train_dataloader.dataset.store={tmp_path}/none",))
    )
    assert status == 2
    assert "tools/extract_crops.py" in capsys.readouterr().err


def test_the_last_map_is_explained_for_each_class(
    discs: Path, trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = str(discs / "train_crops")
    assert explain([*files(trained), store, "--out", str(tmp_path / "sheets"), "--crops", "3"]) == 0
    # images k have the labels k and k + 5
    found = sorted(path.name[:2] for path in (tmp_path / "sheets").glob("*.jpg"))
    assert found == [f"{k:02}" for k in range(11)]
    with Image.open(tmp_path / "sheets" / "00_nucleoplasm.jpg") as sheet:
        assert sheet.width == 3 * 160
    other = ["configs/crops/ladder_1-plain.py", files(trained)[1], store, "--out", str(tmp_path)]
    assert explain(other) == 2
    assert "expected" in capsys.readouterr().err


def test_activation_follows_what_the_class_needs(discs: Path) -> None:
    """A linear head that reads one channel's mean: the picture is that channel."""
    from mmdet.registry import MODELS

    torch.manual_seed(0)
    model = MODELS.build(
        {
            "type": "CropClassifier",
            "backbone": {"type": "SmallNetwork", "filters": (4,)},
            "localization": {
                "type": "LocalizationBranch",
                "loss": {"type": "BagLoss"},
                "hidden": 0,
            },
            "data_preprocessor": {"type": "CropPreprocessor", "crop": CROP},
        }
    ).eval()
    weight = model.localization.cell_head.parts[0][-1].weight
    with torch.no_grad():
        weight.zero_()
        weight[7, 2] = 1.0  # class 7: the mean of channel 2
    item = CropBagDataset(str(discs / "train_crops"))[0]
    batch = model.data_preprocessor({"inputs": [item["inputs"]], "data_samples": [None]})["inputs"]
    heat = class_activation(model, batch, 7)
    channel = model.backbone(batch.pixels)[0][:, 2].detach().numpy()
    for picture, expected in zip(heat, channel, strict=True):
        small = cv2.resize(picture, (16, 16), interpolation=cv2.INTER_AREA)
        assert np.corrcoef(small.ravel(), expected.ravel())[0, 1] > 0.95
