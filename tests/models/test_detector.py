"""The detector: losses, prediction, given cells, features, empty pictures."""

from pathlib import Path
from typing import Any

import pytest
import torch
from discs import draw_discs, shrink_model
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config
from mmengine.structures import InstanceData
from torch import Tensor

from hpa_mmdet.models import HpaDataPreprocessor, HpaMaskRCNN

pytestmark = pytest.mark.usefixtures("mmdet_scope")
CONFIGS = Path(__file__).parents[2] / "configs"
SHAPE_HW = (96, 160)


def build(**localization: object) -> HpaMaskRCNN:
    torch.manual_seed(0)
    config = Config.fromfile(CONFIGS / "_base_/models/hpa-mask-rcnn_lite0_fpn.py").model
    small = shrink_model(config)
    small["localization"].update(localization)
    model = MODELS.build(small)
    model.init_weights()
    return model


def batch(counts: tuple[int, ...] = (4, 3), key: str = "gt_instances") -> dict[str, Any]:
    inputs, samples = [], []
    for number, count in enumerate(counts):
        label_image = draw_discs(SHAPE_HW, count, seed=number)
        masks = [label_image == value for value in range(3, 3 * count + 1, 3)]
        masks = [mask for mask in masks if mask.any()]
        boxes = torch.zeros(len(masks), 4)
        for row, mask in enumerate(masks):
            rows, columns = mask.any(1).nonzero()[0], mask.any(0).nonzero()[0]
            boxes[row] = torch.tensor(
                [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], dtype=torch.float
            )
        sample = DetDataSample(
            metainfo={
                "img_shape": SHAPE_HW,
                "ori_shape": SHAPE_HW,
                "scale_factor": (1.0, 1.0),
                "image_labels": torch.eye(19)[number].numpy(),
            }
        )
        instances = InstanceData(
            bboxes=HorizontalBoxes(boxes),
            labels=torch.zeros(len(masks), dtype=torch.long),
            masks=BitmapMasks([mask.astype("uint8") for mask in masks], *SHAPE_HW),
        )
        sample.set_field(instances, key, dtype=InstanceData)
        samples.append(sample)
        inputs.append(torch.from_numpy(label_image)[None].repeat(4, 1, 1) * 20)
    return {"inputs": inputs, "data_samples": samples}


def prepare(model: HpaMaskRCNN, data: dict[str, Any], training: bool) -> dict[str, Any]:
    return dict(model.data_preprocessor(data, training))


@pytest.mark.parametrize("together", [True, False], ids=["with the detector", "apart"])
def test_losses_are_finite_and_reach_every_part(together: bool) -> None:
    model = build(train_with_detector=together).train()
    losses = model(**prepare(model, batch(), True), mode="loss")
    assert ("loss_localization" in losses) is together
    total, _ = model.parse_losses(losses)
    total.backward()
    assert torch.isfinite(total)
    without = [
        name
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and parameter.grad is None
    ]
    expected = [] if together else ["localization.cell_head", "localization.image_head"]
    assert sorted({".".join(name.split(".")[:2]) for name in without}) == expected
    assert all(weight.grad is None for weight in model.localization.backbone.parameters())


def test_a_picture_without_cells_trains_too() -> None:
    model = build(train_with_detector=True).train()
    losses = model(**prepare(model, batch((0, 3)), True), mode="loss")
    total, _ = model.parse_losses(losses)
    total.backward()
    assert torch.isfinite(total)


def test_predictions_have_what_the_tools_need() -> None:
    model = build().eval()
    model.test_cfg.rcnn.score_thr = 0.0
    model.roi_head.test_cfg.score_thr = 0.0
    with torch.no_grad():
        samples = model.test_step(batch())
    for sample in samples:
        found = sample.pred_instances
        count = len(found)
        assert count > 0
        assert found.mask_probs.shape == (count, 28, 28)
        assert found.localization_scores.shape == (count, 19)
        assert sample.image_probs.shape == (19,)
        for name in ("scores", "mask_probs", "localization_scores"):
            values = found[name]
            assert 0 <= values.min() <= values.max() <= 1


def test_no_cell_found_gives_empty_results() -> None:
    model = build().eval()
    model.roi_head.test_cfg.score_thr = 1.1
    with torch.no_grad():
        sample = model.test_step(batch((2,)))[0]
    assert sample.pred_instances.mask_probs.shape == (0, 28, 28)
    assert sample.pred_instances.localization_scores.shape == (0, 19)


