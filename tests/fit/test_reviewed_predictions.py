"""Exponents, thresholds and the learnt Negative follow reviewed cells that were held out."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from hpa_mmdet.coco.folds import Grouping
from hpa_mmdet.errors import InputError
from hpa_mmdet.fit import predictions
from hpa_mmdet.fit.exponents import (
    choose_by_training_cells,
    choose_exponents,
    choose_negative,
    known_cells,
)
from hpa_mmdet.fit.feature_cache import FeatureCache
from hpa_mmdet.fit.predictions import BagPrediction, predict_bags, predict_held_out
from hpa_mmdet.fit.thresholds import choose_thresholds
from hpa_mmdet.localizations import NEGATIVE
from hpa_mmdet.models.localization_branch import LocalizationBranch


def branch(**options: Any) -> LocalizationBranch:
    torch.manual_seed(0)
    return LocalizationBranch(4, {"type": "BagLoss"}, hidden=0, **options).eval()


def bag(of_class: list[float], shown: list[bool], reviewed: list[bool], **more: Any) -> Any:
    """An image of class 0 whose cells have these p(0 | cell) and are known to show it or not."""
    probs, targets = torch.full((len(of_class), 19), 0.01), torch.zeros(len(of_class), 19)
    probs[:, 0], targets[:, 0] = torch.tensor(of_class), torch.tensor(shown).float()
    probs[:, NEGATIVE] = torch.tensor(more.get("negative", [0.1] * len(of_class)))
    targets[:, NEGATIVE] = 1 - targets[:, 0]
    return BagPrediction(
        probs, torch.full((19,), 0.5), torch.eye(19)[0], targets, torch.tensor(reviewed)
    )


def test_only_reviewed_cells_are_known() -> None:
    bags = [bag([0.9, 0.2], [True, False], [False, True]), bag([0.5], [True], [False])]
    labels, known = known_cells(bags)
    assert known.tolist() == [False, True, False]
    assert labels[1, NEGATIVE]
    unseen = [one._replace(reviewed=torch.zeros_like(one.reviewed)) for one in bags]
    assert known_cells(unseen)[1].all()  # the data set tells its cells apart
    inherited = [one._replace(cell_targets=one.image_labels.expand(2, -1)) for one in unseen[:1]]
    assert known_cells(inherited) is None
    assert known_cells([]) is None


def test_thresholds_are_those_of_reviewed_cells_where_they_show_the_class() -> None:
    model = branch(image_exponent=0.0, cells_exponent=0.0)
    # by the image's label, cells at 0.5 and more are taken to show it; a person says 0.8
    bags = [bag([0.9, 0.8, 0.7, 0.6], [True, True, False, False], [True] * 4)]
    by_image = choose_thresholds(model, bags)
    by_person = choose_thresholds(model, bags, bags)
    assert 0.1 < by_image[0] < 0.61
    assert 0.7 < by_person[0] < 0.81
    assert by_person[5] == by_image[5] == 0.5  # no cell and no image shows it


def test_exponents_are_chosen_on_reviewed_cells_alone() -> None:
    first = bag([0.9, 0.5], [False, True], [False, True])
    second = bag([0.6, 0.1], [False, False], [True, False])
    second = second._replace(image=torch.full((19,), 0.1), image_labels=torch.eye(19)[3])
    model = branch()
    image, _, score = choose_exponents(model, [first, second], cells_exponents=(0.0,))
    assert image > 0  # the image tells the two reviewed cells apart, their own scores do not
    assert score == pytest.approx((1.0 + 0.5) / 2)  # of class 0 and Negative
    by_all = choose_by_training_cells(model, [first, second])
    assert by_all[:2] == model.exponents() != (image, 0)  # the image's cells do it as well
    assert by_all[2] == score


def test_the_share_of_the_learnt_negative_is_that_which_ranks_best() -> None:
    # derived: 0.1 and 0.3 (of class 0); learnt says the other way round, and is right
    wrong = bag([0.9, 0.7], [False, True], [True, True], negative=[0.9, 0.2])
    model = branch()
    assert choose_negative(model, [wrong]) == 0.5  # the least that is right
    assert float(model.learnt_negative) == 0.5
    right = bag([0.9, 0.7], [True, False], [True, True], negative=[0.9, 0.2])
    assert choose_negative(model, [right]) == 0.0
    unsure = bag([0.9, 0.7], [True, True], [True, True])
    assert choose_negative(model, [unsure]) == 0.5  # nothing reviewed is Negative
    model = branch()
    assert choose_negative(model, [bag([0.9], [True], [False])]) == 0.0


def cache() -> FeatureCache:
    """Nine images of two cells; in images 1, 4 and 8 the second is reviewed; 4 is exact."""
    reviewed = torch.zeros(18, dtype=torch.bool)
    reviewed[[3, 9, 17]] = True
    exact = torch.zeros(9, dtype=torch.bool)
    exact[4] = True
    generator = torch.Generator().manual_seed(2)
    return FeatureCache(
        torch.randn(18, 4, generator=generator),
        torch.full((9,), 2),
        torch.randn(9, 4, generator=generator),
        torch.eye(19)[torch.arange(9)],
        torch.eye(19)[torch.arange(9)].repeat_interleave(2, 0),
        exact,
        reviewed=reviewed,
    )


def test_images_are_predicted_by_heads_of_other_images(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, fitted = SimpleNamespace(localization=branch()), []
    before = {name: value.clone() for name, value in model.localization.state_dict().items()}
    real_fit, real_predict = predictions.fit_heads, predictions.predict_bags

    def fit(copy: Any, given: FeatureCache, **options: Any) -> None:
        fitted.append((copy, set(options["images"].tolist())))
        real_fit(copy, given, **options)

    asked: list[int] = []

    def predict(copy: Any, given: FeatureCache, chosen: torch.Tensor) -> list[BagPrediction]:
        assert copy is fitted[-1][0]
        assert not fitted[-1][1] & set(chosen.tolist())
        asked.extend(chosen.tolist())
        return real_predict(copy, given, chosen)

    monkeypatch.setattr(predictions, "fit_heads", fit)
    monkeypatch.setattr(predictions, "predict_bags", predict)
    found = predict_held_out(model, cache(), 3, epochs=1)
    assert sorted(asked) == [0, 1, 2, 3, 5, 6, 7, 8]
    assert [bool(one.reviewed.any()) for one in found] == [False, True, *[False] * 5, True]
    assert [int(one.image_labels.argmax()) for one in found] == [0, 1, 2, 3, 5, 6, 7, 8]
    assert 6 <= len(fitted[0][1]) < 9
    after = model.localization.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_images_of_a_group_are_predicted_by_heads_of_other_groups(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    names = tuple("abcdefghi")
    of_image = dict(zip(names, "1112223 3", strict=True))
    table = tmp_path / "groups.csv"
    table.write_text("ID,plate\n" + "".join(f"{name},{of_image[name]}\n" for name in names))
    learnt: list[set[str]] = []

    def fit(copy: Any, given: FeatureCache, **options: Any) -> None:
        learnt.append({names[image] for image in options["images"].tolist()})

    def predict(copy: Any, given: FeatureCache, chosen: torch.Tensor) -> list[BagPrediction]:
        asked = {names[image] for image in chosen.tolist()}
        assert asked
        assert not {of_image[name] for name in asked} & {of_image[name] for name in learnt[-1]}
        return predict_bags(copy, given, chosen)

    monkeypatch.setattr(predictions, "fit_heads", fit)
    monkeypatch.setattr(predictions, "predict_bags", predict)
    model = SimpleNamespace(localization=branch())
    given = cache()._replace(hpa_ids=names)
    found = predict_held_out(model, given, 3, grouping=Grouping(table, "plate"))
    assert [int(one.image_labels.argmax()) for one in found] == [0, 1, 2, 3, 5, 6, 7, 8]
    table.write_text("ID,plate\na,1\n")
    with pytest.raises(InputError, match=r"groups\.csv: found no row for b, c, d, e, f"):
        predict_held_out(model, given, 3, grouping=Grouping(table, "plate"))


def test_bags_are_predicted_but_those_of_exact_images() -> None:
    model = SimpleNamespace(localization=branch())
    found = predict_bags(model, cache())
    assert len(found) == 8
    assert [bool(one.reviewed.any()) for one in found] == [False, True, *[False] * 5, True]
    one = predict_bags(model, cache(), torch.tensor([8]))[0]
    expected = model.localization.cell_head.probabilities(cache().cells[16:])
    torch.testing.assert_close(one.cells, expected)
