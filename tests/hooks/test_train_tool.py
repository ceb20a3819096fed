"""tools/train.py whole: validation, the best and averaged weights, given cells, options."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny_run import losses, scalars, write_config, write_data

from hpa_mmdet.cli.train import main as train
from hpa_mmdet.compat.checkpoints import load_checkpoint_strict


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_data(folder)
    return folder


def run(data: Path, folder: Path, lines: str = "", *options: str, name: str = "tiny") -> Path:
    config = write_config(folder, name, lines)
    work_dir = folder / name
    arguments = ["--data-root", str(data), "--work-dir", str(work_dir), *options]
    assert train([str(config), *arguments]) == 0
    return work_dir


def state(path: Path, key: str = "state_dict") -> dict[str, Any]:
    return load_checkpoint_strict(path)[key]


def parts(weights: dict[str, Any], heads: bool) -> dict[str, Any]:
    """The weights that the fit changes, or all others."""
    fitted = tuple(f"localization.{part}" for part in ("cell_head", "image_head", "chosen"))
    return {key: weight for key, weight in weights.items() if key.startswith(fitted) is heads}


def same(first: dict[str, Any], second: dict[str, Any]) -> bool:
    assert first.keys() == second.keys()
    return all(torch.equal(first[key], second[key]) for key in first)


def test_the_best_epochs_averaged_weights_are_fitted_and_kept(data: Path, tmp_path: Path) -> None:
    # nothing is below the first epoch's 0, so that the best epoch is not the last
    work_dir = run(data, tmp_path, '_base_.default_hooks.checkpoint.rule = "less"\n')
    logged = scalars(work_dir)
    validated = [line for line in logged if "cells/ap_60" in line]
    assert len(validated) == 2  # after the first epoch, and after the fit
    for score in ("contest/map", "image/map", "localization/map", "image/head_map"):
        assert 0 <= validated[-1][score] <= 1
    fitted, first = state(work_dir / "fitted.pth"), state(work_dir / "epoch_1.pth")
    assert same(parts(fitted, heads=False), parts(first, heads=False))
    raw = {
        key.removeprefix("module."): weight
        for key, weight in state(work_dir / "epoch_2.pth", "ema_state_dict").items()
    }
    averaged = state(work_dir / "epoch_2.pth")
    assert not torch.equal(raw["rpn_head.rpn_cls.weight"], averaged["rpn_head.rpn_cls.weight"])
    # what validation and the last checkpoints hold has fitted heads
    assert not same(parts(fitted, heads=True), parts(first, heads=True))
    assert fitted["localization.cell_head.standardize.mean"].any()
    copy = state(work_dir / "fitted.pth", "ema_state_dict")
    copy.pop("steps")
    assert same({key.removeprefix("module."): weight for key, weight in copy.items()}, fitted)
    (best,) = work_dir.glob("best_*.pth")
    assert same(state(best), fitted)
    told = {path.name: state(path, "meta")["fitted"] for path in work_dir.glob("*.pth")}
    assert told == {"epoch_1.pth": False, "epoch_2.pth": False, "fitted.pth": True, best.name: True}
    (events,) = work_dir.glob("*/vis_data/events.*")
    pictures = EventAccumulator(str(events)).Reload().Tags()["images"]
    assert sorted(pictures) == ["cells/a", "cells/b", "cells/c", "cells/d"]


def test_training_ends_early_and_a_resumed_run_knows_it(data: Path, tmp_path: Path) -> None:
    lines = """
_base_.train_cfg.max_epochs = 4
early = next(hook for hook in _base_.custom_hooks if hook.type == "EarlyStoppingHook")
early.patience, early.min_delta = 1, 2.0
del early
"""
    work_dir = run(data, tmp_path, lines)
    assert len(losses(work_dir)) == 4  # two epochs of two steps
    run(data, tmp_path, lines, "--resume")
    assert len(losses(work_dir)) == 4


def test_given_cells_are_named_and_none_is_looked_for(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    work_dir = run(data, tmp_path, "", "--instances", "masks")
    assert "IMAGES --instances masks --masks MASKS --out DIR" in capsys.readouterr().out
    assert losses(work_dir) == []
    (validated,) = [line for line in scalars(work_dir) if "image/map" in line]
    assert validated["localization/found"] == 1
    assert not any(key.startswith("cells/") for key in validated)
    (best,) = work_dir.glob("best_image_map_*.pth")
    assert same(state(best), state(work_dir / "fitted.pth"))


def test_given_cells_train_the_branch_end_to_end_with_class_weights(
    data: Path, tmp_path: Path
) -> None:
    lines = """
