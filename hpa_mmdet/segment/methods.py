"""The segmenters by name, each built from the options that it knows."""

from dataclasses import dataclass
from pathlib import Path

from hpa_mmdet.errors import InputError
from hpa_mmdet.segment.cellpose import DEFAULT_MODEL, CellposeSegmenter
from hpa_mmdet.segment.given import GivenMasks
from hpa_mmdet.segment.hpacellseg import HpaCellSegmenter
from hpa_mmdet.segment.protocol import Segmenter
from hpa_mmdet.segment.sizes import UNKNOWN_SIZE, NucleusSize
from hpa_mmdet.segment.watershed import WatershedSegmenter

METHODS = ("watershed", "hpacellseg", "cellpose", "masks")
# options that say nothing to any other method
_BELONGS_TO = {
    "nuclei_only": "watershed",
    "nuclei_weights": "hpacellseg",
    "cell_weights": "hpacellseg",
    "trust_pickle": "hpacellseg",
    "masks": "masks",
    "nuclei_masks": "masks",
}


@dataclass(frozen=True)
class MethodOptions:
    """What a user may say of the segmenters; see each for the meaning.

    An option of one method is refused where another is chosen, so that none is lost silently.
    """

    size: NucleusSize = UNKNOWN_SIZE
    nuclei_only: bool = False
    nuclei_weights: Path | None = None
    cell_weights: Path | None = None
    trust_pickle: bool = False
    cellpose_model: str = DEFAULT_MODEL
    download: bool = False
    device: str = "cpu"
    masks: Path | None = None
    nuclei_masks: Path | None = None


def build_segmenter(method: str, options: MethodOptions) -> Segmenter:
    """Build the segmenter of that name.

    Args:
        method: one of `METHODS`.
        options: the user's.

    Raises:
        InputError: an option that the method needs is missing, or belongs to another one.
    """
    for name, owner in _BELONGS_TO.items():
        if getattr(options, name) and owner != method:
            raise InputError(
                _flag(name), f"--method {method}", f"--method {owner}", "drop one of the two"
            )
    if method == "masks":
        return GivenMasks(_needed(options, method, "masks"), options.nuclei_masks)
    if method == "cellpose":
        return CellposeSegmenter(
            options.cellpose_model, options.size, options.device, options.download
        )
    if method == "hpacellseg":
        return HpaCellSegmenter(
            _needed(options, method, "nuclei_weights"),
            _needed(options, method, "cell_weights"),
            options.size,
            options.device,
            options.trust_pickle,
            options.download,
        )
    return WatershedSegmenter(options.size, options.nuclei_only)


def _needed(options: MethodOptions, method: str, name: str) -> Path:
    value: Path | None = getattr(options, name)
    if value is None:
        flag = _flag(name)
        raise InputError(f"--method {method}", f"no {flag}", "it", f"give {flag} PATH")
    return value


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"
