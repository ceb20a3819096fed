"""What a network is shown of an image, and the interface of what makes and reads it.

A view is one input of the network. H, W: image height and width in pixels; C: channels.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray

from hpa_mmdet.errors import InputError
from hpa_mmdet.inference.settings import InputSettings
from hpa_mmdet.io.large_images import LargeImage
from hpa_mmdet.predictions.cells import ImagePrediction


@dataclass(frozen=True, eq=False)
class ImageRequest:
    """An image to predict.

    Args:
        image_id: its HPA id.
        image: (H, W, C) uint8 or uint16, channels in the model's order; a large one may be
            on disk still.
        label_image: (H, W) integer, the cells to name; None to have them found.
    """

    image_id: str
    image: NDArray[np.integer] | LargeImage
    label_image: NDArray[np.integer] | None = None

    @property
    def shape_hw(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return (self.image.shape[0], self.image.shape[1])

    def check(self, channels: Sequence[str]) -> None:
        """Refuse arrays that a model cannot take.

        Raises:
            InputError: the image is not (H, W, C), or its label image has another size.
        """
        shape = self.image.shape
        if len(shape) != 3 or shape[2] != len(channels) or 0 in shape:
            raise InputError(
                f"image {self.image_id}",
                f"an array of shape {shape}",
                f"(H, W, {len(channels)}): {', '.join(channels)}",
                "stack the channels along the last axis",
            )
        labels = self.label_image
        if labels is not None and labels.shape != shape[:2]:
            raise InputError(
                f"mask of image {self.image_id}",
                f"{labels.shape[-1]}x{labels.shape[0]} pixels",
                f"{shape[1]}x{shape[0]} as the image",
                "segment the image at the size at which you predict it",
            )


class View(NamedTuple):
    """One input of the network.

    Args:
        inputs: (C, h, w) uint8.
        sample: mmdet's DetDataSample, or what else the model's `test_step` takes; the
            network adds its answer.
    """

    inputs: torch.Tensor
    sample: Any

    def fits_with(self, other: "View") -> bool:
        """Whether both can be in one batch: of one size, cells given in both or in neither."""
        same_kind = ("given_instances" in self.sample) == ("given_instances" in other.sample)
        return self.inputs.shape == other.inputs.shape and same_kind


class PreparedImage(NamedTuple):
    """An image with its views: made already, or made as they are iterated over."""

    request: ImageRequest
    views: Iterable[View]


class FoundImage(NamedTuple):
    """An image whose cells are found.

    Args:
        prediction: its cells.
        naming: shown to the model so that it names them; None where they have their names.
    """

    prediction: ImagePrediction
    naming: PreparedImage | None = None


class ViewMaker(Protocol):
    """What a kind of model is shown of an image, and how its answers are read.

    It holds no network, so that other threads, processes and machines can do this part.
    `KINDS` of the predictor says which one a model has.
    """

    @property
    def settings(self) -> InputSettings:
        """The pictures that the model takes."""

    def with_settings(self, settings: InputSettings) -> Self:
        """Give one with other settings."""

    def prepare(self, request: ImageRequest) -> PreparedImage:
        """Check an image and make its views.

        Raises:
            InputError: the image does not fit the model.
        """

    def read(self, request: ImageRequest, answers: Sequence[Any]) -> FoundImage:
        """Make the image's cells of the network's answers.

        Args:
            request: as it was prepared.
            answers: the sample of each view, in their order.

        Raises:
            InputError: an answer cannot be used.
        """

    def read_names(self, found: FoundImage, answers: Sequence[Any]) -> ImagePrediction:
        """Give found cells the names of the network's answers to the views of `naming`.

        Those that have their names already keep them.

        Raises:
            InputError: an answer cannot be used.
        """

    def describe(self) -> dict[str, Any]:
        """Name all options that change the answers, for the manifest of a run."""
