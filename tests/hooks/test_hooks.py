"""Hooks: pictures of cells where they are, checks before the first step, the bar."""

from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from mmdet.structures.mask import BitmapMasks
from mmengine.structures import InstanceData

from hpa_mmdet.errors import InputError
from hpa_mmdet.hooks import CountLeftOutCells, PredictionPictures, ProgressBar, prediction_pictures
from hpa_mmdet.hooks.start_up_checks import check_dataset

SHAPE_HW = (60, 90)


def found(score: float = 0.9) -> InstanceData:
    masks = torch.zeros(2, 4, 4)
    masks[0, :, :2] = 1  # the left half of its box
    masks[1] = 1
    localizations = torch.zeros(2, 19)
    localizations[:, 14] = 0.8
    return InstanceData(
        scores=torch.tensor([score, 0.1]),
        bboxes=torch.tensor([[20.0, 10.0, 60.0, 50.0], [0.0, 0.0, 9.0, 9.0]]),
        mask_probs=masks,
        localization_scores=localizations,
    )


@pytest.fixture
def no_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Outlines alone, so that their place can be seen."""
    draw = prediction_pictures.draw_cells
    monkeypatch.setattr(prediction_pictures, "draw_cells", partial(draw, text_px=0))


@pytest.mark.usefixtures("no_names")
def test_certain_cells_are_outlined_where_they_lie() -> None:
    hook = PredictionPictures({}, least_score=0.5)
    black = np.zeros((4, *SHAPE_HW), np.uint8)
    picture = hook.draw(black, found())
    assert picture.shape == (*SHAPE_HW, 3)
    rows, columns = picture.any(2).nonzero()
    assert 8 <= rows.min() <= 10
    assert 49 <= rows.max() <= 51
    assert 18 <= columns.min() <= 20
    assert 38 <= columns.max() <= 42  # half of the box; the second cell is not drawn
    assert not hook.draw(black, found(score=0.2)).any()


def test_the_channels_shown_are_the_ones_chosen() -> None:
    channels = np.arange(4, dtype=np.uint8)[:, None, None] * np.ones((4, *SHAPE_HW), np.uint8)
    picture = PredictionPictures({}, shown_channels=(3, 1, 2)).draw(channels, found(0.0))
    assert picture[0, 0].tolist() == [3, 1, 2]


@pytest.mark.usefixtures("no_names")
def test_given_cells_are_outlined_by_their_own_masks() -> None:
    given = found()
    del given.mask_probs
    masks = np.zeros((2, *SHAPE_HW), np.uint8)  # the second has no pixel
    masks[0, 20:40, 50:80] = 1
    given.masks = BitmapMasks(masks, *SHAPE_HW)
    given.scores = torch.ones(2)
    picture = PredictionPictures({}).draw(np.zeros((4, *SHAPE_HW), np.uint8), given)
    rows, columns = picture.any(2).nonzero()
    assert 18 <= rows.min() <= 20
    assert 48 <= columns.min() <= 50
    assert 78 <= columns.max() <= 81


class Listed:
    """A data set of given entries."""

    ann_file = "train.json"

    def __init__(self, entries: list[dict[str, Any]], channels: tuple[str, ...]) -> None:
        self.entries = entries
        self.pipeline = SimpleNamespace(transforms=[SimpleNamespace(channels=channels)])

    def __len__(self) -> int:
        return len(self.entries)

    def get_data_info(self, index: int) -> dict[str, Any]:
        return self.entries[index]


def entry(folder: Path, name: str, labels: list[int]) -> dict[str, Any]:
    paths = {channel: str(folder / f"{name}_{channel}.png") for channel in ("red", "green")}
    return {"hpa_id": name, "channel_paths": paths, "image_labels": labels}


def test_files_and_labels_that_are_there_pass(tmp_path: Path) -> None:
    for channel in ("red", "green"):
        (tmp_path / f"a_{channel}.png").touch()
    dataset = Listed([entry(tmp_path, "a", [3])], ("green", "red"))
    check_dataset(SimpleNamespace(dataset=dataset))  # as in a wrapper


def test_missing_files_and_labels_are_named(tmp_path: Path) -> None:
    (tmp_path / "a_green.png").touch()
    entries = [entry(tmp_path, "a", [3]), entry(tmp_path, "b", [])]
    with pytest.raises(InputError, match=r"train.json: found 1 channel files missing \(.*b_green"):
        check_dataset(Listed(entries, ("green",)))
    with pytest.raises(InputError, match=r"found 2 channel files missing \(a \(blue\), b \(blue\)"):
        check_dataset(Listed(entries, ("blue",)))
    with pytest.raises(InputError, match="found 1 images without labels, expected image labels"):
        check_dataset(Listed(entries[1:], ()))


def test_the_bar_counts_steps_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    runner = SimpleNamespace(iter=0, max_iters=3, epoch=0, max_epochs=1)
    bar = ProgressBar()
    bar.before_train(runner)
    assert bar._progress is not None
    task = bar._progress.tasks[0]
    for step in range(3):
        runner.iter = step
        bar.after_train_iter(runner, step, outputs={"loss": torch.tensor(2.0)})
    assert task.completed == 3
    assert task.description == "epoch 1 of 1, loss 2.000"
    assert bar._progress is None


def test_without_a_terminal_or_steps_there_is_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    for terminal, steps in ((False, 3), (True, 0)):
        monkeypatch.setattr("sys.stderr.isatty", lambda terminal=terminal: terminal)
        bar = ProgressBar()
        bar.before_train(SimpleNamespace(iter=0, max_iters=steps))
        bar.after_train_iter(SimpleNamespace(iter=0), 0)
        assert bar._progress is None
        bar.after_train(None)


def test_cells_that_are_left_out_are_counted_for_each_epoch() -> None:
    said: list[str] = []
    runner = SimpleNamespace(logger=SimpleNamespace(info=said.append))
    hook = CountLeftOutCells()
    for left_out, cells in ((2, 3), (0, 4)):
        sample = {"cells_left_out": left_out, "gt_instances": [0] * cells}
        hook.after_train_iter(runner, 0, {"inputs": [], "data_samples": [sample, {}]})
    hook.after_train_epoch(runner)
    hook.after_train_epoch(runner)  # nothing is left of the epoch before
    assert said == ["2 of 9 cells left out of this epoch: hidden, cut off or too small"]
