"""mmcv's operators from torchvision: equal to independent references, clear where absent."""

import sys
import types

import numpy as np
import pytest
import torch
from torch import Tensor

from hpa_mmdet.compat import operators, prepare, torchvision_ops
from hpa_mmdet.errors import InputError

prepare()  # only then does mmcv.ops find its operators

import mmcv.ops  # noqa: E402

bridged = pytest.mark.skipif(
    operators.has_compiled_operators(), reason="this mmcv has compiled operators of its own"
)


def numpy_nms(boxes: np.ndarray, scores: np.ndarray, threshold: float, offset: int) -> list[int]:
    """Greedy suppression, one pair at a time."""
    kept: list[int] = []
    for row in np.argsort(-scores, kind="stable"):
        for other in kept:
            left, top = np.maximum(boxes[row, :2], boxes[other, :2])
            right, bottom = np.minimum(boxes[row, 2:], boxes[other, 2:])
            inter = max(right - left + offset, 0) * max(bottom - top + offset, 0)
            area, area_other = (
                (boxes[k, 2] - boxes[k, 0] + offset) * (boxes[k, 3] - boxes[k, 1] + offset)
                for k in (row, other)
            )
            if inter / (area + area_other - inter) > threshold:
                break
        else:
            kept.append(int(row))
    return kept


def random_boxes(seed: int, count: int = 60) -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, [90, 40], (count, 2))
    boxes = np.hstack([corner, corner + rng.uniform(4, 30, (count, 2))])
    scores = rng.choice(np.linspace(0.1, 0.9, 30), count)  # ties among them
    return torch.from_numpy(boxes), torch.from_numpy(scores)


@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("threshold", [0.3, 0.7])
@pytest.mark.parametrize("seed", range(4))
def test_nms_equals_plain_numpy(seed: int, threshold: float, offset: int) -> None:
    boxes, scores = random_boxes(seed)
    dets, kept = mmcv.ops.nms(boxes, scores, threshold, offset=offset)
    assert kept.tolist() == numpy_nms(boxes.numpy(), scores.numpy(), threshold, offset)
    torch.testing.assert_close(dets, torch.cat([boxes[kept], scores[kept, None]], 1))


def test_nms_keeps_a_box_at_exactly_the_threshold() -> None:
    boxes = torch.tensor([[0.0, 0.0, 2.0, 1.0], [1.0, 0.0, 3.0, 1.0]])  # IoU 1/3
    scores = torch.tensor([0.9, 0.8])
    third = float(torch.tensor(1.0) / 3)
    assert mmcv.ops.nms(boxes, scores, third)[1].tolist() == [0, 1]
    assert mmcv.ops.nms(boxes, scores, third - 1e-3)[1].tolist() == [0]


def test_nms_filters_by_score_and_number_in_rows_of_the_input() -> None:
    boxes, scores = random_boxes(0)
    everything = numpy_nms(boxes.numpy(), scores.numpy(), 0.5, 0)
    wanted = [row for row in everything if scores[row] > 0.4][:5]
    kept = mmcv.ops.nms(boxes, scores, 0.5, score_threshold=0.4, max_num=5)[1]
    assert kept.tolist() == wanted


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_nms_of_half_types_equals_the_same_numbers_in_float32(dtype: torch.dtype) -> None:
    boxes, scores = (values.to(dtype) for values in random_boxes(1))
    wanted = mmcv.ops.nms(boxes.float(), scores.float(), 0.5)[1]
    assert mmcv.ops.nms(boxes, scores, 0.5)[1].tolist() == wanted.tolist()


def test_batched_nms_parts_classes() -> None:
    boxes = torch.tensor([[0.0, 0.0, 8.0, 5.0]] * 3)
    scores = torch.tensor([0.9, 0.8, 0.7])
    config = {"type": "nms", "iou_threshold": 0.5}
    assert mmcv.ops.batched_nms(boxes, scores, torch.tensor([0, 1, 0]), config)[1].tolist() == [
        0,
        1,
    ]


def test_nms_of_nothing_is_nothing() -> None:
    dets, kept = mmcv.ops.nms(torch.zeros(0, 4), torch.zeros(0), 0.5)
    assert (dets.shape, kept.shape, kept.dtype) == ((0, 5), (0,), torch.int64)


