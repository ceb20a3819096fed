"""Cells that nobody looked at learn from heads of other images, within their image's labels."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from hpa_mmdet.coco.folds import Grouping
from hpa_mmdet.fit import teaching
from hpa_mmdet.fit.correction import correct_by_reviewed
from hpa_mmdet.fit.feature_cache import FeatureCache
from hpa_mmdet.fit.heads import fit_heads
from hpa_mmdet.fit.predictions import BagPrediction, predict_bags
from hpa_mmdet.fit.teaching import fit_taught_heads, has_reviewed_cells, teach_others
from hpa_mmdet.localizations import NEGATIVE
from hpa_mmdet.models import LocalizationBranch
from hpa_mmdet.models.localization_head import Standardize
from hpa_mmdet.scoring.resampling import class_average_precisions


def two_images() -> FeatureCache:
    """An exact image of one cell, then a weak one of two, of which the first is reviewed."""
    labels = torch.zeros(2, 19)
    labels[0, 10] = labels[1, 3] = labels[1, 5] = 1
    targets = labels[[0, 1, 1]].clone()
    targets[1] = torch.eye(19)[NEGATIVE]
    return FeatureCache(
        torch.zeros(3, 4),
        torch.tensor([1, 2]),
        torch.zeros(2, 4),
        labels,
        targets,
        torch.tensor([True, False]),
        reviewed=torch.tensor([False, True, False]),
    )


def test_soft_labels_keep_to_the_images_labels_and_spare_reviewed_cells() -> None:
    cache = two_images()
    probs = torch.full((2, 19), 0.5)
    probs[1, 3], probs[1, 5] = 0.75, 0.2
    said = BagPrediction(
        probs, torch.zeros(19), cache.image_labels[1], None, torch.tensor([True, False])
    )
    taught = teach_others(cache, [said], Standardize(4))
    assert taught.taught is not None
    assert taught.taught.tolist() == [False, False, True]
    assert taught.cell_targets is not None
    torch.testing.assert_close(taught.cell_targets[:2], cache.cell_targets[:2])  # type: ignore[index]
    soft = taught.cell_targets[2]  # lower than was said, for the reviewed cell shows neither
    assert 0.5 < soft[3] < 0.75
    assert 0.1 < soft[5] < 0.2
    torch.testing.assert_close(soft[NEGATIVE], (1 - soft[3]) * (1 - soft[5]))
    assert soft.nonzero()[:, 0].tolist() == [3, 5, NEGATIVE]
    assert cache.taught is None
    assert taught.select(torch.tensor([1])).taught.tolist() == [False, True]  # type: ignore[union-attr]


def test_reviewed_cells_correct_what_is_said_of_cells_that_look_alike() -> None:
    cells = torch.tensor(
        [[3.0, 0.0], [3.0, 0.1], [-3.0, 0.0], [-3.0, 0.1], [0.0, 3.0], [0.0, -3.0]]
    )
    shown = torch.zeros(6, 19)
    shown[[0, 1], 4] = 1
    cache = FeatureCache(
        cells, torch.tensor([2, 2, 2]), torch.zeros(3, 2), torch.ones(3, 19), shown,
        reviewed=torch.tensor([True, False, True, False, False, False]),
    )  # fmt: skip
    probs = torch.full((6, 19), 0.5)
    found = correct_by_reviewed(cache, probs, torch.arange(3), Standardize(2))[:, 4]
    assert found[1] > 0.8
    assert found[3] < 0.2
    assert (found[4:] - 0.5).abs().max() < 0.1


def test_exact_images_have_no_reviewed_cells() -> None:
    cache = two_images()
    assert has_reviewed_cells(cache)
    assert not has_reviewed_cells(cache._replace(reviewed=torch.tensor([True, False, False])))
    assert not has_reviewed_cells(cache._replace(reviewed=None))


def bags_with_few_reviewed() -> tuple[FeatureCache, torch.Tensor]:
    """Forty images of the labels k and 18 others; their cells show one of two; some are reviewed."""
    generator = torch.Generator().manual_seed(5)
    labels, shown = torch.zeros(40, 19), torch.zeros(200, 19)
    cells = 0.7 * torch.randn(200, 8, generator=generator)
    for image in range(40):
        pair = torch.tensor([image % 4, (image + 1) % 4])
        labels[image, pair] = 1
        for cell in range(5 * image, 5 * image + 5):
            k = pair[int(torch.randint(2, (), generator=generator))]
            shown[cell, k] = 1
            cells[cell, k] += 2
    reviewed = torch.zeros(200, dtype=torch.bool)
    reviewed[::10] = True
    targets = torch.where(reviewed[:, None], shown, labels.repeat_interleave(5, 0))
    counts = torch.full((40,), 5)
    cache = FeatureCache(cells, counts, cells.view(40, 5, 8).mean(1), labels, targets)
    return cache._replace(reviewed=reviewed), shown


def test_taught_heads_name_cells_better_than_bags_and_reviewed_cells_alone() -> None:
    cache, shown = bags_with_few_reviewed()
    scores = []
    for teach in (False, True):
        torch.manual_seed(0)
        loss = {"type": "BagLoss", "pooling": "log_sum_exp"}
        branch = LocalizationBranch(8, loss, hidden=0, dropout=0.0)
        model = SimpleNamespace(localization=branch.eval())
        fit = {"epochs": 40, "linear_lr": 1e-2, "batch_images": 8}
        if teach:
            history, held_out = fit_taught_heads(model, cache, 3, **fit)
            assert "loss_taught" in history[-1][1]
            assert len(held_out) == 20
        else:
            fit_heads(model, cache, **fit)
        probs = branch.cell_head.probabilities(cache.cells).detach().double().numpy()
        ap = class_average_precisions(shown.bool().numpy(), probs)[0]
        scores.append(float(ap[:4].mean()))
    assert scores[1] > scores[0] + 0.01


def test_groups_part_what_is_chosen_by_and_not_who_teaches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cache, _ = bags_with_few_reviewed()
    asked: list[Grouping | None] = []

    def predict(model: Any, given: FeatureCache, *words: Any, **fit: Any) -> list[BagPrediction]:
        asked.append(words[2] if len(words) > 2 else None)
        assert not fitted
        found = predict_bags(model, given)
        return [bag._replace(image_labels=bag.image_labels * len(asked)) for bag in found]

    fitted: list[FeatureCache] = []
    monkeypatch.setattr(teaching, "predict_held_out", predict)
    monkeypatch.setattr(
        teaching, "fit_heads", lambda model, given, **fit: fitted.append(given) or []
    )
    branch = LocalizationBranch(8, {"type": "BagLoss"}, hidden=0).eval()
    branch.cell_head.standardize.fit([cache.cells])
    grouping = Grouping(Path("plates.csv"), "plate")
    _, held_out = fit_taught_heads(SimpleNamespace(localization=branch), cache, 3, 0, grouping)
    assert asked == [None, grouping]
    assert {float(bag.image_labels.max()) for bag in held_out} == {2.0}
    assert len(fitted) == 1
