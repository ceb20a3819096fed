"""Which labels an image has, and which of its cells show them.

K = 19 classes. The figures come from two real tables: the image labels of the HPA
single-cell contest's 21,806 training images, and 328 HPA images whose 5,090 cells were
judged one by one by eye (Zhu et al., Briefings in Bioinformatics 2022).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.errors import InputError
from hpa_mmdet.localizations import NEGATIVE, NUM_LOCALIZATIONS

# Share of the contest's training images that carry each label.
LABEL_FREQUENCY: tuple[float, ...] = (
    0.4034, 0.0502, 0.1124, 0.0579, 0.0653, 0.0822, 0.0355, 0.0847, 0.0442, 0.0464,
    0.0375, 0.0036, 0.0795, 0.1475, 0.0923, 0.0116, 0.2607, 0.0285, 0.0016,
)  # fmt: skip

# Of the cells of an image with label k, the mean share that shows k (Zhu et al.'s cells).
SHARE_SHOWN: tuple[float, ...] = (
    0.78, 0.74, 0.64, 0.45, 0.87, 0.39, 0.70, 0.50, 0.79, 0.75,
    0.59, 0.07, 0.24, 0.70, 0.85, 0.68, 0.82, 0.55, 1.00,
)  # fmt: skip

# Share of (image, label) pairs of which no cell shows the label (as above: 1 to 17 %).
SHARE_UNSHOWN: dict[int, float] = {6: 0.17, 11: 0.13, 12: 0.12}
_UNSHOWN_ELSE = 0.02

LABELS_AN_IMAGE: tuple[float, ...] = (0.31, 0.49, 0.20)  # 1, 2 or 3 labels; mean 1.9
STRAY_SHARE = 0.029  # cells that carry a label their image lacks
SPREAD = 1.6  # of a share from image to image: a + b of its beta distribution
_NUCLEAR = frozenset({0, 1, 2, 3, 4, 5})
_SPINDLE = 11

LocalizationSet = frozenset[int]


@dataclass(frozen=True)
class LabelModel:
    """How labels are drawn.

    Args:
        share: share of an image's cells that show each of its labels, the same for every
            class; then no cell is stray and every label is shown by some cell. None: the
            real shares, which differ by class and from image to image.
        evenness: 0 draws image labels as often as the contest has them, 1 all alike. The
            default, between, gives the rarest classes some images in a small data set.
        always: a label set that every image gets; None draws one for each.

    Raises:
        InputError: a share is not in 0 to 1.
    """

    share: float | None = None
    evenness: float = 0.5
    always: LocalizationSet | None = None

    def __post_init__(self) -> None:
        for name, value in (("--share", self.share), ("--evenness", self.evenness)):
            if value is not None and not 0 <= value <= 1:
                raise InputError(name, value, "0 to 1", "give a share, such as 0.7")

    def draw_image_labels(self, rng: np.random.Generator) -> LocalizationSet:
        """Draw the label set of one image: one to three labels, or Negative alone."""
        if self.always is not None:
            return self.always
        weight = np.array(LABEL_FREQUENCY) ** (1 - self.evenness)
        number = 1 + int(rng.choice(len(LABELS_AN_IMAGE), p=LABELS_AN_IMAGE))
        first = int(rng.choice(NUM_LOCALIZATIONS, p=weight / weight.sum()))
        if number == 1 and SHARE_SHOWN[first] < 0.5 and rng.random() < 0.6:
            number = 2  # what few cells show seldom stands alone: the rest would be Negative
        if first == NEGATIVE:
            return frozenset({NEGATIVE})
        weight[[first, NEGATIVE]] = 0
        others = rng.choice(NUM_LOCALIZATIONS, number - 1, replace=False, p=weight / weight.sum())
        return frozenset({first, *map(int, others)})

    def draw_cell_labels(
        self, rng: np.random.Generator, image_labels: LocalizationSet, number: int
    ) -> list[LocalizationSet]:
        """Draw what each of an image's cells shows.

        Args:
            rng: decides.
            image_labels: the image's labels.
            number: N, how many cells the image has.

        Returns:
            N sets; a cell that shows nothing has {18} (Negative).
        """
        shown: list[set[int]] = [set() for _ in range(number)]
        # a cell that lacks one label is likelier to show another: Negative cells stay rare
        keen = rng.random(number)
        for place, label in enumerate(sorted(image_labels - {NEGATIVE})):
            if self.share is not None or place == 2:
                keen = rng.random(number)
            for cell in np.flatnonzero(self._who_shows(rng, label, keen)):
                shown[cell].add(label)
            keen = 1 - keen
        if self.share is None:
            for cell in np.flatnonzero(rng.random(number) < STRAY_SHARE):
                _add_stray(rng, shown[cell], image_labels)
        return [frozenset(_possible(labels) or {NEGATIVE}) for labels in shown]

    def _who_shows(
        self, rng: np.random.Generator, label: int, keen: NDArray[np.float64]
    ) -> NDArray[np.bool_]:
        """Which cells show a label; `keen` (N,) is even in [0, 1), low ones show it first."""
        share = self.share
        if share is None:
            unshown = SHARE_UNSHOWN.get(label, _UNSHOWN_ELSE)
            if rng.random() < unshown:
                return np.zeros(len(keen), bool)
            mean = min(SHARE_SHOWN[label] / (1 - unshown), 0.98)
            share = float(rng.beta(SPREAD * mean, SPREAD * (1 - mean)))
        shows = keen < share
        if len(keen) and not shows.any():
            shows[keen.argmin()] = True
        return shows


def _add_stray(rng: np.random.Generator, shown: set[int], image_labels: LocalizationSet) -> None:
    weight = np.array(LABEL_FREQUENCY)
    weight[[*image_labels, _SPINDLE, NEGATIVE]] = 0
    shown.add(int(rng.choice(NUM_LOCALIZATIONS, p=weight / weight.sum())))


def _possible(shown: set[int]) -> set[int]:
    """A dividing cell has no nucleus to show a nuclear label in."""
    return shown - _NUCLEAR if _SPINDLE in shown else shown
