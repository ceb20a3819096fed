"""The device that a network runs on."""

from typing import TYPE_CHECKING

from hpa_mmdet.errors import InputError

if TYPE_CHECKING:
    import torch


def usable_device(name: str) -> "torch.device":
    """Give torch's device of that name.

    The packages fall back to the CPU where there is no such GPU, which would be noticed only
    by the time that a run takes.

    Raises:
        InputError: the name is none, or this machine has no such device.
    """
    import torch

    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (AssertionError, RuntimeError) as error:
        why = str(error).splitlines()[0]
        raise InputError(
            "--device", f"{name} ({why})", "cpu, cuda or cuda:<n> of this machine", "correct it"
        ) from error
    return device
