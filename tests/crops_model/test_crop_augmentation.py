"""Augmentation keeps the mask a mask, moves it with the pixels, and follows the seed."""

import pytest
import torch

from hpa_mmdet.models.crop_augmentation import CropAugmentation, flip_and_turn

STILL = {
    "flips": False,
    "turn_prob": 0.0,
    "brightness": 1.0,
    "noise": 0.0,
    "blur_prob": 0.0,
}


@pytest.fixture
def crops() -> torch.Tensor:
    pixels = torch.zeros(6, 3, 24, 24)
    pixels[:, :2, 4:11, 6:20] = torch.rand(6, 2, 7, 14) * 200 + 20
    pixels[:, 2, 4:11, 6:20] = 255
    return pixels


BAGS = torch.tensor([0, 0, 0, 1, 1, 2])


def test_nothing_changes_where_nothing_is_asked_for(crops: torch.Tensor) -> None:
    assert torch.equal(CropAugmentation(**STILL)(crops, BAGS), crops)
    assert CropAugmentation()(crops[:0], BAGS[:0]).shape == (0, 3, 24, 24)


def test_the_eight_positions_are_all_different_and_keep_every_value() -> None:
    crop = torch.arange(9.0).reshape(1, 1, 3, 3)
    found = flip_and_turn(crop.expand(8, 1, 3, 3), torch.arange(8))
    assert len({tuple(position.flatten().tolist()) for position in found}) == 8
    assert all(sorted(position.flatten().tolist()) == list(range(9)) for position in found)
    assert torch.equal(found[0], crop[0])
    assert torch.equal(found[4], crop[0].transpose(1, 2))


def test_the_mask_moves_along_and_stays_a_mask(crops: torch.Tensor) -> None:
    torch.manual_seed(0)
    moved = CropAugmentation(**{**STILL, "flips": True, "turn_prob": 1.0})(crops, BAGS)
    assert not torch.equal(moved, crops)
    assert set(moved[:, -1].unique().tolist()) == {0, 255}
    inside = moved[:, -1:] > 0
    light = moved[:, :2].sum((1, 2, 3))
    assert ((moved[:, :2] * inside).sum((1, 2, 3)) > 0.93 * light).all()


def test_crops_of_an_image_share_their_brightness(crops: torch.Tensor) -> None:
    torch.manual_seed(1)
    found = CropAugmentation(**{**STILL, "brightness": 1.2})(crops, BAGS)
    factor = found[:, 0, 5, 7] / crops[:, 0, 5, 7]
    assert torch.allclose(factor[:3], factor[0])
    assert torch.allclose(factor[3:5], factor[3])
    assert not torch.isclose(factor[0], factor[3])
    assert ((factor > 1 / 1.2 - 1e-5) & (factor < 1.2 + 1e-5)).all()
    assert torch.equal(found[:, -1], crops[:, -1])


def test_the_seed_repeats_everything_and_values_stay_in_range(crops: torch.Tensor) -> None:
    runs = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        runs.append(CropAugmentation(blur_prob=1.0)(crops, BAGS))
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])
    assert float(runs[0].min()) >= 0
    assert float(runs[0].max()) <= 255
