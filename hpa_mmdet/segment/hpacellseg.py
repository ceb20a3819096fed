"""The Human Protein Atlas' own segmenter, its networks run by its own package.

Works with `hpacellseg` as its authors publish it and with its maintained copy, neither of
which is in the package index. What fails there on today's libraries is translated here:
arguments that scikit-image has renamed, the swapped sides of images that are not square, and
pickled weights. Labelling is ours (`labelling.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.errors import InputError
from hpa_mmdet.segment.filters import enlarge_labels
from hpa_mmdet.segment.hpacellseg_package import (
    CELL_2_CHANNELS,
    CELL_3_CHANNELS,
    NUCLEI,
    Engine,
    fetch_missing,
)
from hpa_mmdet.segment.labelling import label_cells
from hpa_mmdet.segment.method_options import option
from hpa_mmdet.segment.protocol import LoadsOnce, Planes, Segmentation, need_planes
from hpa_mmdet.segment.sizes import UNKNOWN_SIZE, NucleusSize
from hpa_mmdet.segment.weights import load_network

HPA_PIXEL_UM, HPA_SCALE = 0.08, 0.25  # of the images that the networks learnt from
NUCLEUS_ON_GRID_PX = 48.0  # where the pixel is not known, nuclei are brought to this
SMALLEST_SCALE, LARGEST_SCALE = 0.05, 4.0


@dataclass(frozen=True)
class HpaCellSegmenter(LoadsOnce):
    """Runs the HPA segmenter; see `Segmenter`.

    Needs `blue` and `red`; with `yellow` the cell network of three channels is meant, without
    it the one of two.

    Args:
        nuclei_weights: file of the nuclei network.
        cell_weights: file of the cell network.
        size: what is known of the pixel or the nuclei; the image is brought to the networks'
            scale by it.
        device: `cpu`, `cuda` or `cuda:<n>`.
        trust_pickle: load whole pickled networks (see weights.py).
        download: fetch missing files from where the package says they are.
    """

    nuclei_weights: Path = field(
        metadata=option("--nuclei-weights", "file of the nuclei network", counts=False)
    )
    cell_weights: Path = field(
        metadata=option("--cell-weights", "file of the cell network", counts=False)
    )
    size: NucleusSize = UNKNOWN_SIZE
    device: str = field(
        default="cpu", metadata=option("--device", "cpu, cuda or cuda:<n>", counts=False)
    )
    trust_pickle: bool = field(
        default=False,
        metadata=option("--trust-pickle", "run the code in pickled weights", counts=False),
    )
    download: bool = field(
        default=False,
        metadata=option(
            "--download-weights", "let the package fetch missing weights", counts=False
        ),
    )

    @property
    def size_to_estimate(self) -> NucleusSize | None:
        """See `Segmenter`; a known pixel is enough here."""
        return self.size.to_estimate(pixel_is_enough=True)

    def depends_on(self, image_id: str) -> Sequence[Path]:
        """Give the files of weights."""
        return [self.nuclei_weights, self.cell_weights]

    def __call__(self, planes: Planes, image_id: str = "") -> Segmentation:
        """Segment one image; see `Segmenter`."""
        return self.segment_batch([planes])[0]

    def segment_batch(self, images: Sequence[Planes]) -> list[Segmentation]:
        """Segment several images of the same channels, which may differ in size.

        Raises:
            InputError: a channel is missing, the package is not installed, or the weights
                cannot be used.
        """
        shapes = [need_planes(planes, ("blue", "red"), "hpacellseg") for planes in images]
        three = {("yellow" in planes) for planes in images}
        if len(three) > 1:
            raise InputError(
                "batch", "images with and without yellow", "one kind", "segment them apart"
            )
        scales = [self._scale_of(planes) for planes in images]
        engine = self._engine(three == {True})
        results: list[Segmentation] = []
        for planes, scale, shape_hw in zip(images, scales, shapes, strict=True):
            eight_bit = {name: _as_uint8(plane) for name, plane in planes.items()}
            nuclei, cells = label_cells(*engine.predict(eight_bit, scale))
            results.append(
                Segmentation(enlarge_labels(nuclei, shape_hw), enlarge_labels(cells, shape_hw))
            )
        return results

    def _scale_of(self, planes: Planes) -> float:
        if self.size.pixel_um is not None and self.size.known_px is None:
            scale = HPA_SCALE * self.size.pixel_um / HPA_PIXEL_UM
        else:
            diameter = self.size.in_pixels(planes["blue"].astype(np.float32))
            scale = HPA_SCALE if diameter is None else NUCLEUS_ON_GRID_PX / diameter
        return float(np.clip(scale, SMALLEST_SCALE, LARGEST_SCALE))

    def _engine(self, three_channels: bool) -> Engine:
        def load() -> Engine:
            cell_url = CELL_3_CHANNELS if three_channels else CELL_2_CHANNELS
            return Engine(
                self._network(self.nuclei_weights, NUCLEI),
                self._network(self.cell_weights, cell_url),
                self.device,
                three_channels,
            )

        return self.once(f"engine_{three_channels}", load)

    def _network(self, path: Path, url_name: str) -> Any:
        present = fetch_missing(path, url_name, allowed=self.download)
        return load_network(present, trust_pickle=self.trust_pickle, device=self.device)


def _as_uint8(plane: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Bring a plane to the 8 bit that the networks learnt from; 16 bit is stretched."""
    if plane.dtype == np.uint8:
        return np.asarray(plane, np.uint8)
    brightest = max(float(np.percentile(plane, 99.95)), 1.0)
    return np.clip(plane * (255 / brightest), 0, 255).astype(np.uint8)