def test_given_cells_are_named_in_their_order_and_none_is_looked_for() -> None:
    model = build().eval()
    given = batch((4, 0), "given_instances")
    with torch.no_grad():
        samples = model.test_step(given)
    first, second = (sample.pred_instances for sample in samples)
    assert torch.equal(first.bboxes, given["data_samples"][0].given_instances.bboxes.tensor)
    assert first.masks is given["data_samples"][0].given_instances.masks
    assert first.scores.tolist() == [1.0] * len(first)
    assert first.localization_scores.shape == (len(first), 19)
    assert second.localization_scores.shape == (0, 19)


def test_a_batch_may_hold_images_with_and_without_given_cells() -> None:
    model = build().eval()
    model.roi_head.test_cfg.score_thr = 0.0
    given, searched = batch((4, 3), "given_instances"), batch((4, 3))
    mixed = {
        "inputs": [given["inputs"][0], searched["inputs"][1]],
        "data_samples": [given["data_samples"][0], searched["data_samples"][1]],
    }
    with torch.no_grad():
        expected = [
            model.test_step(alone)[number].pred_instances
            for number, alone in enumerate((batch((4, 3), "given_instances"), batch((4, 3))))
        ]
        found = [sample.pred_instances for sample in model.test_step(mixed)]
    assert found[0].scores.tolist() == [1.0] * len(expected[0])
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one.bboxes, other.bboxes, rtol=1e-4, atol=1e-3)
        torch.testing.assert_close(
            one.localization_scores, other.localization_scores, rtol=1e-3, atol=1e-4
        )


def test_cells_are_described_alike_in_both_stages() -> None:
    model = build(train_with_detector=True).eval()
    data = prepare(model, batch(), False)
    cells, images, labels = model.describe_cells(
        **{
            "batch_inputs": data["inputs"],
            "batch_data_samples": data["data_samples"],
        }
    )
    assert [len(features) for features in cells] == [
        len(sample.gt_instances) for sample in data["data_samples"]
    ]
    assert labels.argmax(1).tolist() == [0, 1]
    single = prepare(model, {key: value[1:] for key, value in batch().items()}, False)
    again, again_image, _ = model.describe_cells(single["inputs"], single["data_samples"])
    torch.testing.assert_close(again[0], cells[1], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(again_image[0], images[1], rtol=1e-4, atol=1e-4)


def test_maps_of_the_detector_can_be_pooled_instead() -> None:
    model = build(backbone=None, pooling="box", train_with_detector=True).train()
    losses = model(**prepare(model, batch(), True), mode="loss")
    gradients: list[Tensor] = torch.autograd.grad(
        losses["loss_localization"], [next(model.backbone.network.parameters())]
    )
    assert gradients[0].any()


@pytest.mark.parametrize("own", [True, False], ids=["its own network", "the detector's maps"])
def test_given_cells_can_be_learnt_from_alone(own: bool) -> None:
    options: dict[str, object] = {} if own else {"backbone": None}
    model = build(train_with_detector=True, **options).train()
    model.detect = False
    losses = model(**prepare(model, batch(), True), mode="loss")
    assert sorted(losses) == ["loss_image", "loss_localization"]
    total, _ = model.parse_losses(losses)
    total.backward()
    learnt = {
        name.split(".")[0] for name, weight in model.named_parameters() if weight.grad is not None
    }
    assert learnt == ({"localization"} if own else {"localization", "backbone"})
    model.eval()
    with torch.no_grad():
        model.test_step(batch((2,), "given_instances"))
        with pytest.raises(AssertionError, match="no cells are given"):
            model.test_step(batch((2,)))


def test_a_model_that_learns_nothing_is_a_mistake() -> None:
    model = build().train()
    model.detect = False
    with pytest.raises(AssertionError, match="neither boxes nor names"):
        model(**prepare(model, batch(), True), mode="loss")


def test_padding_is_black_in_every_channel_and_scaling_is_as_configured() -> None:
    means, deviations = [127.0, 20.0, 0.0, 64.0], [128.0, 10.0, 1.0, 32.0]
    preprocessor = HpaDataPreprocessor(means, deviations, pad_size_divisor=64)
    white = torch.full((4, 96, 100), 255, dtype=torch.uint8)
    batch = preprocessor({"inputs": [white], "data_samples": None})["inputs"]
    assert batch.shape == (1, 4, 128, 128)
    pairs = list(zip(means, deviations, strict=True))
    assert batch[0, :, 0, 0].tolist() == pytest.approx([(255 - m) / d for m, d in pairs])
    for y, x in ((100, 0), (0, 100), (127, 127)):
        assert batch[0, :, y, x].tolist() == pytest.approx([-m / d for m, d in pairs])
