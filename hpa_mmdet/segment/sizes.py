"""What a user knows about sizes: the pixel, the nucleus, both or neither."""

from dataclasses import dataclass, field

import numpy as np

from hpa_mmdet.errors import InputError
from hpa_mmdet.segment.filters import Plane
from hpa_mmdet.segment.method_options import option
from hpa_mmdet.segment.scale import estimate_nucleus_size

WORKING_DIAMETER_PX = 40.0  # nuclei are shrunk to this: outlines need no more detail
SMALLEST_UM, LARGEST_UM = 5.0, 40.0  # diameters of nuclei of cultured animal cells


@dataclass(frozen=True)
class NucleusSize:
    """The diameter of a typical nucleus, as far as it is known.

    Args:
        diameter_px: in pixels of the image.
        diameter_um: in micrometres; needs `pixel_um`.
        pixel_um: side of a pixel in micrometres. Alone it keeps the estimate within what
            nuclei measure.
        per_image: the images of a folder may differ in scale.

    Raises:
        InputError: a number is not positive, `diameter_um` comes without `pixel_um`, or two
            diameters are given.

    Examples:
        >>> NucleusSize(diameter_um=14, pixel_um=0.08).known_px
        175.0
    """

    diameter_px: float | None = field(
        default=None,
        metadata=option(
            "--nucleus-diameter-px", "diameter of a typical nucleus (default: estimated)"
        ),
    )
    diameter_um: float | None = field(
        default=None,
        metadata=option("--nucleus-diameter-um", "the same in micrometres, with --pixel-um"),
    )
    pixel_um: float | None = field(
        default=None, metadata=option("--pixel-um", "side of a pixel in micrometres")
    )
    per_image: bool = field(
        default=False,
        metadata=option(
            "--scale-per-image", "estimate the nuclei's size for each image, not for the folder"
        ),
    )

    def __post_init__(self) -> None:
        given = {
            "--nucleus-diameter-px": self.diameter_px,
            "--nucleus-diameter-um": self.diameter_um,
            "--pixel-um": self.pixel_um,
        }
        for name, value in given.items():
            if value is not None and not 0 < value < np.inf:
                raise InputError(name, value, "a number > 0", "correct it")
        if self.diameter_um is not None and self.pixel_um is None:
            raise InputError(
                "--nucleus-diameter-um", problem="needs --pixel-um", remedy="give both"
            )
        if self.diameter_um is not None and self.diameter_px is not None:
            raise InputError(
                "--nucleus-diameter-um",
                problem="cannot be combined with --nucleus-diameter-px",
                remedy="give one of them",
            )

    @property
    def known_px(self) -> float | None:
        """The diameter in pixels where the user has said it."""
        if self.diameter_px is not None or self.diameter_um is None or self.pixel_um is None:
            return self.diameter_px
        return self.diameter_um / self.pixel_um

    def to_estimate(self, *, pixel_is_enough: bool = False) -> "NucleusSize | None":
        """Give this where the diameter has to be estimated; see `Segmenter.size_to_estimate`."""
        is_known = self.known_px is not None or (pixel_is_enough and self.pixel_um is not None)
        return None if is_known else self

    def in_pixels(self, dna: Plane) -> float | None:
        """Give the known diameter in pixels, else the image's own; None without any nucleus."""
        if self.known_px is not None:
            return self.known_px
        found = estimate_nucleus_size(dna)
        return None if found is None else self.bounded(found.diameter)

    def bounded(self, estimate: float) -> float:
        """Keep an estimate in pixels within what nuclei measure, where the pixel is known."""
        if self.pixel_um is None:
            return estimate
        return float(np.clip(estimate, SMALLEST_UM / self.pixel_um, LARGEST_UM / self.pixel_um))


UNKNOWN_SIZE = NucleusSize()