def bilinear(plane: np.ndarray, y: float, x: float) -> float:
    """Sample (H, W) at one point, pixel centres at whole numbers; zero far outside."""
    height, width = plane.shape
    if not (-1 <= y <= height and -1 <= x <= width):
        return 0.0
    y, x = min(max(y, 0.0), height - 1.0), min(max(x, 0.0), width - 1.0)
    y0, x0 = int(y), int(x)
    y1, x1 = min(y0 + 1, height - 1), min(x0 + 1, width - 1)
    fy, fx = y - y0, x - x0
    upper = plane[y0, x0] * (1 - fx) + plane[y0, x1] * fx
    lower = plane[y1, x0] * (1 - fx) + plane[y1, x1] * fx
    return float(upper * (1 - fy) + lower * fy)


def numpy_roi_align(
    features: np.ndarray, rois: np.ndarray, grid_hw: tuple[int, int], scale: float, samples: int
) -> np.ndarray:
    """The definition, one sampling point at a time (aligned)."""
    pooled = np.zeros((len(rois), features.shape[1], *grid_hw))
    for r, (image, *box) in enumerate(rois):
        x1, y1, x2, y2 = (value * scale - 0.5 for value in box)
        bin_h, bin_w = (y2 - y1) / grid_hw[0], (x2 - x1) / grid_hw[1]
        rows, columns = (
            (samples, samples)
            if samples
            else (int(np.ceil((y2 - y1) / grid_hw[0])), int(np.ceil((x2 - x1) / grid_hw[1])))
        )
        for c, i, j in np.ndindex(pooled.shape[1:]):
            points = [
                bilinear(
                    features[int(image), c],
                    y1 + bin_h * (i + (a + 0.5) / rows),
                    x1 + bin_w * (j + (b + 0.5) / columns),
                )
                for a, b in np.ndindex(rows, columns)
            ]
            pooled[r, c, i, j] = np.mean(points)
    return pooled


ROIS = torch.tensor(
    [
        [0, 3.0, 2.0, 30.5, 21.0],
        [1, -4.0, -6.0, 9.0, 5.0],  # over the upper left border
        [1, 20.0, 10.0, 61.0, 39.0],  # over the lower right one
        [0, 7.2, 7.9, 8.1, 8.3],  # smaller than a pixel
    ],
    dtype=torch.float64,
)


@pytest.mark.parametrize("samples", [0, 2])
def test_roi_align_equals_bilinear_sampling_by_hand(samples: int) -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.rand(2, 3, 9, 14, generator=generator, dtype=torch.float64)
    pooled = mmcv.ops.roi_align(features, ROIS, (2, 3), 0.25, samples, "avg", True)
    wanted = numpy_roi_align(features.numpy(), ROIS.numpy(), (2, 3), 0.25, samples)
    np.testing.assert_allclose(pooled.numpy(), wanted, atol=1e-12)


