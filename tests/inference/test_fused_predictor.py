"""What only predicts has its batch norms folded into its convolutions."""

from pathlib import Path

from torch import nn

from hpa_mmdet.inference.predictor import Predictor

DEMO = Path(__file__).parents[2] / "configs/mask_rcnn/hpa-mask-rcnn_lite0_fpn_bag-lse_demo.py"


def test_a_predictor_has_no_norm_left_in_its_networks() -> None:
    model = Predictor(DEMO, None, device="cpu").loaded.model
    for network in (model.backbone, model.localization.backbone):
        assert not any(isinstance(part, nn.BatchNorm2d) for part in network.modules())
