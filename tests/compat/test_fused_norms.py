"""Networks whose batch norms are folded into their convolutions give the same maps."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from hpa_mmdet.compat import prepare

prepare()

from hpa_mmdet.compat.fused_norms import fuse_for_prediction, fuse_norms, fused_norms  # noqa: E402
from hpa_mmdet.fit.feature_cache import describe_images  # noqa: E402
from hpa_mmdet.models.timm_features import TimmFeatures  # noqa: E402
from hpa_mmdet.models.timm_views import TimmViews  # noqa: E402


def norms(network: nn.Module) -> int:
    return sum(isinstance(part, nn.BatchNorm2d) for part in network.modules())


def used(model: nn.Module) -> nn.Module:
    """Give norms statistics as training leaves them."""
    torch.manual_seed(0)
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            assert part.running_mean is not None
            assert part.running_var is not None
            part.running_mean.normal_()
            part.running_var.uniform_(0.5, 2)
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.normal_(part.bias)
    return model.eval()


@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "resnet18", "resnet50"])
def test_maps_are_the_same_without_a_norm_left(name: str) -> None:
    model = used(TimmFeatures(name))
    image = torch.randn(2, 4, 64, 96)
    with torch.no_grad():
        before = model(image)
        assert norms(model) > 15
        fuse_for_prediction(model)
        assert norms(model) == 0
        after = model(image)
    for one, other in zip(before, after, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4 * float(one.abs().max()))


def test_views_are_fused_too() -> None:
    model = used(TimmViews("resnet18", views=((0, 0, 0), (0, 0, 1))))
    image = torch.randn(1, 2, 64, 64)
    with torch.no_grad():
        before = model(image)
        fuse_for_prediction(model)
        after = model(image)
    assert norms(model) == 0
    torch.testing.assert_close(before[-1], after[-1], rtol=1e-3, atol=1e-3)


def test_what_is_frozen_runs_fused_for_a_while() -> None:
    frozen, free = used(TimmFeatures("resnet18", frozen=True)), used(TimmFeatures("resnet18"))
    both = nn.ModuleList([frozen, free])
    names = list(both.state_dict())
    with fused_norms(both):
        assert norms(frozen) == 0
        assert norms(free) == 20
    assert norms(frozen) == 20
    assert list(both.state_dict()) == names

    def fail() -> None:
        with fused_norms(both):
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert norms(frozen) == 20


class Turned(nn.Module):
    """A norm that stands behind a convolution and runs before it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)
        self.norm = nn.BatchNorm2d(3)

    def forward(self, image: Tensor) -> Iterator[Tensor]:
        yield self.conv(torch.relu(self.norm(image)))


class WithoutNorm(nn.Sequential):
    pass


@pytest.mark.parametrize("network", [Turned(), WithoutNorm(nn.Conv2d(3, 3, 1))])
def test_what_cannot_be_fused_is_left_as_it_is(network: nn.Module) -> None:
    used(network).train()
    assert fuse_norms(network, 3) is network
    assert network.training


class Describes(nn.Module):
    """A model that says how many norms its frozen network has while cells are described."""

    def __init__(self) -> None:
        super().__init__()
        self.branch = TimmFeatures("resnet18", frozen=True)
        self.seen: list[int] = []

    def data_preprocessor(self, batch: Any, training: bool) -> dict[str, Any]:
        assert not training
        return {"inputs": batch, "data_samples": []}

    def describe_cells(self, inputs: Any, samples: list[Any]) -> tuple[list[Any], ...]:
        self.seen.append(norms(self.branch))
        return [], [], []


def test_features_are_computed_without_norms_that_are_back_afterwards() -> None:
    model = Describes()
    assert list(describe_images(model, [1, 2])) == []
    assert model.seen == [0, 0]
    assert norms(model.branch) == 20