def test_roi_align_of_a_ramp_is_the_position_of_the_bins() -> None:
    ramp = torch.arange(12.0).repeat(1, 1, 8, 1)  # the value is the column
    pooled = mmcv.ops.roi_align(ramp, torch.tensor([[0, 2.0, 1.0, 8.0, 5.0]]), (1, 3), 1.0, 2)
    assert pooled.flatten().tolist() == pytest.approx([2.5, 4.5, 6.5])  # bin centres less 0.5


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("samples", [0, 2])
def test_roi_align_backward_passes_gradcheck(samples: int, aligned: bool) -> None:
    generator = torch.Generator().manual_seed(1)
    features = torch.rand(2, 2, 5, 8, generator=generator, dtype=torch.float64)

    def pool(maps: Tensor) -> Tensor:
        return mmcv.ops.roi_align(maps, ROIS, (2, 3), 0.125, samples, "avg", aligned)

    assert torch.autograd.gradcheck(pool, features.requires_grad_())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_roi_align_of_half_types_sums_in_float32(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(2)
    features = torch.rand(2, 3, 9, 14, generator=generator).to(dtype)
    wide = features.float().requires_grad_()
    narrow = features.clone().requires_grad_()
    outputs = [
        mmcv.ops.roi_align(maps, ROIS.to(maps.dtype), (7, 7), 0.25, 0) for maps in (narrow, wide)
    ]
    assert outputs[0].dtype == dtype
    # the regions are rounded to the half type on both sides
    wanted = mmcv.ops.roi_align(wide, ROIS.to(dtype).float(), (7, 7), 0.25, 0)
    torch.testing.assert_close(outputs[0], wanted.to(dtype))
    (narrow_grad,) = torch.autograd.grad(outputs[0].sum(), narrow)
    (wide_grad,) = torch.autograd.grad(wanted.sum(), wide)
    torch.testing.assert_close(narrow_grad, wide_grad.to(dtype))


def test_roi_align_under_autocast_keeps_gradients() -> None:
    layer = mmcv.ops.RoIAlign((7, 7), spatial_scale=0.25)
    convolution = torch.nn.Conv2d(4, 3, 3, padding=1)
    with torch.autocast("cpu", torch.bfloat16):
        pooled = layer(convolution(torch.rand(2, 4, 9, 14)), ROIS.float())
    pooled.float().sum().backward()
    assert pooled.dtype == torch.bfloat16
    assert convolution.weight.grad is not None
    assert float(convolution.weight.grad.abs().sum()) > 0


def test_roi_align_of_no_regions_has_a_shape_and_a_zero_gradient() -> None:
    features = torch.rand(2, 3, 9, 14, requires_grad=True)
    pooled = mmcv.ops.roi_align(features, torch.zeros(0, 5), (7, 7), 0.25, 0)
    assert pooled.shape == (0, 3, 7, 7)
    pooled.sum().backward()
    assert features.grad is not None
    assert not features.grad.any()


def test_roi_align_takes_maps_in_channels_last_order() -> None:
    features = torch.rand(2, 3, 9, 14)
    last = features.contiguous(memory_format=torch.channels_last)
    rois = ROIS.float()
    torch.testing.assert_close(
        mmcv.ops.roi_align(last, rois, (2, 3), 0.25),
        mmcv.ops.roi_align(features, rois, (2, 3), 0.25),
    )


@bridged
def test_maximum_pooling_is_refused() -> None:
    with pytest.raises(InputError, match=r"RoIAlign: found pool_mode 'max', expected 'avg'"):
        mmcv.ops.roi_align(torch.rand(1, 1, 4, 6), torch.zeros(1, 5), (2, 2), 1.0, 0, "max")


@bridged
def test_an_operator_that_is_not_supplied_says_how_to_get_it() -> None:
    message = r"operator ball_query_forward of mmcv: found no compiled mmcv.*MMCV_WITH_OPS=1"
    with pytest.raises(InputError, match=message):
        mmcv.ops.ball_query(0.0, 1.0, 2, torch.rand(1, 4, 3), torch.rand(1, 2, 3))


@bridged
def test_the_environment_report_of_mmcv_works() -> None:
    assert mmcv.ops.get_compiler_version() == "none: operators from torchvision"
    assert isinstance(mmcv.ops.get_compiling_cuda_version(), str)


def test_probes_of_the_import_system_find_no_operator() -> None:
    extension = torchvision_ops.make_extension("mmcv._ext")
    with pytest.raises(AttributeError, match="__wrapped__"):
        _ = extension.__wrapped__


@bridged
def test_the_source_of_each_operator_is_told() -> None:
    assert operators.source_of("nms") == "torchvision"
    assert operators.source_of("ball_query_forward") == "nowhere"


def test_a_real_extension_is_used_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    real = types.ModuleType(operators.EXTENSION)
    real.nms = lambda: None  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, operators.EXTENSION, real)
    assert operators.install() is False
    assert sys.modules[operators.EXTENSION] is real
    assert (operators.source_of("nms"), operators.source_of("roi_align_forward")) == (
        "mmcv",
        "nowhere",
    )


def test_a_compiled_extension_on_disk_is_not_shadowed(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "mmcv"  # type: ignore[operator]
    package.mkdir()
    (package / "_ext.py").write_text("nms = print\n")
    monkeypatch.setattr(
        operators.importlib.util, "find_spec", lambda name: _package_spec(name, str(package))
    )
    monkeypatch.delitem(sys.modules, operators.EXTENSION)
    assert operators.has_compiled_operators()
    assert operators.install() is False
    assert operators.EXTENSION not in sys.modules


def _package_spec(name: str, folder: str) -> object:
    spec = types.SimpleNamespace(name=name, submodule_search_locations=[folder])
    return spec


def test_without_mmcv_there_are_no_compiled_operators(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operators.importlib.util, "find_spec", lambda name: None)
    assert not operators.has_compiled_operators()
