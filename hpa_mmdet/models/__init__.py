"""The multi-label Mask R-CNN, the crop classifier and their parts, in mmdet's MODELS."""

from hpa_mmdet.compat import prepare

prepare()

from hpa_mmdet.models.batch_augmentation import GainAndNoise  # noqa: E402
from hpa_mmdet.models.crop_classifier import CropClassifier  # noqa: E402
from hpa_mmdet.models.crop_preprocessor import CropPreprocessor  # noqa: E402
from hpa_mmdet.models.data_preprocessor import HpaDataPreprocessor  # noqa: E402
from hpa_mmdet.models.detector import HpaMaskRCNN  # noqa: E402
from hpa_mmdet.models.embedders import SubCellEmbedder, TimmEmbedder  # noqa: E402
from hpa_mmdet.models.localization_branch import LocalizationBranch  # noqa: E402
from hpa_mmdet.models.losses import (  # noqa: E402
    AsymmetricInheritedLoss,
    BagLoss,
    CellLoss,
    InheritedLoss,
)
from hpa_mmdet.models.roi_extractor import FloatRoIExtractor  # noqa: E402
from hpa_mmdet.models.roi_head import CellRoIHead  # noqa: E402
from hpa_mmdet.models.small_network import SmallNetwork  # noqa: E402
from hpa_mmdet.models.subcell_branch import SubCellBranch  # noqa: E402
from hpa_mmdet.models.timm_features import TimmFeatures  # noqa: E402
from hpa_mmdet.models.timm_views import TimmViews  # noqa: E402

__all__ = [
    "AsymmetricInheritedLoss",
    "BagLoss",
    "CellLoss",
    "CellRoIHead",
    "CropClassifier",
    "CropPreprocessor",
    "FloatRoIExtractor",
    "GainAndNoise",
    "HpaDataPreprocessor",
    "HpaMaskRCNN",
    "InheritedLoss",
    "LocalizationBranch",
    "SmallNetwork",
    "SubCellBranch",
    "SubCellEmbedder",
    "TimmEmbedder",
    "TimmFeatures",
    "TimmViews",
]
