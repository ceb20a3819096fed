"""Cells from pictures: one protocol, one class per segmenter. Importing it loads no torch.

The networks' classes (`hpacellseg.HpaCellSegmenter`, `cellpose.CellposeSegmenter`) import
torch when they load one.
"""

from hpa_mmdet.segment.cellpose import CellposeSegmenter
from hpa_mmdet.segment.given import GivenMasks
from hpa_mmdet.segment.hpacellseg import HpaCellSegmenter
from hpa_mmdet.segment.protocol import Segmentation, Segmenter
from hpa_mmdet.segment.sizes import NucleusSize
from hpa_mmdet.segment.watershed import WatershedSegmenter

__all__ = [
    "CellposeSegmenter",
    "GivenMasks",
    "HpaCellSegmenter",
    "NucleusSize",
    "Segmentation",
    "Segmenter",
    "WatershedSegmenter",
]
