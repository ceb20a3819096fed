"""What a config says about the pictures its model takes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mmengine.config import Config

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.channels import CHANNELS

_LARGEST_SCALE = 16
_LARGEST_SIDE = 2**16
_PASSED_OVER = ("PackCells", "LoadCells")


@dataclass(frozen=True)
class InputSettings:
    """The way from a file to the network's input.

    Args:
        channels: names, in the network's order.
        scale: input pixels per image pixel; None where `longest_side_px` says it.
        longest_side_px: the size that the longer side is brought to; None for `scale`.
        white_level: full brightness in 16-bit files; None to measure it.
    """

    channels: tuple[str, ...]
    scale: float | None = 1.0
    longest_side_px: int | None = None
    white_level: int | None = None

    def scale_of(self, shape_hw: Sequence[int]) -> float:
        """Input pixels per image pixel for an image of this size."""
        if self.longest_side_px is not None:
            return self.longest_side_px / max(shape_hw)
        assert self.scale is not None
        return self.scale

    def with_scale(self, scale: float | None) -> "InputSettings":
        """Put another scale in the config's place; None leaves it.

        Raises:
            InputError: it is not above 0.
        """
        if scale is None:
            return self
        if not 0 < scale <= _LARGEST_SCALE:
            raise InputError("--input-scale", scale, f"above 0, to {_LARGEST_SCALE}", "correct it")
        return replace(self, scale=scale, longest_side_px=None)

    def with_white_level(self, white_level: int | None) -> "InputSettings":
        """Put another white level in the config's place; None leaves it.

        Raises:
            InputError: it is none of 16-bit pixels.
        """
        if white_level is None:
            return self
        if not 0 < white_level < 2**16:
            raise InputError("--white-level", white_level, "1 to 65535", "correct it")
        return replace(self, white_level=white_level)


def read_settings(config: Config, where: object) -> InputSettings:
    """Read the `test_pipeline` of a config: its channels, and its one Resize if any.

    Args:
        config: with `test_pipeline`.
        where: what an error names, such as the config's file.

    Raises:
        InputError: there is no `test_pipeline`, it loads no channels, or it holds a step
            that prediction does not know, so that pixels would be treated otherwise than
            in validation.
    """
    pipeline = config.get("test_pipeline")
    if not isinstance(pipeline, list) or not all(isinstance(step, dict) for step in pipeline):
        pipeline = None
    if not pipeline:
        raise InputError(
            where, "no test_pipeline", "one that begins with LoadHpaChannels", "use our base config"
        )
    settings: InputSettings | None = None
    for step in pipeline:
        kind = step.get("type")
        if kind == "LoadHpaChannels":
            settings = _of_loading(step, config.get("white_level"), where)
        elif kind == "Resize" and settings is not None:
            settings = _with_resize(settings, step, where)
        elif kind not in _PASSED_OVER:
            raise InputError(
                f"{where}, test_pipeline",
                f"a step {kind!r}",
                "LoadHpaChannels, then at most one Resize with keep_ratio, then PackCells",
                "take the step out of test_pipeline",
            )
    if settings is None:
        raise InputError(
            f"{where}, test_pipeline", "no LoadHpaChannels", "it as the first step", "add it"
        )
    return settings


def _of_loading(step: Mapping[str, Any], white_level: Any, where: object) -> InputSettings:
    channels, scale = step.get("channels", CHANNELS), step.get("scale", 1.0)
    if (
        not isinstance(channels, list | tuple)
        or not channels
        or not all(isinstance(name, str) for name in channels)
    ):
        raise InputError(
            f"{where}, test_pipeline", f"channels {channels!r}", "a list of names", "correct it"
        )
    if not isinstance(scale, int | float) or not 0 < scale <= _LARGEST_SCALE:
        raise InputError(
            f"{where}, test_pipeline",
            f"scale {scale!r}",
            f"a number above 0, to {_LARGEST_SCALE}",
            "correct it",
        )
    return InputSettings(tuple(channels), float(scale), white_level=white_level or None)


def _with_resize(settings: InputSettings, step: Mapping[str, Any], where: object) -> InputSettings:
    factor, scale = step.get("scale_factor"), step.get("scale")
    if isinstance(factor, int | float):
        scaled = replace(settings, scale=float(factor) * (settings.scale or 1.0))
        if 0 < (scaled.scale or 0) <= _LARGEST_SCALE:
            return scaled
    if factor is None and scale is not None and step.get("keep_ratio"):
        sides = list(scale) if isinstance(scale, list | tuple) else [scale]
        if len(set(sides)) == 1 and isinstance(sides[0], int) and 0 < sides[0] <= _LARGEST_SIDE:
            return replace(settings, scale=None, longest_side_px=sides[0])
    raise InputError(
        f"{where}, test_pipeline",
        f"Resize with scale={scale}, scale_factor={factor}, keep_ratio={step.get('keep_ratio')}",
        "one number as scale_factor, or a square scale with keep_ratio=True",
        "write one of the two, so that cells keep their shape",
    )
