"""nms and RoIAlign on each device, with answers known by hand."""

import torch
from torch import Tensor

from hpa_mmdet.compat.health import PIP, Finding
from hpa_mmdet.compat.operators import source_of
from hpa_mmdet.errors import InputError

OPERATORS = ("nms", "roi_align_forward", "roi_align_backward", "deform_conv_forward")


def list_devices() -> list[str]:
    """List the devices of this machine that torch can use."""
    devices = ["cpu", *(f"cuda:{index}" for index in range(torch.cuda.device_count()))]
    return [*devices, "mps"] if torch.backends.mps.is_available() else devices


def device_name(device: str) -> str:
    """Say what a device is."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    return f"{torch.get_num_threads()} threads" if device == "cpu" else device


def list_operators() -> list[Finding]:
    """Say for some of mmcv's operators which package they come from."""
    sources = {name: source_of(name) for name in OPERATORS}
    return [
        Finding(name, "not supplied; Mask R-CNN does without" if source == "nowhere" else source)
        for name, source in sources.items()
    ]


def check_device(device: str) -> Finding:
    """Run nms and RoIAlign forward and backward on a device and compare with the answers."""
    try:
        trouble = _wrong_answers(device)
    except (RuntimeError, AssertionError, InputError) as error:
        trouble = str(error).splitlines()[0]
    subject, name = f"operators on {device}", device_name(device)
    if not trouble:
        return Finding(subject, f"{name}: nms, RoIAlign forward and backward are right")
    return Finding(
        subject,
        f"{name}: {trouble}",
        (f"{PIP} install --force-reinstall --no-deps torch torchvision mmcv-lite==2.1.0",),
    )


def _wrong_answers(device: str) -> str:
    from mmcv.ops import nms, roi_align

    boxes = torch.tensor([[0.0, 0, 8, 5], [1, 0, 9, 5], [20, 3, 31, 9]], device=device)
    kept = nms(boxes, torch.tensor([0.8, 0.9, 0.1], device=device), 0.5)[1].tolist()
    if kept != [1, 2]:
        return f"nms kept {kept}, expected [1, 2]"
    dtypes = [torch.float32] if device == "cpu" else [torch.float32, torch.float16]
    for dtype in dtypes:
        ramp = torch.arange(12.0, device=device, dtype=dtype).repeat(1, 1, 8, 1).requires_grad_()
        region = torch.tensor([[0.0, 2, 1, 8, 5]], device=device, dtype=dtype)
        pooled = roi_align(ramp, region, (1, 3), 1.0, 2)
        if not _near(pooled.flatten(), [2.5, 4.5, 6.5]):
            return f"RoIAlign of a {dtype} ramp gave {pooled.flatten().tolist()}"
        (gradient,) = torch.autograd.grad(pooled.sum(), ramp)
        if not _near(gradient.sum().view(1), [3.0]):
            return f"the gradients of RoIAlign ({dtype}) sum to {float(gradient.sum())}, expected 3"
    return ""


def _near(values: Tensor, wanted: list[float]) -> bool:
    return torch.allclose(values.detach().float().cpu(), torch.tensor(wanted), atol=1e-3)
