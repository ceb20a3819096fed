"""SubCell's released classifiers in the place of our heads: names without any training.

N: cells of an image; D: length of an embedding; K = 19.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from mmdet.registry import MODELS
from mmengine.model import BaseModule
from torch import Tensor

from hpa_mmdet.download.subcell import CLASSES, class_places
from hpa_mmdet.errors import InputError
from hpa_mmdet.models.subcell import SubCellClassifiers, load_classifiers

_HIDDEN = (512, 256)  # of the released files


@MODELS.register_module()
class SubCellBranch(BaseModule):
    """Names cells by SubCell's classifiers, their 31 classes taken to our 19.

    A localization that holds several classes gets the highest of their probabilities. It
    learns nothing: use it with `SubCellEmbedder`, to see what the network knows by itself.

    Args:
        feature_dim: D.
        weights: released files, one for each seed; their probabilities are averaged.
        hidden: widths of their hidden layers.
    """

    needs_no_training = True

    def __init__(
        self, feature_dim: int, weights: Sequence[str] = (), hidden: Sequence[int] = _HIDDEN
    ) -> None:
        super().__init__()
        self.weights = tuple(weights)
        self.feature_dim = feature_dim
        widths = (feature_dim, *hidden, len(CLASSES))
        self.classifiers = SubCellClassifiers([widths] * max(1, len(self.weights)))
        self.places = class_places()

    def init_weights(self) -> None:
        """Load the classifiers.

        Raises:
            InputError: a file is missing, or is of other sizes.
        """
        if not self.weights:
            return
        loaded = load_classifiers([Path(path) for path in self.weights])
        try:
            self.classifiers.load_state_dict(loaded.state_dict())
        except RuntimeError as error:
            raise InputError(
                self.weights[0],
                f"another classifier ({str(error).splitlines()[1].strip()[:120]})",
                f"one of {self.feature_dim} inputs and {len(CLASSES)} classes",
                "name the files that belong to the encoder",
            ) from error

    def predict(self, cells: Tensor, image: Tensor) -> tuple[Tensor, Tensor]:
        """Name the cells of one image.

        Args:
            cells: (N, D).
            image: (D,), the mean of its cells.

        Returns:
            (N, K) and (K,) probabilities.
        """
        return self._named(cells), self._named(image[None])[0]

    def _named(self, embeddings: Tensor) -> Tensor:
        probabilities = self.classifiers(embeddings)
        return torch.stack([probabilities[:, held].amax(1) for held in self.places], dim=1)
