"""How a cell is cut out: all that the pixels of a crop depend on besides its image and mask."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.channels import CHANNELS

MASK = "mask"
"""The channel that holds the cell's mask, 255 inside."""
REGIONS: tuple[str, ...] = ("cell", "nucleus", "cytoplasm")
FRAMINGS: tuple[str, ...] = ("square", "stretch", "fixed")
MAX_SIZE_PX = 2048


@dataclass(frozen=True)
class CropOptions:
    """Options of `cut_crops`. Part of a store, and of the settings of a crop classifier.

    Args:
        channels: planes of a crop in their order; `mask` adds the cell's mask as one.
        size_px: height and width of a crop.
        region: `cell`, `nucleus` or `cytoplasm` (the cell without its nucleus).
        framing: `square` shows a square window around the box, so that the aspect is kept;
            `stretch` fills the crop with the box; `fixed` shows a window of
            `size_px * um_per_px` micrometres around the middle of the box, whatever its size.
        um_per_px: micrometres that a pixel of the crop covers; for `fixed` only.
        pixel_um: micrometres that a pixel of the image covers; needed by `fixed` and `grow_um`.
        margin: added to each side of the box, as a share of its longer side; not for `fixed`.
        blank: set what lies outside the mask to 0.
        grow_um: micrometres by which the mask is grown before it blanks what is outside.
        clean_green: subtract the background of the green channel and scale it between
            percentiles, image by image; False leaves it as it is stored.
        white_level: value of full brightness in 16-bit images; None for 65535, or in an
            extraction for what is measured over the images.
        linear: interpolate linearly however large the window is; False halves a large window
            first, which keeps small spots and rounds its sides up by a few pixels.

    Raises:
        InputError: a value is out of range, or values exclude each other.
    """

    channels: tuple[str, ...] = CHANNELS
    size_px: int = 128
    region: str = "cell"
    framing: str = "square"
    um_per_px: float | None = None
    pixel_um: float | None = None
    margin: float = 0.0
    blank: bool = True
    grow_um: float = 0.0
    clean_green: bool = False
    white_level: int | None = None
    linear: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", tuple(self.channels))
        if not self.image_channels or len(set(self.channels)) < len(self.channels):
            raise InputError(
                "--channels",
                " ".join(self.channels) or "nothing",
                f"each channel once, and one besides {MASK}",
                "correct it",
            )
        for option, value, choices in (
            ("--region", self.region, REGIONS),
            ("--framing", self.framing, FRAMINGS),
        ):
            if value not in choices:
                raise InputError(option, value, f"one of {', '.join(choices)}", "correct it")
        for option, number, low, high in (
            ("--size", self.size_px, 8, MAX_SIZE_PX),
            ("--margin", self.margin, 0, 2),
            ("--grow-um", self.grow_um, 0, 100),
            ("--white-level", 65535 if self.white_level is None else self.white_level, 1, 65535),
            ("--um-per-px", 1 if self.um_per_px is None else self.um_per_px, 0.001, 100),
            ("--pixel-size", 1 if self.pixel_um is None else self.pixel_um, 0.001, 100),
        ):
            if not (math.isfinite(number) and low <= number <= high):
                raise InputError(option, number, f"{low} to {high}", "correct it")
        self._check_scale()

    def _check_scale(self) -> None:
        if (self.framing == "fixed") != (self.um_per_px is not None):
            raise InputError(
                "--um-per-px",
                problem="belongs with --framing fixed, which needs it",
                remedy="give both or neither",
            )
        if self.pixel_um is None and (self.framing == "fixed" or self.grow_um):
            raise InputError(
                "--pixel-size",
                problem="is needed to turn micrometres into pixels of the images",
                remedy="give the micrometres of a pixel, 0.08 for full-size images of the Atlas",
            )
        if self.clean_green and "green" not in self.channels:
            raise InputError(
                "--clean-green", problem="there is no green channel", remedy="add it or leave it"
            )

    @property
    def image_channels(self) -> tuple[str, ...]:
        """The channels that are read from the image: all but the mask."""
        return tuple(name for name in self.channels if name != MASK)

    @property
    def window_px(self) -> int | None:
        """Side of the window in pixels of the image, for `fixed`; else None."""
        if self.um_per_px is None or self.pixel_um is None:
            return None
        return max(1, round(self.size_px * self.um_per_px / self.pixel_um))

    @property
    def grow_px(self) -> int:
        """By how many pixels of the image the mask is grown."""
        return 0 if self.pixel_um is None else round(self.grow_um / self.pixel_um)

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for JSON and configs."""
        return {**asdict(self), "channels": list(self.channels)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], where: object = "crop options") -> "CropOptions":
        """Undo `to_dict`.

        Raises:
            InputError: an unknown name, or as the constructor.
        """
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise InputError(where, f"option {unknown[0]}", ", ".join(sorted(known)), "correct it")
        return cls(**values)


def describe_difference(found: CropOptions, expected: CropOptions) -> list[tuple[str, Any, Any]]:
    """List the options that differ: name, what is there, what should be.

    What belongs to the images, the size of a pixel and the white level, may differ.
    """
    theirs, ours = found.to_dict(), expected.to_dict()
    names = [name for name in ours if name not in ("pixel_um", "white_level")]
    return [(name, theirs[name], ours[name]) for name in names if theirs[name] != ours[name]]
