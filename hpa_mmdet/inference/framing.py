"""How an image is brought before the network: checked, cut, turned, resized.

It knows nothing of the network itself, so that machines without one can do it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hpa_mmdet.errors import InputError
from hpa_mmdet.inference.settings import InputSettings
from hpa_mmdet.inference.tiles import cut_tiles
from hpa_mmdet.inference.turns import Turn
from hpa_mmdet.inference.views import ImageRequest, PreparedImage

# up to this many views of an image are made ahead of the network: all turns of a square
_EAGER_VIEWS = 8


@dataclass(frozen=True)
class Framing:
    """See the module.

    Args:
        settings: the config's.
        turns: test-time augmentation.
        tile_px: side of the tiles; None for none.
        overlap_px: what neighbouring tiles share.

    Raises:
        InputError: the overlap leaves no step between tiles.
    """

    settings: InputSettings
    turns: Sequence[Turn]
    tile_px: int | None
    overlap_px: int

    def __post_init__(self) -> None:
        cut_tiles((1, 1), self.tile_px, self.overlap_px)

    def prepare(self, request: ImageRequest) -> PreparedImage:
        """Check an image and make its views.

        Views of an image cut into many tiles are made when they are needed, so that the
        image is not held several times.

        Raises:
            InputError: the image has another shape or depth than the model takes, or its
                label image another size.
        """
        self._check(request)
        tiles = cut_tiles(request.shape_hw, self.tile_px, self.overlap_px)
        scale = self.settings.scale_of(request.shape_hw)
        prepared = PreparedImage(request, tiles, self.turns, scale)
        if prepared.count <= _EAGER_VIEWS:
            prepared = replace(prepared, ready=tuple(prepared.views()))
        return prepared

    def _check(self, request: ImageRequest) -> None:
        shape, channels = request.image.shape, self.settings.channels
        if len(shape) != 3 or shape[2] != len(channels) or 0 in shape:
            raise InputError(
                f"image {request.image_id}",
                f"an array of shape {shape}",
                f"(H, W, {len(channels)}): {', '.join(channels)}",
                "stack the channels along the last axis",
            )
        labels = request.label_image
        if labels is not None and labels.shape != shape[:2]:
            raise InputError(
                f"mask of image {request.image_id}",
                f"{labels.shape[-1]}x{labels.shape[0]} pixels",
                f"{shape[1]}x{shape[0]} as the image",
                "segment the image at the size at which you predict it",
            )
