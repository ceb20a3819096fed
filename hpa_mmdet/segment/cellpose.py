"""Cellpose (Stringer et al., Nature Methods 18:100, 2021), an extra: cells by its network.

Cellpose finds the cells, our own code the nuclei, and both are given shared ids.
"""

import pickle
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hpa_mmdet.errors import InputError
from hpa_mmdet.segment.devices import usable_device
from hpa_mmdet.segment.filters import enlarge_labels, resize
from hpa_mmdet.segment.method_options import option
from hpa_mmdet.segment.nuclei import find_nuclei
from hpa_mmdet.segment.pairing import pair_by_overlap
from hpa_mmdet.segment.protocol import LoadsOnce, Planes, Segmentation, need_planes, no_cells
from hpa_mmdet.segment.sizes import UNKNOWN_SIZE, WORKING_DIAMETER_PX, NucleusSize

DEFAULT_MODEL = "cpsam"
CELL_OVER_NUCLEUS = 2.2  # diameters of cultured cells
# what Cellpose and torch raise at a file that is no model, or where there is no network
_UNUSABLE = (
    OSError,
    RuntimeError,
    ValueError,
    EOFError,
    KeyError,
    TypeError,
    pickle.UnpicklingError,
)


@dataclass(frozen=True)
class CellposeSegmenter(LoadsOnce):
    """Runs Cellpose 4 or later; see `Segmenter`.

    Needs `blue` and one of `red` and `yellow`.

    Args:
        model: name of a model that Cellpose knows, or the path of a file.
        size: what is known of the nuclei's size.
        device: `cpu`, `cuda` or `cuda:<n>`.
        download: let Cellpose fetch a model that is not on this machine.
    """

    model: str = field(default=DEFAULT_MODEL, metadata=option("--cellpose-model", "name or file"))
    size: NucleusSize = UNKNOWN_SIZE
    device: str = field(
        default="cpu", metadata=option("--device", "cpu, cuda or cuda:<n>", counts=False)
    )
    download: bool = field(
        default=False,
        metadata=option(
            "--download-weights", "let the package fetch missing weights", counts=False
        ),
    )

    @property
    def size_to_estimate(self) -> NucleusSize | None:
        """See `Segmenter`."""
        return self.size.to_estimate()

    def depends_on(self, image_id: str) -> Sequence[Path]:
        """Give the model's file, where it is named by its path."""
        return [Path(self.model)] if Path(self.model).is_file() else []

    def __call__(self, planes: Planes, image_id: str = "") -> Segmentation:
        """Segment one image; see `Segmenter`."""
        shape_hw = need_planes(planes, ("blue",), "cellpose")
        if not {"red", "yellow"} & set(planes):
            need_planes(planes, ("blue", "red"), "cellpose")
        dna = planes["blue"].astype(np.float32)
        diameter = self.size.in_pixels(dna)
        if diameter is None:
            return no_cells(shape_hw)
        factor = min(1.0, WORKING_DIAMETER_PX / diameter)
        bands = [
            resize(planes[name].astype(np.float32), factor)
            if name in planes
            else np.zeros_like(resize(dna, factor))
            for name in ("red", "yellow", "blue")
        ]
        cells, *_ = self._network().eval(
            np.stack(bands, axis=2),
            channel_axis=2,
            diameter=CELL_OVER_NUCLEUS * diameter * factor,
        )
        nuclei = find_nuclei(bands[2], diameter * factor)
        small = pair_by_overlap(nuclei, np.asarray(cells, np.int32))
        return Segmentation(
            enlarge_labels(small.nuclei, shape_hw), enlarge_labels(small.cells, shape_hw)
        )

    def _network(self) -> Any:
        return self.once("network", lambda: load_cellpose(self.model, self.device, self.download))


def load_cellpose(model: str, device: str, download: bool) -> Any:
    """Load a model of Cellpose.

    Cellpose itself takes its default, and fetches it, where it does not know a name, and the
    CPU where it finds no GPU; here both are errors.

    Raises:
        InputError: Cellpose is not installed, does not know the model, has not got it on
            this machine while `download` is off, or cannot fetch or load it; or there is no
            such device.
    """
    try:
        from cellpose import models
    except ImportError as error:
        raise InputError(
            "--method cellpose",
            f"no cellpose ({error})",
            "the extra `cellpose`",
            "pip install 'hpa-mmdet[cellpose]'",
        ) from error
    source = _find_model(models, model, download)
    # by its name: `gpu=True` would mean whichever GPU comes first, or the CPU
    place = usable_device(device)
    try:
        return models.CellposeModel(gpu=place.type != "cpu", pretrained_model=source, device=place)
    except _UNUSABLE as error:
        raise InputError(
            "--cellpose-model",
            f"{source}, which cannot be loaded ({error})",
            "a model of Cellpose 4",
            f"give its file, or copy it to {models.MODEL_DIR} where there is no network",
        ) from error


def _find_model(models: Any, model: str, download: bool) -> str:
    """Give the model's file, or its name where Cellpose is to fetch it."""
    cached = Path(models.MODEL_DIR) / model
    for path in (Path(model), cached):
        if path.is_file():
            return str(path)
    known = [*models.MODEL_NAMES, *models.get_user_models()]
    if model not in known:
        raise InputError(
            "--cellpose-model", model, f"a file, or one of {', '.join(known)}", "correct it"
        )
    if not download:
        raise InputError(
            "--cellpose-model",
            f"no {model} on this machine",
            f"the file {cached}",
            "copy it there, or allow Cellpose to fetch it with --download-weights",
        )
    return model
