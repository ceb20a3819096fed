"""Free exact labels: another channel in place of the protein's, whose content is known.

The reference channels are known localizations. With the microtubule stain where the
protein is expected every cell shows Microtubules and nothing else; with the stain of the
endoplasmic reticulum, that; with next to nothing, Negative.

H, W: image size in pixels; C: channels; N: cells; K = 19.

Source:
    Public write-up of rank 9 of the HPA Single Cell Classification contest, 2021.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.registry import TRANSFORMS

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.channels import CHANNELS
from hpa_mmdet.localizations import NEGATIVE, NUM_LOCALIZATIONS

RETICULUM, MICROTUBULES = 6, 10
# what stands in for the protein: its channel, the range of its brightness, what it shows
SOURCES: dict[str, tuple[str, tuple[float, float], int]] = {
    "red": ("red", (0.6, 1.0), MICROTUBULES),
    "yellow": ("yellow", (0.6, 1.0), RETICULUM),
    "black": ("green", (0.0, 0.1), NEGATIVE),
}


@TRANSFORMS.register_module()
class SubstituteChannel(BaseTransform):
    """Put another channel in place of the protein's in some images.

    Such an image carries `labels_are_exact`: its one label holds for each of its cells,
    which `LocalizationBranch` learns by a loss of their own, apart from the bags.

    Args:
        sources: which of red, yellow and black to draw from.
        prob: share of the images that are changed.
        channels: what the image's channels are, in their order.

    Random choices follow numpy's global generator, which mmengine seeds in each worker.

    Raises:
        InputError: an unknown source, or one whose channel the images lack.
    """

    def __init__(
        self,
        sources: Sequence[str] = tuple(SOURCES),
        prob: float = 0.2,
        channels: Sequence[str] = CHANNELS,
    ) -> None:
        for source in sources:
            if source not in SOURCES:
                raise InputError(
                    "SubstituteChannel",
                    f"source {source!r}",
                    f"some of {', '.join(SOURCES)}",
                    "correct the config",
                )
            lacking = {SOURCES[source][0], "green"} - set(channels)
            if lacking:
                raise InputError(
                    f"SubstituteChannel, source {source}",
                    f"channels {', '.join(channels)}",
                    f"also {', '.join(sorted(lacking))}",
                    "load it, or leave the source out",
                )
        self.sources, self.prob, self.channels = tuple(sources), prob, tuple(channels)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Change one image, or not; its cells stay where they are."""
        if np.random.random() >= self.prob:  # noqa: NPY002
            return results
        source = self.sources[np.random.randint(len(self.sources))]  # noqa: NPY002
        channel, (low, high), hpa_index = SOURCES[source]
        factor = np.random.uniform(low, high)  # noqa: NPY002
        image = results["img"].copy()
        stand_in = image[..., self.channels.index(channel)].astype(np.float32) * factor
        image[..., self.channels.index("green")] = np.rint(stand_in).astype(image.dtype)
        results["img"] = image
        results["image_labels"] = [hpa_index]
        results["labels_are_exact"] = True
        if "cell_localizations" in results:
            exact = np.zeros(NUM_LOCALIZATIONS, results["cell_localizations"].dtype)
            exact[hpa_index] = 1
            results["cell_localizations"] = np.broadcast_to(
                exact, results["cell_localizations"].shape
            ).copy()
        return results