_base_.model.localization.train_with_detector = True
_base_.model.localization.loss.balance = 0.9
_base_.train_cfg.max_epochs = 1
"""
    options = ("--instances", "masks", "--amp", "--auto-scale-lr", "--deterministic")
    try:
        work_dir = run(data, tmp_path, lines, *options)
    finally:
        torch.use_deterministic_algorithms(False)
    steps = [line for line in scalars(work_dir) if "loss" in line]
    assert len(steps) == 2
    for step in steps:
        assert {"loss_localization", "loss_image"} < step.keys()
        assert not any("rpn" in key or "bbox" in key or "mask" in key for key in step)
    # two images of the sixteen that the learning rate is for, at the start of the warm-up
    assert steps[0]["lr"] == pytest.approx(2e-4 * 2 / 16 * 0.01, rel=0.1)
    kept = (work_dir / "tiny.py").read_text()
    assert "Bfloat16OptimWrapper" in kept or "AmpOptimWrapper" in kept


def test_a_checkpoint_of_which_nothing_fits_is_refused(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"state_dict": {"fc.weight": torch.zeros(3)}}, tmp_path / "other.pth")
    config = write_config(tmp_path, "other", f'load_from = "{tmp_path}/other.pth"\n')
    assert train([str(config), "--data-root", str(data), "--work-dir", str(tmp_path / "w")]) == 2
    assert re.search(
        r"other.pth: none of its 1 entries fits one of the model's \d+ tensors; give a checkpoint",
        capsys.readouterr().err,
    )


def test_a_validation_set_without_cells_is_refused_before_training(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = json.loads((data / "train_val.json").read_text())
    content["annotations"] = []
    (data / "empty_val.json").write_text(json.dumps(content))
    lines = """
_base_.val_dataloader.dataset.ann_file = _base_.data_root + "/empty_val.json"
for part in _base_.val_evaluator:
    part.ann_file = _base_.data_root + "/empty_val.json"
"""
    config = write_config(tmp_path, "empty", lines)
    assert train([str(config), "--data-root", str(data), "--work-dir", str(tmp_path / "w")]) == 2
    said = capsys.readouterr().err
    assert re.search(r"empty_val.json: none of its 4 images has cells to score a model on", said)
    assert not list((tmp_path / "w").glob("*.pth"))


def test_a_work_dir_that_cannot_be_made_is_said_first(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    place = tmp_path / "file" / "work"
    config = write_config(tmp_path, "place")
    assert train([str(config), "--data-root", str(data), "--work-dir", str(place)]) == 2
    assert f"--work-dir {place}: cannot be written (Not a directory)" in capsys.readouterr().err


def test_mixed_precision_trains_the_detector(data: Path, tmp_path: Path) -> None:
    exact = run(data, tmp_path, "_base_.train_cfg.max_epochs = 1\n", name="exact")
    mixed = run(data, tmp_path, "_base_.train_cfg.max_epochs = 1\n", "--amp", name="mixed")
    assert losses(mixed) != losses(exact)
    # rounding changes which regions are sampled, so only about the same
    assert losses(mixed)[0] == pytest.approx(losses(exact)[0], rel=0.1)


@pytest.mark.parametrize(
    ("lines", "options", "message"),
    [
        pytest.param(
            "model = dict(localization=dict(_delete_=True))\n",
            ("--instances", "masks"),
            "--instances masks: the config's model has no localization branch",
            id="nothing to name",
        ),
        pytest.param(
            '_base_.val_dataloader.dataset.ann_file = _base_.data_root + "/other_val.json"\n',
            (),
            "other_val.json: found no file, .*correct --data-root, or make it with",
            id="no JSON",
        ),
        pytest.param(
            '_base_.train_dataloader.dataset.ann_file = _base_.data_root + "/whole_train.json"\n',
            (),
            "run python tools/split_coco.py .*/whole.json",
            id="not yet parted",
        ),
        pytest.param(
            "",
            ("--launcher", "pytorch"),
            "--launcher pytorch: found no RANK, .*run torchrun --nproc-per-node",
            id="not started by torchrun",
        ),
        pytest.param(
            "",
            ("--cfg-options", "train_cfg.max_epoch=1"),
            "unexpected keyword .*max_epoch",
            id="loop",
        ),
        pytest.param(
            "_base_.train_cfg.fit.rate = 1\n", (), "unexpected keyword argument 'rate'", id="fit"
        ),
        pytest.param(
            "",
            ("--cfg-options", "optim_wrapper.optimizer.type=Best"),
            "optim_wrapper of the config: cannot be used .*; correct the config or --cfg-options",
            id="optimizer",
        ),
        pytest.param(
            '_base_.val_evaluator[0].type = "Nothing"\n', (), "Nothing is not in", id="metric"
        ),
        pytest.param(
            "", ("--cfg-options", "load_from=odd.pth"), "odd.pth: found no file", id="no checkpoint"
        ),
        pytest.param(
            "", ("--launcher", "slurm"), "--launcher slurm: found no GPU, .*torchrun", id="Slurm"
        ),
    ],
)
def test_what_cannot_be_trained_is_said(
    lines: str,
    options: tuple[str, ...],
    message: str,
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if "slurm" in options and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    (data / "whole.json").touch()
    config = write_config(tmp_path, "odd", lines)
    assert (
        train([str(config), "--data-root", str(data), "--work-dir", str(tmp_path), *options]) == 2
    )
    assert re.search(message, capsys.readouterr().err)
    assert not list(tmp_path.glob("*.pth"))
