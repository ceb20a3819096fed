"""Weights of the HPA segmenter's networks: plain ones are loaded, pickled ones on request.

The published files are whole pickled networks. Loading one runs whatever code is in it, and
on today's torch it often lacks attributes that its layers need, so that it fails at the first
image. Hence a network is always built anew from its class, and only numbers are taken from
the file; an export keeps just the numbers, in a form that cannot hold code.
"""

import logging
import pickle
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.outputs import claim_output
from hpa_mmdet.segment.devices import usable_device

if TYPE_CHECKING:
    import torch

_LOG = logging.getLogger(__name__)
_EXPORT = "tools/export_segmenter.py FILE --out FILE.safetensors --trust-pickle"


def load_network(
    path: Path, *, trust_pickle: bool = False, device: str = "cpu"
) -> "torch.nn.Module":
    """Load one network of the HPA segmenter, in evaluation mode.

    Args:
        path: a plain state dict (`.safetensors`, or a torch file of tensors), or a whole
            pickled network as published.
        trust_pickle: run the code in a pickled file. Only for files whose origin you trust.
        device: as torch names it.

    Raises:
        InputError: the file is missing, is no such file, is pickled and not trusted, or does
            not fit the network; pytorch_zoo is not installed; or there is no such device.
    """
    place = usable_device(device)
    content = read_segmenter_weights(path, trust_pickle=trust_pickle)
    network = content if not isinstance(content, dict) else None
    state = content if isinstance(content, dict) else dict(content.state_dict())
    state = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    rebuilt = _rebuild(path, state, needed=network is None)
    network = rebuilt if rebuilt is not None else network
    assert network is not None
    return network.to(place).eval()


def read_segmenter_weights(path: Path, *, trust_pickle: bool) -> Any:
    """Read a file of weights as it is: a dict of tensors, or a whole network if trusted.

    Raises:
        InputError: see `load_network`.
    """
    import torch

    if not path.is_file():
        raise InputError(path, "no file", "weights of the HPA segmenter", "check the path")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        if not trust_pickle:
            raise InputError(
                path,
                "a pickled network, which runs code while it is loaded",
                "plain weights",
                f"if you trust where it comes from: {_EXPORT}, once, and use the export",
            ) from error
        _LOG.warning("running the code in %s, as --trust-pickle allows", path)
        content = _unpickle(path)
    except (OSError, RuntimeError, EOFError, ValueError) as error:
        raise InputError(path, f"no weights ({error})", "a torch file", "fetch it anew") from error
    is_state = isinstance(content, dict) and all(map(torch.is_tensor, content.values()))
    if not is_state and not isinstance(content, torch.nn.Module):
        raise InputError(
            path, f"a {type(content).__name__}", "a network or its tensors", "give another file"
        )
    return content


def export_plain(source: Path, target: Path, *, trust_pickle: bool, overwrite: bool = False) -> int:
    """Write the numbers of a network, and nothing else, as `.safetensors` or a torch file.

    Args:
        source: file of weights as published.
        target: file to write.
        trust_pickle: run the code in `source`.
        overwrite: replace what an earlier export wrote.

    Returns:
        The number of tensors.

    Raises:
        InputError: see `load_network` and `OutputFiles.claim`, or `target` has another suffix.
    """
    import torch

    if target.suffix not in (".safetensors", ".pt", ".pth"):
        raise InputError(
            target, target.suffix or "no suffix", ".safetensors, .pt or .pth", "rename"
        )
    outputs = claim_output(target, "export_segmenter", inputs=[source], overwrite=overwrite)
    content = read_segmenter_weights(source, trust_pickle=trust_pickle)
    state = content if isinstance(content, dict) else content.state_dict()
    plain = {
        name.removeprefix("module."): tensor.detach().cpu().contiguous().clone()
        for name, tensor in state.items()
    }
    with outputs.writing(target) as temporary:
        if target.suffix == ".safetensors":
            from safetensors.torch import save_file

            save_file(plain, str(temporary))
        else:
            torch.save(plain, temporary)
    return len(plain)


def _read_safetensors(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(str(path)))
    except (SafetensorError, OSError) as error:
        raise InputError(
            path, f"no weights ({error})", "a .safetensors file", "export it anew"
        ) from error


def _unpickle(path: Path) -> Any:
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=False)
    except ModuleNotFoundError as error:
        raise InputError(
            path,
            f"classes of {error.name}, which is not installed",
            "pytorch_zoo, with which it was made",
            "install the HPA segmenter or its maintained copy (docs/how-to/segment.md)",
        ) from error


def _rebuild(path: Path, state: dict[str, Any], *, needed: bool) -> "torch.nn.Module | None":
    """Build the network's class anew and fill it; None if that is not needed and fails."""
    try:
        # sizes as the tensors of the first and the last layer have them
        inputs = int(state["encoder_stages.0.0.weight"].shape[1])
        outputs = int(state["final.0.weight"].shape[0])
        network = _unfilled(_unet_module(), outputs, inputs)
        network.load_state_dict(state)
    except (KeyError, RuntimeError, InputError) as error:
        if not needed:
            return None
        if isinstance(error, InputError):
            raise
        raise InputError(
            path, f"other tensors ({error})", "those of the HPA segmenter", "give its weights"
        ) from error
    return network


def _unet_module() -> ModuleType:
    try:
        from pytorch_zoo import unet
    except ImportError as error:
        raise InputError(
            "pytorch_zoo",
            f"none ({error})",
            "the package that defines the HPA segmenter's networks",
            "install the HPA segmenter or its maintained copy (docs/how-to/segment.md)",
        ) from error
    return unet


def _unfilled(unet: ModuleType, outputs: int, inputs: int) -> "torch.nn.Module":
    class Unfilled(unet.DPNUnet):  # type: ignore[name-defined]
        """The network without a download: its constructor would fetch ImageNet weights."""

        def initialize_encoder(self, *args: Any, **kwargs: Any) -> None:
            """Leave the encoder as it is; all of it is filled right after."""

    with _encoder_without_download():
        return Unfilled(outputs, inputs)


@contextmanager
def _encoder_without_download() -> Iterator[None]:
    """Let the package build its encoder without the ImageNet weights it would fetch for it."""
    zoo = sys.modules.get("pytorch_zoo.abstract_model")
    entry = getattr(zoo, "encoder_params", {}).get("dpn92")
    if entry is None:
        yield
        return
    original = entry["init_op"]
    entry["init_op"] = partial(original, pretrained=None)
    try:
        yield
    finally:
        entry["init_op"] = original
