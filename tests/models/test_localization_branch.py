"""The branch: derived Negative, image weighting, standardization, what it learns from."""

import pytest
import torch

from hpa_mmdet.models.localization_branch import LocalizationBranch
from hpa_mmdet.models.localization_head import LocalizationHead, Standardize

LOSS = {"type": "BagLoss"}


def branch(**options: object) -> LocalizationBranch:
    torch.manual_seed(0)
    options = {"image_exponent": 0.0, "cells_exponent": 0.0, "hidden": (0, 8), **options}
    return LocalizationBranch(feature_dim=6, loss=LOSS, **options).eval()  # type: ignore[arg-type]


def test_derived_negative_is_the_product_of_what_the_others_lack() -> None:
    model = branch(image_exponent=0.0)
    cells = torch.randn(3, 6)
    scores, _ = model.predict(cells, torch.randn(6))
    prob = torch.sigmoid(model.cell_head(cells)).mean(0)[:, :18]
    torch.testing.assert_close(scores[:, :18], prob)
    torch.testing.assert_close(scores[:, 18], (1 - prob).prod(1))


def test_image_probability_weighs_every_class_but_negative() -> None:
    plain, weighted = branch(image_exponent=0.0), branch(image_exponent=0.5)
    cells, image = torch.randn(3, 6), torch.randn(6)
    without, _ = plain.predict(cells, image)
    scores, image_prob = weighted.predict(cells, image)
    expected = (without[:, :18] * image_prob[:18].sqrt()) ** (1 / 1.5)
    torch.testing.assert_close(scores[:, :18], expected)
    torch.testing.assert_close(scores[:, 18], without[:, 18])


def test_neighbours_that_show_a_class_are_evidence_for_it() -> None:
    plain, weighted = branch(), branch(cells_exponent=2.0)
    cells, image = torch.randn(4, 6), torch.randn(6)
    without, _ = plain.predict(cells, image)
    scores, _ = weighted.predict(cells, image)
    evidence = without[:, :18].mean(0) ** 2
    torch.testing.assert_close(scores[:, :18], (without[:, :18] * evidence) ** (1 / 3))
    torch.testing.assert_close(scores[:, 18], without[:, 18])


def test_exponents_that_the_config_leaves_open_are_the_checkpoints() -> None:
    model = branch(image_exponent=None, cells_exponent=None)
    assert model.exponents() == (0.5, 1.0)
    model.load_state_dict({**model.state_dict(), "chosen_exponents": torch.tensor([0.25, 0.5])})
    assert model.exponents() == (0.25, 0.5)
    model.image_exponent = 1.0
    assert model.exponents() == (1.0, 0.5)


def test_each_part_of_a_head_learns_by_itself() -> None:
    model = branch()
    model.loss(torch.randn(4, 6), torch.tensor([0, 0, 1, 1]), torch.randn(2, 6), torch.ones(2, 19))[
        "loss_localization"
    ].backward()
    linear, deep = model.cell_head.parts
    assert linear[-1].weight.grad.any()
    assert deep[-1].weight.grad.any()
    assert model.cell_head.linear_parameters() == [linear[-1].weight, linear[-1].bias]


@pytest.mark.parametrize("hidden", [(), (8, -1)], ids=["no part", "a negative width"])
def test_a_head_needs_parts(hidden: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected one or more widths, 0 for linear"):
        LocalizationHead(6, hidden)


@pytest.mark.parametrize(("negative", "learns"), [("derived", False), ("learnt", True)])
def test_a_derived_negative_has_no_logit_that_learns(negative: str, learns: bool) -> None:
    model = branch(negative=negative)
    losses = model.loss(
        torch.randn(4, 6), torch.tensor([0, 0, 1, 1]), torch.randn(2, 6), torch.ones(2, 19)
    )
    losses["loss_localization"].backward()
    gradient = model.cell_head.parts[0][-1].weight.grad
    assert gradient is not None
    assert bool(gradient[18].any()) is learns
    assert gradient[:18].any()


def test_mixed_negative_is_the_mean_of_both() -> None:
    cells, image = torch.randn(2, 6), torch.randn(6)
    derived, learnt, mixed = (
        branch(negative=way).predict(cells, image)[0][:, 18]
        for way in ("derived", "learnt", "mixed")
    )
    torch.testing.assert_close(mixed, (derived + learnt) / 2)


def test_no_cells_give_no_scores() -> None:
    scores, image_prob = branch().predict(torch.zeros(0, 6), torch.zeros(6))
    assert scores.shape == (0, 19)
    assert image_prob.shape == (19,)


def test_standardize_brings_features_to_mean_0_and_deviation_1() -> None:
    rows = torch.tensor([[1.0, 5.0], [3.0, 5.0], [5.0, 5.0]])
    module = Standardize(2)
    module.fit(rows.split(2))
    done = module(rows)
    torch.testing.assert_close(done.mean(0), torch.zeros(2))
    torch.testing.assert_close(done[:, 0].std(correction=0), torch.tensor(1.0))
    assert not done[:, 1].any()  # a feature that never varies


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"pooling": "cell"}, "pooling: found 'cell', expected mask or box", id="pool"),
        pytest.param({"negative": "none"}, "negative: found 'none', expected derived", id="neg"),
    ],
)
def test_unknown_choices_are_named(options: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        branch(**options)
