"""The backbone: strides, stems for other channel counts, weights and their errors."""

from pathlib import Path

import pytest
import timm
import torch

from hpa_mmdet.errors import InputError
from hpa_mmdet.models import pretrained
from hpa_mmdet.models.timm_features import TimmFeatures

LITE0 = "tf_efficientnet_lite0"


def need_packaged(name: str) -> None:
    """Skip where the extra that carries these weights was not installed; `make install` does."""
    pytest.importorskip(
        pretrained.PACKAGED[name].module, reason="the extra `demo` is not installed"
    )


def test_input_stride_multiplies_the_strides_of_the_maps() -> None:
    model = TimmFeatures("resnet18", input_stride=2)
    assert model.strides == [8, 16, 32, 64]
    maps = model(torch.zeros(1, 4, 128, 192))
    assert [tuple(feature_map.shape[2:]) for feature_map in maps] == [
        (16, 24),
        (8, 12),
        (4, 6),
        (2, 3),
    ]
    assert (
        [feature_map.shape[1] for feature_map in maps] == model.out_channels == [64, 128, 256, 512]
    )


def test_lite0_weights_name_its_tensors_and_adapt_the_stem() -> None:
    need_packaged("lite0")
    rgb = TimmFeatures(LITE0, channels=(0, 1, 2), weights="lite0")
    four = TimmFeatures(LITE0, weights="lite0")
    green = TimmFeatures(LITE0, channels=(1,), weights="lite0")
    for model in (rgb, four, green):
        model.init_weights()
        model.eval()
    stem = rgb.network.state_dict()["conv_stem.weight"]
    torch.testing.assert_close(
        green.network.state_dict()["conv_stem.weight"], stem.sum(1, keepdim=True)
    )
    torch.testing.assert_close(
        four.network.state_dict()["conv_stem.weight"], stem[:, [0, 1, 2, 0]] * 3 / 4
    )
    # a grey picture is the same to the colour stem and to the one-channel one
    grey = torch.rand(1, 1, 64, 64)
    torch.testing.assert_close(
        green(grey.expand(-1, 4, -1, -1))[0],
        rgb(grey.expand(-1, 3, -1, -1))[0],
        atol=1e-3,  # summed in another order
        rtol=1e-3,
    )


def test_weights_of_a_local_file_are_loaded(tmp_path: Path) -> None:
    whole = timm.create_model("resnet18", num_classes=7)
    path = tmp_path / "resnet18.pth"
    torch.save({"state_dict": {f"module.{k}": v for k, v in whole.state_dict().items()}}, path)
    model = TimmFeatures("resnet18", channels=(0, 1, 2), weights=str(path))
    model.init_weights()
    for name, tensor in model.network.state_dict().items():
        torch.testing.assert_close(tensor, whole.state_dict()[name])


def test_a_flattened_naming_is_matched() -> None:
    whole = timm.create_model("convnext_atto")
    model = TimmFeatures("convnext_atto", channels=(0, 1, 2), out_indices=(0, 1, 2, 3))
    assert model._load(dict(whole.state_dict())) == []


def test_frozen_networks_stay_in_evaluation_mode_without_gradients() -> None:
    frozen = TimmFeatures("resnet18", frozen=True).train()
    assert not any(module.training for module in frozen.modules())
    assert not any(weight.requires_grad for weight in frozen.parameters())
    tuned = TimmFeatures("resnet18", norm_eval=True).train()
    assert tuned.training
    assert not tuned.network.bn1.training


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    torch.save(timm.create_model("resnet10t").state_dict(), path)
    with pytest.raises(InputError, match=r"other.pth: found no .*expected all .* of timm's resnet"):
        TimmFeatures("resnet18", weights=str(path)).init_weights()


def test_a_file_that_is_no_state_dict_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "broken.pth"
    path.write_bytes(b"not weights")
    with pytest.raises(InputError, match=r"broken.pth: found an unloadable file"):
        pretrained.read_state_dict(path)
    with pytest.raises(InputError, match=r"gone.pth: found no file, expected backbone weights"):
        pretrained.read_state_dict(tmp_path / "gone.pth")


def change_lite0(monkeypatch: pytest.MonkeyPatch, **changes: str) -> None:
    changed = pretrained.PACKAGED["lite0"]._replace(**changes)
    monkeypatch.setitem(pretrained.PACKAGED, "lite0", changed)


def test_weights_without_their_package_say_which_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    change_lite0(monkeypatch, module="no_such_package_here")
    with pytest.raises(InputError, match=r"no package no-such-package-here.*the extra `demo`"):
        pretrained.packaged_file("lite0")


def test_a_changed_file_of_weights_is_not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    need_packaged("lite0")
    change_lite0(monkeypatch, sha256="0" * 64)
    with pytest.raises(InputError, match=r"found SHA-256 .*do not load this file"):
        pretrained.packaged_file("lite0")


def test_a_lost_file_of_weights_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    need_packaged("lite0")
    change_lite0(monkeypatch, path="models/gone.pth")
    with pytest.raises(InputError, match=r"gone.pth: found no file.*reinstall its package"):
        pretrained.packaged_file("lite0")


@pytest.mark.parametrize("name", list(pretrained.PACKAGED))
def test_packaged_weights_fit_their_network(name: str) -> None:
    need_packaged(name)
    packaged = pretrained.PACKAGED[name]
    network = timm.create_model(packaged.model_name)
    network.load_state_dict(pretrained.read_packaged(name))
    # taught weights: the first layer's filters are not of the spread that new ones have
    fresh = timm.create_model(packaged.model_name)
    assert network.conv_stem.weight.std() > 2 * fresh.conv_stem.weight.std()


@pytest.mark.parametrize("source", ["timm", "torchvision"])
def test_offline_without_weights_says_what_to_do(
    source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*args: object, **kwargs: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr("timm.create_model", offline)
    monkeypatch.setattr("torchvision.models.get_model", offline)
    with pytest.raises(InputError, match=r"found none \(OSError: no network\).*give its path"):
        pretrained.fetch_library_weights(source, "resnet50")


def test_a_transformers_maps_are_turned_and_take_any_size() -> None:
    small = {"embed_dim": 24, "depths": (1, 1, 1, 1), "num_heads": (1, 2, 3, 4)}
    model = TimmFeatures(
        "swin_tiny_patch4_window7_224",
        channels=(1,),
        out_indices=(0, 1, 2, 3),
        options={"strict_img_size": False, **small},
    )
    maps = model(torch.zeros(1, 4, 64, 160))
    assert [tuple(feature_map.shape[1:]) for feature_map in maps] == [
        (24, 16, 40), (48, 8, 20), (96, 4, 10), (192, 2, 5)
    ]  # fmt: skip
    assert model.strides == [4, 8, 16, 32]


def test_the_network_computes_with_channels_last_and_the_same_maps() -> None:
    torch.manual_seed(0)
    model = TimmFeatures("resnet18").eval()
    stem = next(model.network.parameters())
    assert stem.is_contiguous(memory_format=torch.channels_last)
    image = torch.rand(1, 4, 64, 96)
    with torch.inference_mode():
        maps = model(image)
        wanted = model.network.to(memory_format=torch.contiguous_format)(image)
    for found, one in zip(maps, wanted, strict=True):
        assert found.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(found, one, rtol=1e-4, atol=1e-5)
