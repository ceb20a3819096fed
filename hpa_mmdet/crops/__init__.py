"""Single cells cut out of their images, and a store of such crops for training."""

from hpa_mmdet.crops.cut import Crops, cut_crops
from hpa_mmdet.crops.masks import CellMask, cells_of_image
from hpa_mmdet.crops.options import CropOptions
from hpa_mmdet.crops.store import CropStore

__all__ = ["CellMask", "CropOptions", "CropStore", "Crops", "cells_of_image", "cut_crops"]
