"""Another channel in place of the protein's: what it shows is exact, and apart from bags."""

from typing import Any

import numpy as np
import pytest
import torch

from hpa_mmdet.datasets import PackCells, SubstituteChannel
from hpa_mmdet.errors import InputError
from hpa_mmdet.models.localization_branch import LocalizationBranch

SHAPE_HW = (20, 30)


def picture() -> dict[str, Any]:
    image = np.zeros((*SHAPE_HW, 4), np.uint8)
    image[...] = (100, 200, 50, 80)  # red, green, blue, yellow
    cells = np.zeros(SHAPE_HW, np.uint16)
    cells[2:10, 3:12], cells[8:18, 15:28] = 1, 2
    localizations = np.zeros((2, 19), np.uint8)
    localizations[:, [0, 14]] = 1
    return {
        "img": image,
        "hpa_id": "a",
        "ori_shape": SHAPE_HW,
        "img_shape": SHAPE_HW,
        "image_labels": [0, 14],
        "cell_label_image": cells,
        "cell_localizations": localizations,
        "cell_ids": np.array([4, 9]),
        "cell_reviewed": np.zeros(2, bool),
    }


@pytest.mark.parametrize(
    ("source", "label", "low", "high"),
    [
        pytest.param("red", 10, 60, 100, id="microtubules"),
        pytest.param("yellow", 6, 48, 80, id="reticulum"),
        pytest.param("black", 18, 0, 20, id="negative"),
    ],
)
def test_the_stand_in_is_the_one_label_of_every_cell(
    source: str, label: int, low: int, high: int
) -> None:
    before = picture()
    after = SubstituteChannel([source], prob=1.0)(picture())
    green = after["img"][..., 1]
    assert low <= green.min() == green.max() <= high
    np.testing.assert_array_equal(after["img"][..., [0, 2, 3]], before["img"][..., [0, 2, 3]])
    assert after["image_labels"] == [label]
    assert after["cell_localizations"].nonzero()[1].tolist() == [label, label]
    sample = PackCells()(after)["data_samples"]
    assert sample.labels_are_exact is True
    assert sample.image_labels.nonzero()[0].tolist() == [label]


def test_the_other_images_stay_as_they_are() -> None:
    original = picture()["img"]
    after = SubstituteChannel(prob=0.0)(picture())
    np.testing.assert_array_equal(after["img"], original)
    assert PackCells()(after)["data_samples"].labels_are_exact is False


def test_the_share_is_drawn_by_numpys_generator() -> None:
    transform = SubstituteChannel(prob=0.25)

    def draw(seed: int) -> list[bool]:
        np.random.seed(seed)  # noqa: NPY002
        return [transform(picture()).get("labels_are_exact", False) for _ in range(200)]

    assert draw(1) == draw(1) != draw(2)
    assert 30 < sum(draw(1)) < 70


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param(
            {"sources": ["blue"]}, "source 'blue', expected some of red, yellow, black", id="which"
        ),
        pytest.param(
            {"sources": ["yellow"], "channels": ["red", "green"]},
            "found channels red, green, expected also yellow",
            id="no yellow",
        ),
    ],
)
def test_what_cannot_stand_in_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        SubstituteChannel(**options)


@pytest.mark.parametrize("loss", ["BagLoss", "InheritedLoss", "CellLoss"])
def test_exact_images_are_never_in_a_bag(loss: str) -> None:
    torch.manual_seed(0)
    branch = LocalizationBranch(5, {"type": loss}, hidden=(0, 4), exact_loss_weight=0.5).eval()
    cells, bag, images = torch.randn(7, 5), torch.tensor([0, 0, 1, 1, 1, 2, 2]), torch.randn(3, 5)
    labels = torch.zeros(3, 19)
    labels[[0, 1, 2], [0, 10, 3]] = 1
    targets = labels[bag]
    exact = torch.tensor([False, True, False])
    losses = branch.loss(cells, bag, images, labels, targets, exact)
    weak = bag != 1
    alone = branch.loss(
        cells[weak], torch.tensor([0, 0, 1, 1]), images[[0, 2]], labels[[0, 2]], targets[weak]
    )
    for name in ("loss_localization", "loss_image"):
        torch.testing.assert_close(losses[name], alone[name])
    prob = branch.cell_head(cells[bag == 1])[..., :18].sigmoid()  # of both parts
    lacking = [*range(10), *range(11, 18)]
    by_hand = -prob[..., 10].log() - (1 - prob[..., lacking]).log().sum(2)
    torch.testing.assert_close(losses["loss_exact"], 0.5 * by_hand.mean())


def test_a_batch_of_exact_images_alone_has_a_gradient() -> None:
    branch = LocalizationBranch(5, {"type": "BagLoss"}, hidden=4)
    losses = branch.loss(
        torch.randn(2, 5), torch.tensor([0, 0]), torch.randn(1, 5), torch.eye(19)[[6]],
        exact=torch.tensor([True]),
    )  # fmt: skip
    assert losses["loss_localization"] == 0
    assert losses["loss_image"] == 0
    sum(losses.values()).backward()
    assert branch.cell_head.parts[0][-1].weight.grad.any()
