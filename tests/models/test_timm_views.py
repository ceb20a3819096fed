"""Several views of an image through one network: what they see, in which order, how they turn."""

import pytest
import torch

from hpa_mmdet.models.timm_features import TimmFeatures
from hpa_mmdet.models.timm_views import TimmViews

SHAPE = (2, 4, 128, 192)


def _alone(views: TimmViews, channels: tuple[int, ...], stride: int) -> TimmFeatures:
    """One view by itself, with the weights of all."""
    alone = TimmFeatures("resnet18", channels=channels, input_stride=stride, frozen=True)
    alone.load_state_dict(views.state_dict())
    return alone.eval()


@torch.no_grad()
def test_views_and_sizes_are_put_side_by_side_by_stride() -> None:
    torch.manual_seed(0)
    model = TimmViews("resnet18", views=((1, 1, 1), (1, 1, 2)), input_strides=(1, 2)).eval()
    image = torch.rand(SHAPE)
    maps = model(image)
    assert model.strides == [4, 8, 16, 32, 64]
    assert model.out_channels == [128, 384, 768, 1536, 1024]
    assert [one.shape[1] for one in maps] == model.out_channels
    assert [tuple(one.shape[2:]) for one in maps] == [
        (SHAPE[2] // stride, SHAPE[3] // stride) for stride in model.strides
    ]
    fine, nucleus = _alone(model, (1, 1, 1), 1)(image), _alone(model, (1, 1, 2), 1)(image)
    coarse = _alone(model, (1, 1, 1), 2)(image)
    torch.testing.assert_close(maps[0], torch.cat([fine[0], nucleus[0]], 1))
    torch.testing.assert_close(maps[1][:, :256], torch.cat([fine[1], nucleus[1]], 1))
    torch.testing.assert_close(maps[1][:, 256:320], coarse[0])
    torch.testing.assert_close(maps[4][:, :512], coarse[3])


@torch.no_grad()
@pytest.mark.parametrize("symmetries", [1, 2, 4, 8])
def test_maps_are_means_over_the_symmetries_turned_back(symmetries: int) -> None:
    torch.manual_seed(0)
    model = TimmViews("resnet18", views=((1, 1, 1),), symmetries=symmetries).eval()
    plain = _alone(model, (1, 1, 1), 1)
    image = torch.rand(SHAPE)
    turned = [plain(_turned(image, swap, axes)) for swap, axes in model.symmetries]
    for level, found in enumerate(model(image)):
        back = [
            _turned_back(maps[level], swap, axes)
            for maps, (swap, axes) in zip(turned, model.symmetries, strict=True)
        ]
        torch.testing.assert_close(found, torch.stack(back).mean(0))
    assert len(set(model.symmetries)) == symmetries


@torch.no_grad()
def test_with_all_symmetries_a_turned_image_gives_turned_maps() -> None:
    torch.manual_seed(0)
    model = TimmViews("resnet18", views=((1, 1, 1),), symmetries=8).eval()
    image = torch.rand(SHAPE)
    for found, turned in zip(model(image), model(image.transpose(2, 3).flip(2)), strict=True):
        torch.testing.assert_close(turned, found.transpose(2, 3).flip(2), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        pytest.param({"views": ()}, "expected one or more of each", id="no view"),
        pytest.param({"input_strides": ()}, "expected one or more of each", id="no size"),
        pytest.param({"views": ((1,), (1, 2))}, "as many channels", id="other numbers"),
        pytest.param({"symmetries": 3}, "found 3, expected 1, 2, 4 or 8", id="three turns"),
    ],
)
def test_bad_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TimmViews("resnet18", **options)  # type: ignore[arg-type]


def _turned(maps: torch.Tensor, swap: bool, axes: tuple[int, ...]) -> torch.Tensor:
    maps = maps.transpose(2, 3) if swap else maps
    return maps.flip(axes) if axes else maps


def _turned_back(maps: torch.Tensor, swap: bool, axes: tuple[int, ...]) -> torch.Tensor:
    maps = maps.flip(axes) if axes else maps
    return maps.transpose(2, 3) if swap else maps
