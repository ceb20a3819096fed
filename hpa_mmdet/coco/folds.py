"""Parting images into folds that keep groups, such as antibodies, together."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.label_tables import read_column


class Grouping(NamedTuple):
    """What keeps images together: a column of a table, such as the antibody of each."""

    table: Path
    column: str

    @classmethod
    def of_option(
        cls, words: Sequence[str] | None, names: Iterable[str], folds: int
    ) -> "Grouping | None":
        """Take a config's [CSV, COLUMN], or None, and see that it serves.

        Args:
            words: the option.
            names: of the images that will be parted.
            folds: into how many parts.

        Raises:
            InputError: as `groups_of`, or there are fewer groups than folds.
        """
        if words is None:
            return None
        found = cls(Path(words[0]), words[1])
        count = len(set(found.groups_of(list(names))))
        if count < folds:
            raise InputError(
                found.table,
                problem=f"{count} groups in {found.column} cannot be parted in {folds} folds",
                remedy="name a column of more groups, or ask for fewer folds",
            )
        return found

    def groups_of(self, names: Sequence[str]) -> list[str]:
        """Give the group of each image; one whose field is empty is a group by itself.

        Raises:
            InputError: the table cannot be read, lacks the column, or has no row for an image.
        """
        of_image = read_column(self.table, self.column)
        if lacking := [name for name in dict.fromkeys(names) if name not in of_image]:
            raise InputError(
                self.table,
                f"no row for {', '.join(lacking[:5])}",
                f"a {self.column} for each image",
                "add the rows",
            )
        return [of_image[name] or f"image {name}" for name in names]


def part_in_folds(groups: Sequence[str], folds: int, seed: int) -> NDArray[np.intp]:
    """Give each image a fold, all images of one group the same.

    Args:
        groups: (B,) what must stay together, such as the antibody; else the image itself.
        folds: F, at least two.
        seed: of the order of the groups.

    Returns:
        (B,) 0..F-1; folds differ by as little as the groups allow.

    Raises:
        InputError: there are fewer groups than folds, or fewer than two folds.
    """
    names, sizes = np.unique(np.asarray(groups, dtype=np.str_), return_counts=True)
    if folds < 2 or len(names) < folds:
        raise InputError(
            "--folds", folds, f"2 to {len(names)}, the number of images or groups", "change it"
        )
    rng = np.random.default_rng(seed)
    filled = np.zeros(folds, dtype=np.intp)
    fold_of: dict[str, int] = {}
    shuffled = rng.permutation(len(names))
    for place in shuffled[np.argsort(-sizes[shuffled], kind="stable")]:
        fold = int(filled.argmin())
        fold_of[str(names[place])] = fold
        filled[fold] += sizes[place]
    return np.array([fold_of[str(name)] for name in groups], dtype=np.intp)
