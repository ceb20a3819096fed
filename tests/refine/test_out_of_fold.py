"""Predictions of an image's cells by heads that never saw what the file says of them."""

import numpy as np
import torch

from hpa_mmdet.fit.feature_cache import FeatureCache
from hpa_mmdet.models import LocalizationBranch
from hpa_mmdet.refine.out_of_fold import predict_out_of_fold

FOLD_OF = np.array([0, 1, 2, 0, 1, 2])
COUNTS = [3, 1, 4, 2, 5, 3]


class Branch(torch.nn.Module):
    """A model that is its localization branch alone."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.localization = LocalizationBranch(
            feature_dim=8, loss={"type": "CellLoss"}, hidden=16, dropout=0.0, image_exponent=0.0
        )


def test_labels_of_a_fold_have_no_part_in_its_predictions() -> None:
    generator = torch.Generator().manual_seed(1)
    count, fit = sum(COUNTS), {"epochs": 3, "lr": 0.01, "batch_images": 2}
    cache = FeatureCache(
        torch.randn(count, 8, generator=generator),
        torch.tensor(COUNTS),
        torch.randn(len(COUNTS), 8, generator=generator),
        (torch.rand(len(COUNTS), 19, generator=generator) < 0.3).float(),
        (torch.rand(count, 19, generator=generator) < 0.3).float(),
    )
    model = Branch()
    before = predict_out_of_fold(model, cache, FOLD_OF, fit)
    assert before.shape == (count, 19)
    inside = torch.from_numpy(np.repeat(FOLD_OF, COUNTS) == 1)
    images = torch.from_numpy(FOLD_OF == 1)
    targets, labels = cache.cell_targets.clone(), cache.image_labels.clone()
    targets[inside], labels[images] = 1 - targets[inside], 1 - labels[images]
    other = cache._replace(cell_targets=targets, image_labels=labels)
    after = predict_out_of_fold(model, other, FOLD_OF, fit)
    np.testing.assert_array_equal(after[inside], before[inside])
    assert not np.allclose(after[~inside], before[~inside])
