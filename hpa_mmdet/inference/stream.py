"""Images through one predictor: files are read and results written while the network works."""

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.errors import InputError
from hpa_mmdet.inference.outputs import Output
from hpa_mmdet.inference.plan import PlannedImage
from hpa_mmdet.inference.predictor import Predictor
from hpa_mmdet.inference.store import CHUNK_IMAGES
from hpa_mmdet.inference.stored_images import StoredImage, line_of
from hpa_mmdet.inference.views import FoundImage, ImageRequest, PreparedImage
from hpa_mmdet.io.label_images import read_label_image
from hpa_mmdet.io.large_images import LargeImage, open_channels
from hpa_mmdet.io.naming import split_plane
from hpa_mmdet.io.pictures import read_header
from hpa_mmdet.jobs.run import attempt
from hpa_mmdet.predictions.cells import ImagePrediction

Prepare = Callable[[PlannedImage], PreparedImage]
_Answer = list[Any] | InputError
_Found = FoundImage | InputError
Group = TypeVar("Group")


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
        waiting = group_size + 2 * self.workers
        with ThreadPoolExecutor(self.workers) as readers, ThreadPoolExecutor(
            self.workers
        ) as finishers:  # fmt: skip
            finishing: deque[Future[str]] = deque()
            try:
                searched = self._search(groups, prepare or self.prepare, readers, finishers)
                # cells of a group are cleaned while the network looks at the next one
                for group in _one_behind(searched):
                    cleaned = [image.found.result() for image in group]
                    answers = self._detect([_shown_for_names(found) for found in cleaned])
                    for one in zip(group, cleaned, answers, strict=True):
                        finishing.append(finishers.submit(self._line, *one))
                    yield from _finished(finishing, most_waiting=waiting)
                yield from _finished(finishing, most_waiting=0)
            finally:
                readers.shutdown(wait=False, cancel_futures=True)
                finishers.shutdown(wait=False, cancel_futures=True)

    def _search(
        self,
        groups: Sequence[Sequence[PlannedImage]],
        prepare: Prepare,
        readers: ThreadPoolExecutor,
        finishers: ThreadPoolExecutor,
    ) -> Iterator[list["_Searched"]]:
        """Read groups ahead, show each to the network, and let its answers be made cells."""
        ahead = 1 + -(-self.workers // max(map(len, groups), default=1))
        reading: deque[list[Future[PreparedImage | InputError]]] = deque()
        for number, group in enumerate(groups):
            while len(reading) <= ahead and number + len(reading) < len(groups):
                coming = groups[number + len(reading)]
                reading.append([readers.submit(attempt, prepare, one) for one in coming])
            images = [future.result() for future in reading.popleft()]
            answers = self._detect(images)
            yield [
                _Searched(planned, image, finishers.submit(self._read, image, answer))
                for planned, image, answer in zip(group, images, answers, strict=True)
            ]

    def prepare(self, planned: PlannedImage) -> PreparedImage:
        """Read an image and make its views; see `read_request`."""
        return self.predictor.prepare(read_request(planned, self.predictor.channels))

    def _detect(self, images: Sequence[PreparedImage | InputError | None]) -> list[_Answer]:
        """Run a group; where it fails, each image alone, so that one does not cost the rest."""
        good = [image for image in images if isinstance(image, PreparedImage)]
        found: list[_Answer]
        try:
            found = list(self.predictor.detect(good))
        except InputError:
            found = [attempt(lambda one: self.predictor.detect([one])[0], image) for image in good]
        answers = iter(found)
        return [
            next(answers) if isinstance(image, PreparedImage) else image or [] for image in images
        ]

    def _read(self, image: PreparedImage | InputError, answer: _Answer) -> _Found:
        """Make the cells of what the network said."""
        if isinstance(image, InputError):
            return image
        if isinstance(answer, InputError):
            return answer
        return attempt(lambda said: self.predictor.view_maker.read(image.request, said), answer)

    def _line(self, searched: "_Searched", found: _Found, answer: _Answer) -> str:
        """Finish an image, or store why it failed."""
        for part in (searched.image, found, answer):
            if isinstance(part, InputError):
                return line_of(self._failed(searched.planned, part))
        assert isinstance(searched.image, PreparedImage)
        assert isinstance(found, FoundImage)
        assert isinstance(answer, list)
        return line_of(self.finish(searched.planned, searched.image.request, found, answer))

    def finish(
        self,
        planned: PlannedImage,
        request: ImageRequest,
        found: FoundImage,
        answer: Sequence[Any],
    ) -> StoredImage:
        """Name the cells by what the network said of them, and write the outputs of the image.

        Raises:
            InputError: an output cannot be written. What is wrong with the image is stored.
        """
        try:
            prediction = self.predictor.view_maker.read_names(found, answer)
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


@dataclass(frozen=True, eq=False)
class _Searched:
    """An image after the network looked for its cells, which are being made of its answer."""

    planned: PlannedImage
    image: PreparedImage | InputError
    found: Future[_Found]


def _one_behind(groups: Iterator[Group]) -> Iterator[Group]:
    """Give each group when the next one is there."""
    last = None
    for group in groups:
        if last is not None:
            yield last
        last = group
    if last is not None:
        yield last


def _shown_for_names(found: _Found) -> PreparedImage | InputError | None:
    return found if isinstance(found, InputError) else found.naming


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
