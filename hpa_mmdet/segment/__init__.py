"""Cells from pictures: one protocol, one class per segmenter. Importing it loads no torch."""

from hpa_mmdet.segment.protocol import Segmentation, Segmenter
from hpa_mmdet.segment.watershed import WatershedSegmenter

__all__ = ["Segmentation", "Segmenter", "WatershedSegmenter"]
