"""mmcv's compiled operators with torchvision's kernels, in mmcv's calling conventions.

`make_extension` makes the module that stands in for `mmcv._ext`. mmcv calls its functions
with outputs allocated beforehand, which they fill. Names that are not defined here resolve
to functions that raise when called, since mmcv asks for all of its operators at import.

N: boxes; R: regions of interest; boxes are xyxy, half-open, in pixels.

Source:
    mmcv/ops/nms.py and mmcv/ops/roi_align.py of mmcv 2.1.0 for the conventions;
    torchvision.ops for the kernels.
"""

from collections.abc import Callable
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import NoReturn

import torch
import torchvision.ops
from torch import Tensor

from hpa_mmdet.errors import InputError


def nms(bboxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Suppress boxes that overlap a better one by more than `iou_threshold`.

    Args:
        bboxes: (N, 4) of any float type; half types are computed in float32, which the
            CPU kernel needs.
        scores: (N,).
        iou_threshold: a box at exactly this IoU is kept.
        offset: 1 counts a box's last pixel as inside it (mmcv's old convention), else 0.

    Returns:
        (kept,) int64, rows of `bboxes` by falling score; equal scores keep their order.
    """
    bboxes, scores = _wide(bboxes), _wide(scores)
    if offset:
        bboxes = bboxes + bboxes.new_tensor([0.0, 0.0, offset, offset])
    return torchvision.ops.nms(bboxes, scores.to(bboxes.dtype), iou_threshold)


def roi_align_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Pool each region by bilinear sampling and averaging.

    Args:
        input: (B, C, H, W); half types are computed in float32.
        rois: (R, 5), image index then box, in pixels of the unscaled image.
        output: (R, C, aligned_height, aligned_width), filled.
        argmax_y: not used, belongs to maximum pooling.
        argmax_x: as `argmax_y`.
        aligned_height: rows of the grid.
        aligned_width: columns of the grid.
        spatial_scale: pixels of `input` for each pixel of the image.
        sampling_ratio: samples along each side of a bin; 0 takes one for each pixel.
        pool_mode: 1 for the average; 0, the maximum, is not supplied.
        aligned: whether boxes are shifted by half a pixel, as pixel centres need.

    Raises:
        InputError: maximum pooling is asked for.

    Source:
        He et al., Mask R-CNN, ICCV 2017, section 3.
    """
    _require_average(pool_mode)
    output.copy_(
        torch.ops.torchvision.roi_align(
            _wide(input),
            rois.to(_wide(input).dtype),
            spatial_scale,
            aligned_height,
            aligned_width,
            sampling_ratio,
            aligned,
        )
    )


def roi_align_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Fill `grad_input` (B, C, H, W) from `grad_output` (R, C, height, width).

    The arguments are those of `roi_align_forward`. On a GPU the kernel adds in no fixed
    order; where torch is told to be deterministic the CPU's is used instead.

    Raises:
        InputError: maximum pooling is asked for.
    """
    _require_average(pool_mode)
    grad = _wide(grad_output)
    if grad.is_cuda and torch.are_deterministic_algorithms_enabled():
        grad = grad.cpu()
    grad_input.copy_(
        torch.ops.torchvision._roi_align_backward(
            grad,
            rois.to(grad),
            spatial_scale,
            aligned_height,
            aligned_width,
            *grad_input.shape,
            sampling_ratio,
            aligned,
        )
    )


def get_compiler_version() -> str:
    """Say that nothing was compiled (mmcv asks this for its environment report)."""
    return "none: operators from torchvision"


def get_compiling_cuda_version() -> str:
    """Say the CUDA version that torch was built for."""
    return str(torch.version.cuda or "none")


class Extension(ModuleType):
    """A module that has every operator: those above, and for any other name one that raises."""

    def __getattr__(self, name: str) -> Callable[..., NoReturn]:
        if name.startswith("_"):  # probes of the import system and of inspect, no operators
            raise AttributeError(name)
        return _missing_operator(name)


def make_extension(name: str) -> Extension:
    """Make the module that stands in for mmcv's, under mmcv's name for it."""
    extension = Extension(name, "mmcv's operators from torchvision, made by hpa_mmdet.")
    extension.__spec__ = ModuleSpec(name, loader=None, origin=__file__)
    vars(extension).update({function.__name__: function for function in (*_OPERATORS, *_REPORTS)})
    return extension


def _missing_operator(name: str) -> Callable[..., NoReturn]:
    def missing(*_args: object, **_kwargs: object) -> NoReturn:
        raise InputError(
            f"operator {name} of mmcv",
            "no compiled mmcv",
            f"one of {', '.join(SUPPLIED)}, which torchvision supplies",
            "choose a layer that does without it, or build mmcv's own operators "
            "(about 12 minutes, needs a C++ compiler): pip uninstall -y mmcv-lite && "
            "MMCV_WITH_OPS=1 pip install --no-binary mmcv --no-build-isolation mmcv==2.1.0",
        )

    missing.__name__ = name
    return missing


def _wide(tensor: Tensor) -> Tensor:
    """Half types as float32: the kernels lack them, or would sum in them."""
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def _require_average(pool_mode: int) -> None:
    if pool_mode != 1:
        raise InputError(
            "RoIAlign", "pool_mode 'max'", "'avg'", "set pool_mode='avg' or build mmcv's operators"
        )


_OPERATORS = (nms, roi_align_forward, roi_align_backward)
_REPORTS = (get_compiler_version, get_compiling_cuda_version)
SUPPLIED = tuple(operator.__name__ for operator in _OPERATORS)
