"""Which options a mask depends on as they stand: places and devices are none of them."""

from pathlib import Path

from hpa_mmdet.segment import CellposeSegmenter, GivenMasks, HpaCellSegmenter, NucleusSize
from hpa_mmdet.segment.method_options import counted_values

SIZE = NucleusSize(diameter_px=30)


def test_places_and_devices_do_not_count() -> None:
    assert counted_values(GivenMasks(Path("a"), Path("b"))) == []
    hpa = HpaCellSegmenter(Path("a"), Path("b"), SIZE, "cuda", trust_pickle=True, download=True)
    assert counted_values(hpa) == [("size", SIZE)]
    cellpose = CellposeSegmenter("mine", SIZE, "cuda", download=True)
    assert counted_values(cellpose) == [("model", "mine"), ("size", SIZE)]
