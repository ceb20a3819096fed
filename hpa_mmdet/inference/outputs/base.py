"""The interface of outputs: a part for each image, and a part at the end of a run."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.errors import InputError
from hpa_mmdet.inference.stored_images import StoredImage
from hpa_mmdet.io.large_images import LargeImage, open_channels
from hpa_mmdet.io.outputs import OutputFiles
from hpa_mmdet.predictions.call_rules import CallRules
from hpa_mmdet.predictions.cells import ImagePrediction
from hpa_mmdet.predictions.submission_rows import DEFAULT_MIN_CONFIDENCE

Pixels = NDArray[np.integer] | LargeImage
Images = Callable[[], Iterator[StoredImage]]


@dataclass(frozen=True)
class RunContext:
    """What outputs know of their run.

    Args:
        files: that the run may write, in its folder `out`.
        out: folder of all results.
        images: folder of the channel files.
        channels: the model's.
        rules: which cells and classes are called.
        min_confidence: triples of the submission below it are left out.
    """

    files: OutputFiles
    out: Path
    images: Path
    channels: Sequence[str]
    rules: CallRules
    min_confidence: float = DEFAULT_MIN_CONFIDENCE

    def writing(self, name: str) -> AbstractContextManager[Path]:
        """Give a temporary path; the file gets its name when the block ends well.

        Args:
            name: of the file, in the run's folder.

        Raises:
            InputError: it cannot be written, or there is a file that is not this tool's.
        """
        return self.files.writing(self.out / name)

    def read_pixels(self, stored: StoredImage) -> Pixels:
        """Read the channels of an image again.

        Raises:
            InputError: its files are gone or changed.
        """
        return open_channels(stored.image_files(self.images), self.channels)


class Output:
    """One of the outputs of a run; see the module.

    Args:
        run: what it belongs to.
    """

    names: ClassVar[tuple[str, ...]] = ()
    """Files that `finish` writes, in the run's folder."""

    def __init__(self, run: RunContext) -> None:
        self.run = run

    @classmethod
    def check(cls) -> None:
        """Refuse to begin where something is missing.

        Raises:
            InputError: a package is not installed.
        """

    def claim(self, image_ids: Sequence[str]) -> None:
        """Refuse before the work what could not be written after it.

        Raises:
            InputError: there is a file in the way that this tool may not replace.
        """
        for name in self.names:
            self.run.files.claim(self.run.out / name)

    def add(self, prediction: ImagePrediction, pixels: Pixels) -> None:
        """Write what belongs to one image, when it has just been predicted; any thread."""

    def finish(self, images: Images) -> list[str]:
        """Write what is made of all images.

        Args:
            images: gives the images of the run in the order of their ids, each time anew.

        Returns:
            What a user should know.
        """
        return []


class ImageOutput(Output):
    """An output with one file for each image, in a folder of its own."""

    folder: ClassVar[str]
    suffix: ClassVar[str]
    needs_pixels: ClassVar[bool]

    def name_of(self, image_id: str) -> str:
        """Name the file of an image."""
        return f"{self.folder}/{image_id}{self.suffix}"

    def claim(self, image_ids: Sequence[str]) -> None:
        """Refuse before the work what could not be written after it."""
        files = self.run.files
        files.claim_folder(self.run.out / self.folder)
        for image_id in image_ids:
            if (problem := files.refusal(self.run.out / self.name_of(image_id))) is not None:
                raise problem

    def write(self, prediction: ImagePrediction, pixels: Pixels | None) -> None:
        """Write the file of an image, with its pixels where they are needed."""
        raise NotImplementedError

    def add(self, prediction: ImagePrediction, pixels: Pixels) -> None:
        """Write the file of an image."""
        self.write(prediction, pixels)

    def finish(self, images: Images) -> list[str]:
        """Write the files that are missing or drawn by other rules."""
        left_out = again = 0
        for stored in images():
            path = self.run.out / self.name_of(stored.prediction.image_id)
            if stored.error or self.run.files.is_current(path):
                continue
            pixels = None
            if self.needs_pixels:
                try:
                    pixels = self.run.read_pixels(stored)
                except InputError:  # it was there when it was predicted
                    left_out += 1
                    continue
            again += path.is_file()
            self.write(stored.prediction, pixels)
        notes = [f"{again} {self.folder} of other thresholds are drawn anew"] if again else []
        if left_out:
            notes.append(f"{left_out} images cannot be read any more: no {self.folder} of them")
        return notes
