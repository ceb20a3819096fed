"""Cells that a person looked at: exact for themselves, and a help in asking the others."""

import pytest
import torch
from torch import Tensor

from hpa_mmdet.localizations import NEGATIVE
from hpa_mmdet.models import LocalizationBranch

LENGTH = 5
LOSSES = [
    {"type": "BagLoss"},
    {"type": "BagLoss", "pooling": "log_sum_exp"},
    {"type": "BagLoss", "pooling": "noisy_or"},
    {"type": "BagLoss", "pooling": "top_share"},
    {"type": "BagLoss", "pooling": "attention"},
    {"type": "InheritedLoss", "label_smoothing": 0.1},
    {"type": "AsymmetricInheritedLoss"},
    {"type": "CellLoss"},
]
IDS = [str(loss.get("pooling", loss["type"])) for loss in LOSSES]


def branch(loss: dict[str, object], **options: object) -> LocalizationBranch:
    torch.manual_seed(0)
    return LocalizationBranch(LENGTH, loss, hidden=(0, 4), dropout=0.0, **options)


def batch() -> dict[str, Tensor]:
    """Two images of three and four cells; the first has classes 1 and 3, the second 2."""
    generator = torch.Generator().manual_seed(1)
    labels = torch.zeros(2, 19)
    labels[0, [1, 3]] = labels[1, 2] = 1
    bag_index = torch.tensor([0, 0, 0, 1, 1, 1, 1])
    return {
        "cells": torch.randn(7, LENGTH, generator=generator),
        "bag_index": bag_index,
        "images": torch.randn(2, LENGTH, generator=generator),
        "image_labels": labels,
        "cell_targets": labels[bag_index].clone(),
    }


def gradients(model: LocalizationBranch, data: dict[str, Tensor], name: str) -> Tensor:
    """Gradient of a loss at each cell's logits of the linear part: (7, 19)."""
    kept: list[Tensor] = []
    layer = model.cell_head.parts[0][-1]
    handle = layer.register_forward_hook(lambda _, __, output: kept.append(output))
    losses = model.loss(**data)
    handle.remove()
    return torch.autograd.grad(losses[name], kept[0], allow_unused=True)[0]


@pytest.mark.parametrize("loss", LOSSES, ids=IDS)
def test_without_reviewed_cells_every_loss_is_as_before(loss: dict[str, object]) -> None:
    model, data = branch(loss), batch()
    plain = model.loss(**data)
    found = model.loss(**data, reviewed=torch.zeros(7, dtype=torch.bool))
    assert found.pop("loss_reviewed") == 0
    torch.testing.assert_close(found, plain)


@pytest.mark.parametrize("loss", LOSSES, ids=IDS)
def test_what_a_reviewed_cell_shows_is_explained_and_the_rest_is_asked_of_the_others(
    loss: dict[str, object],
) -> None:
    model, data = branch(loss), batch()
    data["reviewed"] = torch.tensor([1, 0, 0, 0, 0, 0, 0]).bool()
    data["cell_targets"][0] = torch.eye(19)[1]  # it shows class 1 and not class 3
    found = gradients(model, data, "loss_localization")
    assert not found[0].any()  # the reviewed cell has no part in the bag
    assert not found[1:3, 1].any()  # class 1 is explained
    assert (found[1:3, 3] < 0).any()  # class 3 must lie in the others
    # as if the reviewed cell were none of the image's
    others = {
        **data,
        "cells": data["cells"][1:],
        "bag_index": data["bag_index"][1:],
        "cell_targets": data["cell_targets"][1:],
        "reviewed": data["reviewed"][1:],
    }
    expected = gradients(model, others, "loss_localization")
    torch.testing.assert_close(found[1:3, 3], expected[:2, 3])
    torch.testing.assert_close(found[3:], expected[2:])


@pytest.mark.parametrize("loss", LOSSES, ids=IDS)
def test_images_all_of_whose_cells_are_reviewed_are_learnt_plainly(
    loss: dict[str, object],
) -> None:
    model, data = branch(loss, reviewed_loss_weight=2.0), batch()
    data["reviewed"] = torch.ones(7).bool()
    targets = (torch.rand(7, 19, generator=torch.Generator().manual_seed(4)) < 0.2).float()
    data["cell_targets"] = targets
    found = model.loss(**data)
    assert found["loss_localization"] == 0
    logits = model.cell_head(data["cells"])
    by_cell = torch.stack(
        [
            torch.nn.functional.binary_cross_entropy_with_logits(
                part, targets, reduction="none"
            ).sum(1)
            for part in logits
        ]
    ).mean(0)
    expected = 2.0 * (by_cell[:3].mean() + by_cell[3:].mean()) / 2
    torch.testing.assert_close(found["loss_reviewed"], expected)


def test_negative_is_learnt_from_reviewed_cells_alone() -> None:
    model, data = branch({"type": "BagLoss"}), batch()
    assert not gradients(model, data, "loss_localization")[:, NEGATIVE].any()
    data["reviewed"] = torch.tensor([0, 0, 0, 1, 0, 0, 0]).bool()
    data["cell_targets"][3] = torch.eye(19)[NEGATIVE]
    found = gradients(model, data, "loss_reviewed")[:, NEGATIVE]
    assert (found != 0).tolist() == data["reviewed"].tolist()


def test_exact_images_have_no_reviewed_cells() -> None:
    model, data = branch({"type": "BagLoss"}), batch()
    data["exact"] = torch.tensor([False, True])
    data["reviewed"] = torch.tensor([0, 0, 0, 1, 1, 0, 0]).bool()
    assert model.loss(**data)["loss_reviewed"] == 0


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_the_learnt_negative_is_mixed_into_a_derived_one(share: float) -> None:
    model = branch({"type": "BagLoss"}, image_exponent=0.0, cells_exponent=0.0)
    model.learnt_negative.fill_(share)
    cells, image = batch()["cells"], torch.zeros(LENGTH)
    probs = model.cell_head.probabilities(cells)
    derived = (1 - probs[:, :NEGATIVE]).prod(1)
    expected = (1 - share) * derived + share * probs[:, NEGATIVE]
    torch.testing.assert_close(model.predict(cells, image)[0][:, NEGATIVE], expected)
