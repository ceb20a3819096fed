"""The work on single images: read, and after the network, finish."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.errors import InputError
from hpa_mmdet.inference.cells import ImagePrediction
from hpa_mmdet.inference.outputs.calls import Calls
from hpa_mmdet.inference.outputs.labels import write_labels
from hpa_mmdet.inference.outputs.pictures import draw_prediction, write_overlay
from hpa_mmdet.inference.plan import Item, RunOptions
from hpa_mmdet.inference.predictor import Predictor
from hpa_mmdet.inference.results import label_path, overlay_path
from hpa_mmdet.inference.store import CHUNK_IMAGES, StoredImage, line_of
from hpa_mmdet.inference.stream import predict_stream
from hpa_mmdet.inference.thresholds import Thresholds
from hpa_mmdet.inference.views import Detections, ImageRequest, PreparedImage
from hpa_mmdet.io.label_images import read_label_image
from hpa_mmdet.io.large_images import LargeImage, open_channels
from hpa_mmdet.io.naming import split_plane
from hpa_mmdet.io.pictures import read_header


@dataclass(frozen=True)
class Worker:
    """Everything that can be done to an item of a run.

    Args:
        images: folder of the channel files.
        predictor: the model.
        options: of the run.
    """

    images: Path
    predictor: Predictor
    options: RunOptions

    @property
    def calls(self) -> Calls:
        """What people are shown: by the options, else as the model says."""
        return Calls(self.thresholds.values, self.options.call_score)

    @property
    def thresholds(self) -> Thresholds:
        """From which on classes are called: the option's, else the model's."""
        given = self.options.thresholds
        return Thresholds(given, "given") if given else self.predictor.loaded.thresholds

    def lines(
        self,
        items: Sequence[Item],
        group_size: int,
        prepare: Callable[[Item], PreparedImage] | None = None,
    ) -> Iterator[str]:
        """Predict items of one chunk after another.

        Args:
            items: whole chunks, in their order.
            group_size: how many items go to the network together. None of it crosses from
                one chunk to the next, so that a resumed run has the same groups.
            prepare: gives an item's views; by default its files are read here.

        Yields:
            What is stored of each item, in their order.
        """
        chunks = [items[at : at + CHUNK_IMAGES] for at in range(0, len(items), CHUNK_IMAGES)]
        groups = [
            chunk[at : at + group_size]
            for chunk in chunks
            for at in range(0, len(chunk), group_size)
        ]
        for item, result in predict_stream(
            self.predictor, groups, prepare or self.prepare, self.finish, self.options.workers
        ):
            yield line_of(self.failed(item, result) if isinstance(result, InputError) else result)

    def prepare(self, item: Item) -> PreparedImage:
        """Read an item and make its views; see `read_item`."""
        return self.predictor.prepare(read_item(item, self.predictor.channels))

    def finish(
        self, item: Item, image: PreparedImage, answer: Sequence[Sequence[Detections]]
    ) -> StoredImage:
        """Assemble the cells; write label image and overlay where they are asked for."""
        prediction = self.predictor.assemble(image, answer)
        pixels, out = image.request.image, self.options.out
        if "labels" in self.options.write:
            write_labels(label_path(out, prediction.image_id), prediction, self.calls)
        if "overlays" in self.options.write:
            picture = draw_prediction(pixels, self.predictor.channels, prediction, self.calls)
            write_overlay(overlay_path(out, prediction.image_id), picture)
        return StoredImage(prediction, self._names(item), pixels_sha256(pixels))

    def failed(self, item: Item, error: InputError) -> StoredImage:
        """Put an image without cells in the place of one that failed, at its size if known."""
        width, height = item.size_wh or _size_of(item)
        empty = ImagePrediction(item.files.image_id, width, height)
        return StoredImage(empty, self._names(item), error=str(error))

    def _names(self, item: Item) -> dict[str, str]:
        return {
            channel: path.relative_to(self.images).as_posix()
            for channel, path in item.files.paths.items()
        }


def read_item(item: Item, channels: Sequence[str]) -> ImageRequest:
    """Read the pixels of an image and, where they are given, its cells.

    Raises:
        InputError: a file is missing or cannot be read.
    """
    if item.problem is not None:
        raise item.problem
    image = open_channels(item.files, channels)
    labels = None if item.mask is None else read_label_image(item.mask)
    return ImageRequest(item.files.image_id, image, labels)


def pixels_sha256(image: NDArray[np.integer] | LargeImage) -> str:
    """SHA-256 of (H, W, C) pixels, row by row."""
    digest = hashlib.sha256()
    for band in image.bands() if isinstance(image, LargeImage) else (image,):
        digest.update(np.ascontiguousarray(band).data)
    return digest.hexdigest()


def _size_of(item: Item) -> tuple[int, int]:
    for path in (*item.files.paths.values(), *([item.mask] if item.mask else [])):
        try:
            return read_header(split_plane(path)[0]).size_wh
        except InputError:
            continue
    return (1, 1)  # nothing of the image can be read, and a row must have a size
