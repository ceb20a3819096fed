"""Pictures for the tests of other packages' networks."""

import sys

import numpy as np
import torch
from ideal_cells import crowd, ideal_prediction
from skimage import util
from torch import nn

SHAPE_HW = (240, 400)


class DPNUnet(nn.Module):
    """Names and sizes of the first and last tensors as the real one has them.

    Brightness of the last channel decides between background, border and inside.
    """

    def __init__(self, target_channel_num: int, input_channel_num: int = 3) -> None:
        super().__init__()
        self.encoder_stages = nn.ModuleList([nn.Sequential(nn.Conv2d(input_channel_num, 1, 1))])
        self.final = nn.Sequential(nn.Conv2d(1, target_channel_num, 1))
        self.initialize_encoder(self, "an address")

    def initialize_encoder(self, model: nn.Module, model_url: str) -> None:
        raise AssertionError(f"{model_url} would be fetched")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.final(self.encoder_stages[0](x))


class CellSegmentator:
    """The package's interface, and its faults on today's libraries."""

    def __init__(
        self,
        nuclei_model="./nuclei_model.pth",
        cell_model="./cell_model.pth",
        scale_factor=0.25,
        device="cuda",
        padding=False,
        multi_channel_model=True,
    ) -> None:
        if device != "cpu" and "cuda" not in device:
            raise ValueError(f"{device} is not a valid device (cuda/cpu)")
        self.nuclei_model, self.cell_model = nuclei_model, cell_model
        self.scale_factor, self.padding = scale_factor, padding
        self.multi_channel_model = multi_channel_model

    def _run(self, network, image):
        self.target_shape = image.shape
        rescale = sys.modules["hpacellseg.cellsegmentator"].transform.rescale
        image = rescale(image, self.scale_factor, multichannel=True)
        self.scaled_shape = image.shape[:2]
        rows, columns = self.scaled_shape
        margins = ((32, 32 - rows % 32), (32, 32 - columns % 32), (0, 0))
        image = np.pad(image, margins, mode="reflect").transpose(2, 0, 1)
        with torch.no_grad():
            return torch.softmax(network(torch.tensor(image[None]).float()), 1)[0].numpy()

    def _restore_scaling_padding(self, n_prediction):
        raise AssertionError("would swap height and width")

    def pred_nuclei(self, images):
        runs = [self._run(self.nuclei_model, np.dstack([image] * 3)) for image in images]
        return [self._restore_scaling_padding(util.img_as_ubyte(run)) for run in runs]

    def pred_cells(self, images, precombined=False):
        microtubules, er, nuclei = images
        if self.multi_channel_model != (er is not None):
            raise ValueError("er and model do not fit")
        er = er or [np.zeros_like(microtubules[0])]
        runs = [self._run(self.cell_model, np.dstack(stains)) for stains in zip(nuclei, er, microtubules, strict=True)]  # fmt: skip
        return [util.img_as_ubyte(self._restore_scaling_padding(run)) for run in runs]


def unet() -> DPNUnet:
    """A network whose three bands follow the brightness of the last channel."""

    class Built(DPNUnet):
        def initialize_encoder(self, *args: object) -> None:
            pass

    network = Built(3)
    with torch.no_grad():
        for layer in (network.encoder_stages[0][0], network.final[0]):
            layer.weight.zero_()
            layer.bias.zero_()
        network.encoder_stages[0][0].weight[0, 2] = 1.0
        # dark: background; half bright: border between cells; bright: inside
        network.final[0].weight[:, 0, 0, 0] = torch.tensor([0.0, 60.0, 120.0])
        network.final[0].bias[:] = torch.tensor([0.0, -15.0, -60.0])
    network.__class__ = DPNUnet  # pickled by that name
    return network


def pictures(
    count: int = 12, seed: int = 1
) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Planes in which the stand-in network sees cells with borders; and the truth."""
    nuclei, cells = crowd(count, SHAPE_HW, seed)
    bands = [ideal_prediction(nuclei, 3), ideal_prediction(cells, 5)]
    blue, red = (
        np.where(b[..., 2] > 127, 255, np.where(b[..., 1] > 100, 96, 0)).astype(np.uint8)
        for b in bands
    )
    return {"red": red, "yellow": np.zeros_like(red), "blue": blue}, nuclei, cells
