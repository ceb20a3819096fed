"""Which cells a person should look at: a short list out of many predicted cells.

N: candidate cells; K = 19 localizations; D: length of a feature vector.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.errors import InputError
from hpa_mmdet.localizations import NEGATIVE, NUM_LOCALIZATIONS

Indices = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Candidates:
    """Cells that may be chosen.

    Args:
        image_ids: (N,) the image of each.
        cell_ids: (N,) their values in the label images.
        scores: (N, K) float, p(k | cell), 0 to 1.
        image_labels: (N, K) bool, the weak labels of each cell's image; all True where they
            are not known.
        groups: (N,) what is kept apart, such as antibodies; the image ids where nothing is
            known.
        features: (N, D) float; None where there are none.
    """

    image_ids: Sequence[str]
    cell_ids: Sequence[int]
    scores: NDArray[np.floating]
    image_labels: NDArray[np.bool_]
    groups: Sequence[str]
    features: NDArray[np.floating] | None = None


class Choice(NamedTuple):
    """One chosen cell and the reason."""

    row: int
    reason: str


def choose_cells(candidates: Candidates, number: int, by: str, seed: int = 0) -> list[Choice]:
    """Choose cells, spread over images and groups; the same for the same seed.

    From one image, and then from one group, no second cell is taken before the others of the
    same rank had their turn: an order is cut into rounds, in each of which every image gives
    at most one cell.

    Args:
        candidates: what to choose from.
        number: how many; fewer are given where there are fewer candidates.
        by: one of `WAYS_OF_CHOOSING`.
        seed: of the random parts.

    Raises:
        InputError: another way, or one that needs features that are not given.
    """
    if by not in WAYS_OF_CHOOSING:
        raise InputError("--by", by, f"one of {', '.join(WAYS_OF_CHOOSING)}", "choose one of them")
    if not len(candidates.image_ids):
        return []
    order = WAYS_OF_CHOOSING[by](candidates, np.random.default_rng(seed))
    chosen: list[Choice] = []
    for choice in order:
        if len(chosen) == number:
            break
        chosen.append(choice)
    return chosen


def uncertainty(candidates: Candidates) -> NDArray[np.float64]:
    """Sum the binary entropies of the labels that a cell may have, in bits: (N,).

    A label that the image lacks is as good as known, so it counts nothing.

    Source:
        Uncertainty sampling by entropy: Settles, Active Learning Literature Survey, 2009, 3.1.
    """
    entropy = _entropy(candidates.scores)
    return np.asarray((entropy * _open_labels(candidates)).sum(axis=1))


def _random(candidates: Candidates, rng: np.random.Generator) -> Iterator[Choice]:
    order = rng.permutation(len(candidates.image_ids))
    return (Choice(int(row), "random") for row in order)


def _least_sure(candidates: Candidates, rng: np.random.Generator) -> Iterator[Choice]:
    unsure = uncertainty(candidates)
    tie_break = rng.permutation(len(unsure))
    order = np.lexsort((tie_break, -unsure))
    for row in _in_rounds(order, candidates):
        yield Choice(int(row), f"{unsure[row]:.2f} bits unsure")


def _different(candidates: Candidates, rng: np.random.Generator) -> Iterator[Choice]:
    """Take again and again the cell that is farthest from all that were taken.

    Source:
        k-centre greedy: Sener and Savarese, ICLR 2018, arXiv 1708.00489, algorithm 1.
    """
    if candidates.features is None:
        raise InputError(
            "--by different",
            problem="needs features of the cells",
            remedy="predict with --write embeddings and give the folder again",
        )
    features = np.asarray(candidates.features, np.float32)
    features = (features - features.mean(0)) / np.maximum(features.std(0), 1e-6)
    features /= np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-6)
    row = int(rng.integers(len(features)))
    distance = np.full(len(features), np.inf, np.float32)
    for _ in range(len(features)):
        shown = "the first" if np.isinf(distance[row]) else f"cosine distance {distance[row]:.2f}"
        yield Choice(row, shown)
        distance = np.minimum(distance, 1 - features @ features[row])
        distance[row] = -1
        row = int(distance.argmax())


def _class_in_need(candidates: Candidates, rng: np.random.Generator) -> Iterator[Choice]:
    """Give every class its turns, the one with the fewest expected cells first.

    In its turn a class takes a cell of an image that is labelled with it: by turns the most
    likely one and the least sure one, so that both its looks and its limits are learnt.
    """
    shown = candidates.scores * candidates.image_labels
    classes = [k for k in range(NUM_LOCALIZATIONS) if k != NEGATIVE and shown[:, k].any()]
    classes.sort(key=lambda k: float(shown[:, k].sum()))
    tie_break = rng.permutation(len(shown))
    entropy = _entropy(candidates.scores)
    queues = {}
    for k in classes:
        rows = np.flatnonzero(candidates.image_labels[:, k])
        likely = rows[np.lexsort((tie_break[rows], -shown[rows, k]))]
        unsure = rows[np.lexsort((tie_break[rows], -entropy[rows, k]))]
        queues[k] = (_in_rounds(likely, candidates), _in_rounds(unsure, candidates))
    taken: set[int] = set()
    for turn in range(2 * len(shown)):
        for k in classes:
            row = next((row for row in queues[k][turn % 2] if row not in taken), None)
            if row is None:
                continue
            taken.add(int(row))
            kind = ("likely", "unsure")[turn % 2]
            yield Choice(int(row), f"{kind} {k}, p {candidates.scores[row, k]:.2f}")


def _in_rounds(order: Indices, candidates: Candidates) -> Iterator[int]:
    """Give rows in their order, but each image and then each group once in a round."""
    images, groups = np.asarray(candidates.image_ids), np.asarray(candidates.groups)
    by_image = _rank_within(images[order])
    by_group = _rank_within(groups[order])
    place = np.lexsort((np.arange(len(order)), by_group, by_image))
    return (int(order[at]) for at in place)


def _rank_within(names: NDArray[np.str_]) -> Indices:
    """Count for each name how often it stood before: (n,)."""
    _, code = np.unique(names, return_inverse=True)
    by_name = np.argsort(code, kind="stable")
    sorted_code = code[by_name]
    starts = np.flatnonzero(np.concatenate(([True], sorted_code[1:] != sorted_code[:-1])))
    rank = np.arange(len(names)) - np.repeat(starts, np.diff(np.append(starts, len(names))))
    result = np.empty(len(names), np.intp)
    result[by_name] = rank
    return result


def _entropy(scores: NDArray[np.floating]) -> NDArray[np.float64]:
    prob = np.clip(np.asarray(scores, np.float64), 1e-9, 1 - 1e-9)
    return np.asarray(-prob * np.log2(prob) - (1 - prob) * np.log2(1 - prob))


def _open_labels(candidates: Candidates) -> NDArray[np.bool_]:
    """Labels whose presence in a cell is not settled by its image's labels: (N, K)."""
    labels = candidates.image_labels.copy()
    labels[:, NEGATIVE] = False  # it follows from the others
    return labels


WAYS_OF_CHOOSING: dict[str, Callable[[Candidates, np.random.Generator], Iterator[Choice]]] = {
    "class": _class_in_need,
    "unsure": _least_sure,
    "different": _different,
    "random": _random,
}
"""Ways of choosing, by the name that --by takes."""
