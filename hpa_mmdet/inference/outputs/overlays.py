"""Predictions drawn over their images, as PNG."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hpa_mmdet.inference.outputs.base import ImageOutput, Pixels
from hpa_mmdet.io.large_images import LargeImage
from hpa_mmdet.pages.compose import compose_rgb, shrink
from hpa_mmdet.pages.draw import draw_cells
from hpa_mmdet.predictions.cells import ImagePrediction
from hpa_mmdet.predictions.drawing import draw_called

_LONGEST_SIDE_PX = 1536


class OverlaysOutput(ImageOutput):
    """overlays/<id>.png: outlines and names of the called cells over the image."""

    folder, suffix, needs_pixels = "overlays", ".png", True

    def write(self, prediction: ImagePrediction, pixels: Pixels | None) -> None:
        """Draw and write one image."""
        assert pixels is not None
        picture = self.draw(prediction, pixels)
        with self.run.writing(self.name_of(prediction.image_id)) as temporary:
            Image.fromarray(picture).save(temporary, format="png", compress_level=3)

    def draw(self, prediction: ImagePrediction, pixels: Pixels) -> NDArray[np.uint8]:
        """Draw one image, (H, W, C) 8 or 16 bit, as (h, w, 3) RGB; a large one is shrunk."""
        if isinstance(pixels, LargeImage):
            small, scale = pixels.shrunk(_LONGEST_SIDE_PX)
        else:
            small, scale = shrink(pixels, _LONGEST_SIDE_PX)
        picture = compose_rgb(small, self.run.channels)
        return draw_cells(picture, draw_called(prediction, self.run.rules), scale=scale)
