"""Images through one predictor: files are read and results written while the network works."""

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.errors import InputError
from hpa_mmdet.inference.outputs import Output
from hpa_mmdet.inference.plan import PlannedImage
from hpa_mmdet.inference.predictor import Predictor
from hpa_mmdet.inference.store import CHUNK_IMAGES
from hpa_mmdet.inference.stored_images import StoredImage, line_of
from hpa_mmdet.inference.views import ImageRequest, PreparedImage
from hpa_mmdet.io.label_images import read_label_image
from hpa_mmdet.io.large_images import LargeImage, open_channels
from hpa_mmdet.io.naming import split_plane
from hpa_mmdet.io.pictures import read_header
from hpa_mmdet.jobs.run import attempt
from hpa_mmdet.predictions.cells import ImagePrediction

Prepare = Callable[[PlannedImage], PreparedImage]
_Answer = list[Any] | InputError


@dataclass(frozen=True)
class ImageStream:
    """The way of images from files to lines of the store, through one predictor.

    Args:
        predictor: the model.
        images: folder of the channel files.
        outputs: that get each image when it is done.
        workers: threads that read, and as many that finish.
    """

    predictor: Predictor
    images: Path
    outputs: Sequence[Output]
    workers: int = 2

    def lines(
        self, planned: Sequence[PlannedImage], group_size: int, prepare: Prepare | None = None
    ) -> Iterator[str]:
        """Predict images of one chunk after another.

        Files are read and cells are finished in threads; the network runs in the calling
        one. What is in memory does not grow with the number of images.

        Args:
            planned: whole chunks, in their order.
            group_size: how many images go to the network together, whatever the threads
                do, so that its answers do not depend on them. No group crosses from one
                chunk to the next, so that a resumed run has the same groups.
            prepare: gives an image's views; by default its files are read here.

        Yields:
            What is stored of each image, in their order.

        Raises:
            InputError: an output cannot be written.
        """
        chunks = [planned[at : at + CHUNK_IMAGES] for at in range(0, len(planned), CHUNK_IMAGES)]
        groups = [
            chunk[at : at + group_size]
            for chunk in chunks
            for at in range(0, len(chunk), group_size)
        ]
        prepare = prepare or self.prepare
        ahead = 1 + -(-self.workers // group_size)
        waiting = group_size + 2 * self.workers
        with ThreadPoolExecutor(self.workers) as readers, ThreadPoolExecutor(
            self.workers
        ) as finishers:  # fmt: skip
            reading: deque[list[Future[PreparedImage | InputError]]] = deque()
            finishing: deque[Future[str]] = deque()
            try:
                for number, group in enumerate(groups):
                    while len(reading) <= ahead and number + len(reading) < len(groups):
                        coming = groups[number + len(reading)]
                        reading.append([readers.submit(attempt, prepare, one) for one in coming])
                    images = [future.result() for future in reading.popleft()]
                    answers = self._detect(images)
                    for one in zip(group, images, answers, strict=True):
                        finishing.append(finishers.submit(self._finish, *one))
                    yield from _finished(finishing, most_waiting=waiting)
                yield from _finished(finishing, most_waiting=0)
            finally:
                readers.shutdown(wait=False, cancel_futures=True)
                finishers.shutdown(wait=False, cancel_futures=True)

    def prepare(self, planned: PlannedImage) -> PreparedImage:
        """Read an image and make its views; see `read_request`."""
        return self.predictor.prepare(read_request(planned, self.predictor.channels))

    def _detect(self, images: Sequence[PreparedImage | InputError]) -> list[_Answer]:
        """Run a group; where it fails, each image alone, so that one does not cost the rest."""
        good = [image for image in images if not isinstance(image, InputError)]
        found: list[_Answer]
        try:
            found = list(self.predictor.detect(good))
        except InputError:
            found = [attempt(lambda one: self.predictor.detect([one])[0], image) for image in good]
        answers = iter(found)
        return [image if isinstance(image, InputError) else next(answers) for image in images]

    def _finish(
        self, planned: PlannedImage, image: PreparedImage | InputError, answer: _Answer
    ) -> str:
        if isinstance(image, InputError) or isinstance(answer, InputError):
            error = image if isinstance(image, InputError) else answer
            return line_of(self._failed(planned, error))
        return line_of(self.finish(planned, image.request, answer))

    def finish(
        self, planned: PlannedImage, request: ImageRequest, answer: Sequence[Any]
    ) -> StoredImage:
        """Make the cells of what the network said, and write the outputs of the image.

        Raises:
            InputError: an output cannot be written. What is wrong with the image is stored.
        """
        try:
            prediction = self.predictor.view_maker.read(request, answer)
            stored = StoredImage(prediction, self._names(planned), pixels_sha256(request.image))
        except InputError as error:
            return self._failed(planned, error)
        for output in self.outputs:
            output.add(prediction, request.image)
        return stored

    def _failed(self, planned: PlannedImage, error: object) -> StoredImage:
        """Put an image without cells in the place of one that failed, at its size if known."""
        width, height = planned.size_wh or _size_of(planned)
        empty = ImagePrediction(planned.image_id, width, height)
        return StoredImage(empty, self._names(planned), error=str(error))

    def _names(self, planned: PlannedImage) -> dict[str, str]:
        return {
            channel: path.relative_to(self.images).as_posix()
            for channel, path in planned.files.paths.items()
        }


def read_request(planned: PlannedImage, channels: Sequence[str]) -> ImageRequest:
    """Read the pixels of an image and, where they are given, its cells.

    Raises:
        InputError: a file is missing or cannot be read, or the image has another size than
            the sample submission says.
    """
    if planned.problem is not None:
        raise planned.problem
    image = open_channels(planned.files, channels)
    height, width = image.shape[:2]
    if planned.size_wh is not None and planned.size_wh != (width, height):
        raise InputError(
            f"image {planned.image_id}",
            f"{width}x{height} pixels",
            f"{planned.size_wh[0]}x{planned.size_wh[1]} as in the sample submission",
            "give the images that the sample submission was made for",
        )
    labels = None if planned.mask is None else read_label_image(planned.mask)
    return ImageRequest(planned.image_id, image, labels)


def pixels_sha256(image: NDArray[np.integer] | LargeImage) -> str:
    """SHA-256 of (H, W, C) pixels, row by row."""
    digest = hashlib.sha256()
    for band in image.bands() if isinstance(image, LargeImage) else (image,):
        digest.update(np.ascontiguousarray(band).data)
    return digest.hexdigest()


def _finished(finishing: deque[Future[str]], most_waiting: int) -> Iterator[str]:
    """Give what is done at the head, and wait until no more than `most_waiting` are left."""
    while finishing and (len(finishing) > most_waiting or finishing[0].done()):
        yield finishing.popleft().result()


def _size_of(planned: PlannedImage) -> tuple[int, int]:
    for path in (*planned.files.paths.values(), *([planned.mask] if planned.mask else [])):
        try:
            return read_header(split_plane(path)[0]).size_wh
        except InputError:
            continue
    return (1, 1)  # nothing of the image can be read, and a row must have a size
