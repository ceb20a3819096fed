"""Losses that learn single cells from labels of whole images, one family per file."""

from hpa_mmdet.models.losses.bags import BagLoss
from hpa_mmdet.models.losses.inherited import InheritedLoss

__all__ = ["BagLoss", "InheritedLoss"]
