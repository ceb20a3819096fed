"""Features of regions, whose coordinates stay exact under mixed precision.

R: regions; C: channels; S: side of a region's features.
"""

from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from mmdet.registry import MODELS
from torch import Tensor


@MODELS.register_module()
class FloatRoIExtractor(SingleRoIExtractor):
    """mmdet's extractor, with boxes and sampling in float32 whatever the maps are.

    The stock one rounds boxes to the type of the maps. Past pixel 1024 float16 has steps of
    1 pixel and bfloat16 of 8, so that under `--amp` regions slip off their cells.
    """

    def forward(
        self, feats: tuple[Tensor, ...], rois: Tensor, roi_scale_factor: float | None = None
    ) -> Tensor:
        """Pool the regions.

        Args:
            feats: maps of the pyramid, finest first, (B, C, h, w) of one float type.
            rois: (R, 5) number of the image, then xyxy in input pixels, float32.
            roi_scale_factor: as in the parent.

        Returns:
            (R, C, S, S) of the maps' type.
        """
        exact_maps = tuple(feature_map.float() for feature_map in feats)
        pooled: Tensor = super().forward(exact_maps, rois.float(), roi_scale_factor)
        return pooled.to(feats[0].dtype)
