"""The package `hpacellseg`, whichever edition is installed, made to run on today's libraries.

Nothing in it is changed: its class is subclassed, and while it runs it sees scikit-image's
`rescale` through a translation of the arguments that were renamed.
"""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from skimage import transform

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.atomic import atomic_path
from hpa_mmdet.segment.protocol import Planes

if TYPE_CHECKING:
    import torch

# names in hpacellseg.constants
NUCLEI = "NUCLEI_MODEL_URL"
CELL_3_CHANNELS = "MULTI_CHANNEL_CELL_MODEL_URL"
CELL_2_CHANNELS = "TWO_CHANNEL_CELL_MODEL_URL"

_MARGIN_PX = 32  # that the package pads at the top and the left


class Engine:
    """The package's own class around two loaded networks.

    Args:
        nuclei_network: in evaluation mode, on `device`.
        cell_network: likewise.
        device: as torch names it.
        three_channels: whether the cell network sees the ER too.

    Raises:
        InputError: the package is not installed, or refuses the device.
    """

    def __init__(
        self,
        nuclei_network: "torch.nn.Module",
        cell_network: "torch.nn.Module",
        device: str,
        three_channels: bool,
    ) -> None:
        self._module = import_part("cellsegmentator")
        self._three_channels = three_channels
        try:
            self._segmentator = _on_grid(self._module)(
                nuclei_model=nuclei_network,
                cell_model=cell_network,
                device=device,
                padding=True,  # sides of any length, not only multiples of 32
                multi_channel_model=three_channels,
            )
        except ValueError as error:
            raise InputError("--device", device, "cpu, cuda or cuda:<n>", "correct it") from error

    def predict(self, planes: Planes, scale: float) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Give the nuclei's and the cells' prediction on the networks' grid.

        Args:
            planes: (H, W) uint8: blue, red and, with three channels, yellow.
            scale: size of the grid over that of the image.

        Returns:
            Twice (h, w, 3) uint8, h = H * scale rounded.
        """
        self._segmentator.scale_factor = scale
        er = [planes["yellow"]] if self._three_channels else None
        with _translated_rescale(self._module):
            nuclei = self._segmentator.pred_nuclei([planes["blue"]])[0]
            cells = self._segmentator.pred_cells([[planes["red"]], er, [planes["blue"]]])[0]
        return np.asarray(nuclei, np.uint8), np.asarray(cells, np.uint8)


def import_part(name: str) -> ModuleType:
    """Import one module of the package.

    Raises:
        InputError: it is not installed, or something that it needs is not.
    """
    try:
        return importlib.import_module(f"hpacellseg.{name}")
    except ImportError as error:
        raise InputError(
            "--method hpacellseg",
            f"no working hpacellseg ({error})",
            "the HPA segmenter or its maintained copy",
            "install one of them (docs/how-to/segment.md says how), or use --method watershed",
        ) from error


def fetch_missing(path: Path, url_name: str, *, allowed: bool) -> Path:
    """Give `path`, fetched first where it is missing and that is allowed.

    Args:
        path: file of weights.
        url_name: name of its address in the package's constants.
        allowed: whether the user has said to download.

    Raises:
        InputError: it is missing and not to be fetched, or the transfer fails.
    """
    if path.exists():
        return path
    address = getattr(import_part("constants"), url_name)
    if not allowed:
        raise InputError(
            path,
            "no file",
            f"weights, to be had from {address}",
            "fetch them, or allow it with --download-weights",
        )
    try:
        with atomic_path(path) as temporary:
            import_part("utils").download_with_url(address, str(temporary))
    except OSError as error:
        raise InputError(
            address, f"no answer ({error})", "the weights", "fetch them where there is a network"
        ) from error
    return path


def _on_grid(module: ModuleType) -> Any:
    class OnGrid(module.CellSegmentator):  # type: ignore[name-defined]
        """Predictions stay on the networks' grid: the package would swap height and width."""

        def _restore_scaling_padding(self, n_prediction: NDArray[Any]) -> NDArray[Any]:
            rows, columns = self.scaled_shape
            box = (slice(_MARGIN_PX, _MARGIN_PX + rows), slice(_MARGIN_PX, _MARGIN_PX + columns))
            return n_prediction.transpose(1, 2, 0)[box]

    return OnGrid


@contextmanager
def _translated_rescale(module: ModuleType) -> Iterator[None]:
    """Let the package's `multichannel=True` mean today's `channel_axis=-1`."""

    def rescale(image: NDArray[Any], scale: float, **options: Any) -> NDArray[Any]:
        if "multichannel" in options:
            options["channel_axis"] = -1 if options.pop("multichannel") else None
        return transform.rescale(image, scale, **options)

    original = module.transform
    module.transform = SimpleNamespace(rescale=rescale)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        module.transform = original  # type: ignore[attr-defined]
