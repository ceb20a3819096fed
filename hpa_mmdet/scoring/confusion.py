"""What is called where, for cells of several labels each.

N: cells; K = 19 localizations.
"""

import numpy as np
from numpy.typing import NDArray


def cooccurrence(truth: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Give how often cells that show one class show another.

    Args:
        truth: (N, K).

    Returns:
        (K, K): row i, column j: the share of the cells of class i that are of class j; NaN
        rows where no cell shows i.
    """
    return _shares(truth.astype(np.int64), truth)


def confusion(truth: NDArray[np.bool_], called: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Give how often cells that show one class are wrongly called another.

    A cell of classes i and j that is called j is right, so it is left out of column j.

    Args:
        truth: (N, K).
        called: (N, K).

    Returns:
        (K, K): on the diagonal the share of the cells of class i that are called i; in row
        i, column j, of the cells that show i but not j, the share that are called j. NaN
        where there are no such cells.

    Examples:
        >>> truth = np.array([[True, False], [True, True]])
        >>> called = np.array([[True, True], [False, True]])
        >>> confusion(truth, called)
        array([[0.5, 1. ],
               [nan, 1. ]])
    """
    shown = truth.astype(np.int64)
    without = (~truth).astype(np.int64)
    wrong = shown.T @ (called & ~truth)
    possible = shown.T @ without
    shares = np.where(possible > 0, wrong / np.maximum(possible, 1), np.nan)
    np.fill_diagonal(shares, np.diagonal(_shares(shown, called)))
    return shares


def _shares(shown: NDArray[np.int64], also: NDArray[np.bool_]) -> NDArray[np.float64]:
    total = shown.sum(axis=0)[:, None]
    return np.where(total > 0, shown.T @ also / np.maximum(total, 1), np.nan)
