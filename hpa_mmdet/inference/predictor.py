"""The Python API: channels in, named cells out.

H, W: image height and width in pixels; C: the model's channels.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from numpy.typing import NDArray

from hpa_mmdet.errors import InputError
from hpa_mmdet.inference.assemble import assemble
from hpa_mmdet.inference.cells import CellPrediction, ImagePrediction
from hpa_mmdet.inference.framing import Framing
from hpa_mmdet.inference.model_files import LoadedModel, load_model
from hpa_mmdet.inference.tiles import cut_tiles
from hpa_mmdet.inference.turns import turns_named
from hpa_mmdet.inference.views import (
    Detections,
    ImageRequest,
    PreparedImage,
    View,
    read_sample,
    sample_of,
)

_LOG = logging.getLogger(__name__)
Pixels = NDArray[np.integer]


class Predictor:
    """Finds the cells of an image and names what each shows.

    Args:
        config: mmengine's .py file, the .json of tools/export.py, or a Config in memory.
        checkpoint: the .pth of training, or the .safetensors file beside that .json.
        device: "auto" (a GPU where there is one), "cpu", "cuda:0", ...
        amp: half precision on the device.
        batch_size: inputs of the network at once; halved when the device is out of memory.
        tta: "none", "flips" (4 turns) or "d4" (8): scores are averaged over matched
            cells, masks are voted on.
        tile_px: side of the tiles that a larger image is cut into; None for none.
        overlap_px: what neighbouring tiles share.
        input_scale: input pixels per image pixel, where images show cells at another
            size than those of training; None for what the config says.
        min_cell_score: cells with a lower p(cell) are left out.
        options: changes of the config by dotted key.

    Raises:
        InputError: see `load_model`; or an unknown device, tta or overlap.

    Examples:
        ```python
        predictor = hpa_mmdet.Predictor("config.py", "checkpoint.pth")
        for cell in predictor(image):  # (H, W, 4) red, green, blue, yellow
            print(cell.bbox_xywh, cell.class_scores.argmax())
        ```
    """

    def __init__(
        self,
        config: str | Path | Config,
        checkpoint: str | Path | None = None,
        *,
        device: str = "auto",
        amp: bool = False,
        batch_size: int = 1,
        tta: str = "none",
        tile_px: int | None = None,
        overlap_px: int = 128,
        input_scale: float | None = None,
        min_cell_score: float = 0.0,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        if batch_size < 1:
            raise InputError("--batch-size", batch_size, "1 or more", "give a larger one")
        self.arguments: dict[str, Any] = {
            "config": config,
            "checkpoint": checkpoint,
            "device": device,
            "amp": amp,
            "batch_size": batch_size,
            "tta": tta,
            "tile_px": tile_px,
            "overlap_px": overlap_px,
            "input_scale": input_scale,
            "min_cell_score": min_cell_score,
            "options": options,
        }
        turns = turns_named(tta)
        cut_tiles((1, 1), tile_px, overlap_px)  # refuses an overlap that leaves no step
        self.device = _device(device)
        self.loaded: LoadedModel = load_model(config, checkpoint, self.device, options)
        settings = self.loaded.settings.with_scale(input_scale)
        self.framing = Framing(settings, turns, tile_px, overlap_px)
        self.amp, self.batch_size = amp, batch_size
        self.min_cell_score = min_cell_score
        self.notes: list[str] = []

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels of the model, in the order in which it takes them."""
        return self.loaded.settings.channels

    def __call__(self, image: Pixels, label_image: Pixels | None = None) -> list[CellPrediction]:
        """Find and name the cells of one image.

        Args:
            image: (H, W, C) uint8 or uint16, channels as `channels` says.
            label_image: (H, W) integer, 0 background: name exactly these cells, in the
                order of their ids, and find none.

        Returns:
            The cells by falling p(cell), or by id where they were given.

        Raises:
            InputError: the image has another shape or depth, or the model gives numbers
                that are not finite.
        """
        return list(self.predict([ImageRequest("given", image, label_image)])[0].cells)

    def predict(self, requests: Sequence[ImageRequest]) -> list[ImagePrediction]:
        """Find and name the cells of several images; raises as a call does."""
        prepared = [self.prepare(request) for request in requests]
        answers = self.detect(prepared)
        return [self.assemble(*each) for each in zip(prepared, answers, strict=True)]

    def prepare(self, request: ImageRequest) -> PreparedImage:
        """Do the part of `predict` before the network; any thread can (see `Framing`)."""
        return self.framing.prepare(request)

    def detect(self, images: Sequence[PreparedImage]) -> list[list[list[Detections]]]:
        """Run the network: the costly part of `predict`, on the device.

        Returns:
            For each image, tile by tile, what was found in each turn.
        """
        answers: list[list[list[Detections]]] = [[[] for _ in each.tiles] for each in images]
        for batch in self._batches(images):
            samples = self._forward([view for _, _, view in batch])
            for (number, tile_number, view), sample in zip(batch, samples, strict=True):
                found = read_sample(sample, view, images[number].request.image_id)
                answers[number][tile_number].append(found)
        return answers

    def assemble(
        self, image: PreparedImage, answer: Sequence[Sequence[Detections]]
    ) -> ImagePrediction:
        """Make cells of what was found: the part after the network, for any thread."""
        return assemble(image.request, image.tiles, answer, self.min_cell_score, image.scale)

    def _batches(self, images: Sequence[PreparedImage]) -> Iterator[list[tuple[int, int, View]]]:
        """Views in their order, of one size in a batch."""
        batch: list[tuple[int, int, View]] = []
        for number, image in enumerate(images):
            for tile_number, view in image.views():
                if batch and (
                    len(batch) >= self.batch_size or not _fit_together(batch[0][2], view)
                ):
                    yield batch
                    batch = []
                batch.append((number, tile_number, view))
        if batch:
            yield batch

    def _step(self, batch: dict[str, Any]) -> Any:
        step: Any = self.loaded.model.test_step
        return step(batch)

    def _forward(self, views: Sequence[View]) -> list[Any]:
        """One step of the network; on a full device, halves."""
        batch = {
            "inputs": [view.inputs for view in views],
            "data_samples": [sample_of(view, number) for number, view in enumerate(views)],
        }
        precision = torch.autocast(self.device.type) if self.amp else nullcontext()
        try:
            with torch.inference_mode(), precision:
                return list(self._step(batch))
        except RuntimeError as error:  # torch.OutOfMemoryError is one
            if not _is_out_of_memory(error):
                raise
        if len(views) == 1:
            height, width = views[0].inputs.shape[1:]
            raise InputError(
                f"device {self.device}",
                f"too little memory for one input of {width}x{height} pixels",
                "room for one",
                "cut images into tiles with --tile 1024, or use --amp or --device cpu",
            )
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        self.batch_size = max(1, len(views) // 2)
        self.notes.append(
            f"out of memory on {self.device}: went on with batches of {self.batch_size}"
        )
        _LOG.warning(self.notes[-1])
        middle = len(views) // 2
        return self._forward(views[:middle]) + self._forward(views[middle:])


def _fit_together(one: View, other: View) -> bool:
    same_kind = (one.given is None) == (other.given is None)
    return one.inputs.shape == other.inputs.shape and same_kind


def _is_out_of_memory(error: RuntimeError) -> bool:
    cpu_is_full = "can't allocate memory" in str(error)
    return isinstance(error, torch.OutOfMemoryError) or cpu_is_full


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InputError("--device", name, "a device of this machine", "use auto or cpu") from error
    return device
