"""Folds with the same share of every label, in which groups stay together.

N: items; G: groups; K: columns to balance; F: folds.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.errors import InputError
from hpa_mmdet.localizations import NUM_LOCALIZATIONS

MOST_PASSES = 10
LEAST_SET_SIZE = 10  # rarer label sets cannot be balanced as sets, only by their labels


def assign_folds(
    label_sets: Sequence[Sequence[int]],
    groups: Sequence[str],
    shares: Sequence[float],
    seed: int = 0,
) -> NDArray[np.intp]:
    """Assign items to folds so that labels and frequent label sets are shared out evenly.

    Args:
        label_sets: hpa_index values of N items.
        groups: group of each item, such as its antibody or plate; items of one group end
            in one fold.
        shares: F shares that sum to 1.
        seed: decides between folds that want a group equally.

    Returns:
        (N,) fold of each item, 0 to F - 1.

    Raises:
        InputError: shares are not positive or do not sum to 1, or there are fewer groups
            than folds.

    Source:
        Sechidis et al., ECML PKDD 2011, algorithm 1 (iterative stratification), here over
        groups and with label sets beside labels; then groups move as long as that makes
        the shares more even.
    """
    if not np.isclose(sum(shares), 1.0) or min(shares) <= 0:
        raise InputError("shares", list(shares), "positive numbers that sum to 1", "correct them")
    names, group_of = np.unique(np.array(groups, dtype=object).astype(str), return_inverse=True)
    if len(names) < len(shares):
        raise InputError(
            "groups", f"{len(names)} groups", f"at least {len(shares)}", "ask for fewer folds"
        )
    columns = _columns(label_sets)
    counts = np.zeros((len(names), columns.shape[1]))
    np.add.at(counts, group_of, columns)
    rng = np.random.default_rng(seed)
    fold_of = _share_out(counts, np.array(shares), rng)
    return _improve(fold_of, counts, np.array(shares), rng)[group_of]


def _columns(label_sets: Sequence[Sequence[int]]) -> NDArray[np.float64]:
    """Give (N, K): labels, frequent label sets, and a 1 for the item itself."""
    keys = [tuple(sorted(set(labels))) for labels in label_sets]
    frequent = [key for key, count in Counter(keys).items() if count >= LEAST_SET_SIZE]
    place = {key: NUM_LOCALIZATIONS + at for at, key in enumerate(sorted(frequent))}
    columns = np.zeros((len(keys), NUM_LOCALIZATIONS + len(place) + 1))
    for row, key in enumerate(keys):
        columns[row, list(key)] = 1
        if key in place:
            columns[row, place[key]] = 1
    columns[:, -1] = 1
    return columns


def _share_out(
    counts: NDArray[np.float64], shares: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.intp]:
    """Give each of G groups the fold that still lacks most of its rarest column."""
    wanted = shares[:, None] * counts.sum(axis=0)
    fold_of = np.full(len(counts), -1)
    left = counts.sum(axis=0)
    waiting = np.ones(len(counts), bool)
    while waiting.any():
        # the item column is the most frequent, so it comes last and takes what has no label
        rarest = int(np.where(left > 0, left, np.inf).argmin())
        members = np.flatnonzero(waiting & (counts[:, rarest] > 0))
        rng.shuffle(members)
        # large groups first: small ones can still mend what those spoil
        for group in members[np.argsort(-counts[members, rarest], kind="stable")]:
            lack = np.stack([wanted[:, rarest], wanted[:, -1]], axis=1)
            best = np.flatnonzero((lack == lack[np.lexsort(lack.T[::-1])[-1]]).all(axis=1))
            fold = int(rng.choice(best))
            fold_of[group] = fold
            wanted[fold] -= counts[group]
            left -= counts[group]
        waiting[members] = False
        left[rarest] = 0
    return fold_of


def _improve(
    fold_of: NDArray[np.intp],
    counts: NDArray[np.float64],
    shares: NDArray[np.float64],
    rng: np.random.Generator,
) -> NDArray[np.intp]:
    """Move single groups while the squared deviations from the wanted counts get smaller.

    Each column counts by its own total, so rare labels weigh as much as frequent ones, and
    the number of items three times as much as one label.
    """
    totals = counts.sum(axis=0)
    weights = 1.0 / np.maximum(totals, 1.0)
    weights[-1] *= 3
    excess = -shares[:, None] * totals
    np.add.at(excess, fold_of, counts)
    fold_of = fold_of.copy()
    for _ in range(MOST_PASSES):
        moved = 0
        for group in rng.permutation(len(counts)):
            own, here = counts[group], fold_of[group]
            # (excess + own)^2 - excess^2 for every fold that would take the group
            gained = (weights * own * (2 * excess + own)).sum(axis=1)
            gained[here] = (weights * own * (2 * excess[here] - own)).sum()
            best = int(gained.argmin())
            if gained[best] < gained[here] - 1e-9:
                excess[here] -= own
                excess[best] += own
                fold_of[group] = best
                moved += 1
        if not moved:
            break
    return fold_of
