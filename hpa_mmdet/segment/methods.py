"""The segmenters by name. A new one is a file with its class, and a line here.

The class is a frozen dataclass that fits `protocol.Segmenter`; its options are its fields
(`method_options.option`).
"""

from hpa_mmdet.segment.cellpose import CellposeSegmenter
from hpa_mmdet.segment.given import GivenMasks
from hpa_mmdet.segment.hpacellseg import HpaCellSegmenter
from hpa_mmdet.segment.watershed import WatershedSegmenter

SEGMENTERS: dict[str, type] = {
    "watershed": WatershedSegmenter,
    "hpacellseg": HpaCellSegmenter,
    "cellpose": CellposeSegmenter,
    "masks": GivenMasks,
}
