"""mmdet's own Mask R-CNN trains a step and predicts on the CPU, in float32 and bfloat16."""

from pathlib import Path
from typing import Any

import pytest
import torch

from hpa_mmdet.compat import prepare

prepare()

import mmdet  # noqa: E402
from mmdet.registry import MODELS  # noqa: E402
from mmdet.testing import demo_mm_inputs  # noqa: E402
from mmdet.utils import register_all_modules  # noqa: E402
from mmengine.config import Config  # noqa: E402

SHAPES = [[3, 96, 128], [3, 64, 112]]  # channels, height, width


@pytest.fixture(scope="module")
def detector() -> torch.nn.Module:
    register_all_modules()
    stock = Path(mmdet.__file__).parent / ".mim/configs/_base_/models/mask-rcnn_r50_fpn.py"
    model = Config.fromfile(stock).model
    model.backbone.update(depth=18, init_cfg=None)
    model.neck.in_channels = [64, 128, 256, 512]
    model.test_cfg.rcnn.score_thr = 0.0
    torch.manual_seed(0)
    return MODELS.build(model)


def losses_of(detector: Any, batch: dict[str, Any]) -> torch.Tensor:
    data = detector.data_preprocessor(batch, training=True)
    losses = detector.loss(data["inputs"], data["data_samples"])
    return detector.parse_losses(losses)[0]


@pytest.mark.parametrize("amp", [False, True], ids=["float32", "bfloat16"])
def test_it_trains_a_step(detector: Any, amp: bool) -> None:
    detector.train()
    batch = demo_mm_inputs(2, SHAPES, num_items=[3, 2], num_classes=80, with_mask=True)
    optimizer = torch.optim.SGD(detector.parameters(), lr=1e-3)
    with torch.autocast("cpu", torch.bfloat16, enabled=amp):
        loss = losses_of(detector, batch)
    loss.backward()
    assert bool(torch.isfinite(loss))
    gradient = detector.roi_head.mask_head.conv_logits.weight.grad
    assert float(gradient.abs().sum()) > 0
    optimizer.step()


def test_it_trains_on_images_without_cells(detector: Any) -> None:
    detector.train()
    batch = demo_mm_inputs(2, SHAPES, num_items=[0, 0], num_classes=80, with_mask=True)
    loss = losses_of(detector, batch)
    loss.backward()
    assert bool(torch.isfinite(loss))


def test_it_predicts_masks_of_the_images_sizes(detector: Any) -> None:
    detector.eval()
    batch = demo_mm_inputs(2, SHAPES, num_items=[3, 2], num_classes=80, with_mask=True)
    with torch.no_grad():
        predicted = detector.test_step(batch)
    for sample, (_, height, width) in zip(predicted, SHAPES, strict=True):
        instances = sample.pred_instances
        assert len(instances) > 0
        assert instances.masks.shape == (len(instances), height, width)
        assert bool((instances.scores.diff() <= 0).all())
