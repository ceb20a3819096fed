"""How a conversion is done: all that its result depends on besides its sources."""

from dataclasses import dataclass

from hpa_mmdet.coco.schema import LAYOUTS
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.channels import CHANNELS, DEFAULT_PATTERN
from hpa_mmdet.io.header import MAX_PIXELS
from hpa_mmdet.io.naming import parse_channels


@dataclass(frozen=True)
class ConvertOptions:
    """Options of `convert`; the command line has one for each.

    Args:
        pattern: names of image files, as `naming.Template` reads them.
        channels: channels of each image, as `naming.parse_channels` reads them.
        mask_pattern: names of label images; None for `<id>_mask.<ext>` or `<id>.<ext>`.
        label_scheme: hpa19, hpa28 or names.
        id_column: of the table of image labels; None for the usual names.
        label_column: likewise.
        default_labels: labels of images that no table names; None makes them failures.
        skip_unlabelled_cells: leave cells out that `cell_labels` does not name, where
            otherwise they inherit.
        layout: per-cell or per-label.
        cytoplasm: also write cells minus nuclei.
        min_area_px: smallest cell that is kept.
        max_area_px: largest cell that is kept; None for any.
        drop_border: leave out cells that touch the border.
        min_focus: least focus of an image, as `filters.measure_focus` gives it; None for any.
        focus_channel: the channel it is measured on; None for the first of blue and green
            that there is.
        max_pixels: largest picture that is read.

    Raises:
        InputError: values that exclude each other.
    """

    pattern: str = DEFAULT_PATTERN
    channels: tuple[str, ...] = CHANNELS
    mask_pattern: str | None = None
    label_scheme: str = "hpa19"
    id_column: str | None = None
    label_column: str | None = None
    default_labels: str | None = None
    skip_unlabelled_cells: bool = False
    layout: str = "per-cell"
    cytoplasm: bool = False
    min_area_px: int = 0
    max_area_px: int | None = None
    drop_border: bool = False
    min_focus: float | None = None
    focus_channel: str | None = None
    max_pixels: int = MAX_PIXELS

    def __post_init__(self) -> None:
        if self.layout not in LAYOUTS:
            raise InputError("--layout", self.layout, f"one of {', '.join(LAYOUTS)}", "correct it")
        for option, value, least in (
            ("--min-area", self.min_area_px, 0),
            ("--min-focus", self.min_focus or 0, 0),
            ("--max-pixels", self.max_pixels, 1),
        ):
            if value < least:
                raise InputError(option, value, f"at least {least}", "correct it")
        if self.max_area_px is not None and self.max_area_px < self.min_area_px:
            raise InputError(
                "--max-area", self.max_area_px, f"at least {self.min_area_px}", "swap the two"
            )
        if self.focus_channel is not None and self.focus_channel not in self.channel_names:
            raise InputError(
                "--focus-channel",
                self.focus_channel,
                f"one of {', '.join(self.channel_names)}",
                "name a channel of --channels",
            )

    @property
    def channel_names(self) -> tuple[str, ...]:
        """The channels' names, without those of files and planes to skip."""
        return tuple(parse_channels(self.channels))

    @property
    def shown_channel(self) -> str:
        """The channel that `file_name` points at: green, the protein, where there is one."""
        return "green" if "green" in self.channel_names else self.channel_names[0]

    @property
    def measured_channel(self) -> str:
        """The channel that focus is measured on."""
        names = self.channel_names
        if self.focus_channel is not None:
            return self.focus_channel
        return next((name for name in ("blue", "green") if name in names), names[0])
