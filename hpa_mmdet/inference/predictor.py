"""The Python API: channels in, named cells out.

H, W: image height and width in pixels; C: the model's channels.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from numpy.typing import NDArray

from hpa_mmdet.compat.fused_norms import fuse_for_prediction
from hpa_mmdet.compat.memory import give_back_where_scarce
from hpa_mmdet.errors import InputError
from hpa_mmdet.inference.cleaning import DEFAULT_CLEANING, check_cleaning
from hpa_mmdet.inference.detector_views import DetectorViews
from hpa_mmdet.inference.geometry import cut_tiles, symmetries_named
from hpa_mmdet.inference.model_files import LoadedModel, load_model
from hpa_mmdet.inference.views import ImageRequest, PreparedImage, View, ViewMaker
from hpa_mmdet.predictions.call_rules import check_probability
from hpa_mmdet.predictions.cells import CellPrediction, ImagePrediction
from hpa_mmdet.segment.devices import usable_device

KINDS: dict[str, Callable[..., ViewMaker]] = {"HpaMaskRCNN": DetectorViews}
"""What is shown to a model, by the type in its config; detectors' views by default."""
_LOG = logging.getLogger(__name__)


class Predictor:
    """Finds the cells of an image and names what each shows.

    Args:
        config: mmengine's .py file, the .json of tools/export.py, or a Config in memory.
        checkpoint: the .pth of training, or the .safetensors file beside that .json.
        device: "auto" (a GPU where there is one), "cpu", "cuda:0", ...
        amp: half precision on the device.
        batch_size: inputs of the network at once; halved when the device is out of memory.
        tta: "none", or test-time augmentation by "flips" (4 views) or "d4" (all 8
            symmetries of the square): scores are averaged over matched cells, masks are
            voted on.
        tile_px: side of the tiles that a larger image is cut into; None for none.
        overlap_px: what neighbouring tiles share.
        input_scale: input pixels per image pixel, where images show cells at another
            size than those of training; None for what the config says.
        white_level: full brightness in 16-bit pixels; None for what the model says, else the
            smallest of 8, 10, 12, 14 and 16 bits that holds all values of the image.
        min_cell_score: cells with a lower p(cell) are left out.
        clean: "suppress" drops cells found twice, "separate" also parts the pixels of
            neighbours and makes each cell one piece, "grow" also grows each to the edges
            of the stains, "none" leaves masks as found.
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
        white_level: int | None = None,
        min_cell_score: float = 0.0,
        clean: str = DEFAULT_CLEANING,
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
            "white_level": white_level,
            "min_cell_score": min_cell_score,
            "clean": clean,
            "options": options,
        }
        check_probability(min_cell_score, "--min-cell-score")
        check_cleaning(clean)
        symmetries = symmetries_named(tta)
        cut_tiles((1, 1), tile_px, overlap_px)  # refuse a bad tile before a model is loaded
        self.device = _device(device)
        self.loaded: LoadedModel = load_model(config, checkpoint, self.device, options)
        fuse_for_prediction(self.loaded.model)
        settings = self.loaded.settings.with_scale(input_scale).with_white_level(white_level)
        kind = KINDS.get(self.loaded.config.model.type, DetectorViews)
        self.view_maker = kind(settings, symmetries, tile_px, overlap_px, min_cell_score, clean)
        self.amp, self.batch_size = amp, batch_size
        self.notes: list[str] = []

    def read_with_white_level(self, white_level: int) -> None:
        """Read 16-bit pixels with this white level from now on."""
        self.arguments["white_level"] = white_level
        settings = self.view_maker.settings.with_white_level(white_level)
        self.view_maker = self.view_maker.with_settings(settings)

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels of the model, in the order in which it takes them."""
        return self.loaded.settings.channels

    def __call__(
        self, image: NDArray[np.integer], label_image: NDArray[np.integer] | None = None
    ) -> list[CellPrediction]:
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
        answers = self.detect([self.prepare(request) for request in requests])
        pairs = zip(requests, answers, strict=True)
        found = [self.view_maker.read(request, answer) for request, answer in pairs]
        named = iter(self.detect([image.naming for image in found if image.naming is not None]))
        return [
            self.view_maker.read_names(image, [] if image.naming is None else next(named))
            for image in found
        ]

    def prepare(self, request: ImageRequest) -> PreparedImage:
        """Do the part of `predict` before the network; any thread can (see `ViewMaker`).

        Raises:
            InputError: the image does not fit the model, or the model finds no cells and none
                are given.
        """
        self.check_given(request.label_image is not None)
        return self.view_maker.prepare(request)

    def check_given(self, cells_are_given: bool) -> None:
        """Refuse a model that only names cells where none are given.

        Raises:
            InputError: see above.
        """
        if not cells_are_given and not getattr(self.loaded.model, "detect", True):
            raise InputError(
                "--instances model",
                problem="this model names given cells and finds none",
                remedy="give --instances masks --masks DIR (in Python: a label image)",
            )

    def detect(self, images: Sequence[PreparedImage]) -> list[list[Any]]:
        """Run the network: the costly part of `predict`, on the device.

        Returns:
            For each image the network's answer to each of its views, for
            `view_maker.read` or, of images that it gave to be named, `read_names`: the parts
            after the network, for any thread.
        """
        answers: list[list[Any]] = [[] for _ in images]
        for batch in self._batches(images):
            samples = self._forward([view for _, view in batch])
            for (number, _), sample in zip(batch, samples, strict=True):
                answers[number].append(sample.cpu())
            give_back_where_scarce()
        return answers

    def _batches(self, images: Sequence[PreparedImage]) -> Iterator[list[tuple[int, View]]]:
        """Views in their order, with the number of their image; of one size in a batch."""
        batch: list[tuple[int, View]] = []
        for number, image in enumerate(images):
            for view in image.views:
                full = len(batch) >= self.batch_size
                if batch and (full or not batch[0][1].fits_with(view)):
                    yield batch
                    batch = []
                batch.append((number, view))
        if batch:
            yield batch

    def _step(self, batch: dict[str, Any]) -> Any:
        step: Any = self.loaded.model.test_step
        return step(batch)

    def _forward(self, views: Sequence[View]) -> list[Any]:
        """One step of the network; on a full device, halves."""
        batch = {
            "inputs": [view.inputs for view in views],
            "data_samples": [view.sample for view in views],
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


def _is_out_of_memory(error: RuntimeError) -> bool:
    cpu_is_full = "can't allocate memory" in str(error)
    return isinstance(error, torch.OutOfMemoryError) or cpu_is_full


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return usable_device(name)
