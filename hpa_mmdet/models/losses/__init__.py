"""Losses that learn single cells from labels of whole images, one family per file."""

from hpa_mmdet.models.losses.bags import BagLoss
from hpa_mmdet.models.losses.base import LocalizationLoss, effective_number_weights
from hpa_mmdet.models.losses.cells import CellLoss
from hpa_mmdet.models.losses.inherited import AsymmetricInheritedLoss, InheritedLoss

__all__ = [
    "AsymmetricInheritedLoss",
    "BagLoss",
    "CellLoss",
    "InheritedLoss",
    "LocalizationLoss",
    "effective_number_weights",
]
