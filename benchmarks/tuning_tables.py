"""Tables of bench_tuning.py."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tuning_runs import FROZEN, ROWS, TUNED

from hpa_mmdet.localizations import NAMES

Results = Mapping[str, Mapping[str, Mapping[str, Mapping[str, Any]]]]


def write_tables(results: Results) -> str:
    """Two tables in Markdown: the curve, and its classes.

    Args:
        results: by row, number of images, seed: `ap` of each class, `kept_epoch` and `core_seconds`.
    """
    rows = [row.name for row in ROWS if results.get(row.name)]
    sizes = sorted({int(size) for row in rows for size in results[row]})
    lines = [
        f"| images | {' | '.join(rows)} | tuned against frozen | epochs kept | core min of tuning |",
        "|---|" + "---|" * (len(rows) + 3),
    ]
    for size in sizes:
        means = " | ".join(_cell(_means(results, row, size)) for row in rows)
        tuned = results.get(TUNED.name, {}).get(str(size), {})
        kept = ", ".join(str(one["kept_epoch"]) for one in tuned.values())
        minutes = sum(one["core_seconds"] for one in tuned.values()) / 60
        lines.append(f"| {size:,} | {means} | {_gain(results, size)} | {kept} | {minutes:.0f} |")
    return "\n".join([*lines, "", *_classes(results, sizes)]) + "\n"


def _ap(results: Results, row: str, size: int) -> dict[str, NDArray[np.float64]]:
    of_seed = results.get(row, {}).get(str(size), {})
    return {seed: np.array(one["ap"], float) for seed, one in of_seed.items()}


def _means(results: Results, row: str, size: int) -> list[float]:
    return [float(np.nanmean(ap)) for ap in _ap(results, row, size).values()]


def _cell(values: list[float]) -> str:
    return f"{np.mean(values):.3f}" if values else "-"


def _gain(results: Results, size: int) -> str:
    """What tuning adds in the mean, and in how many of the seeds that have both."""
    frozen, tuned = (_ap(results, row.name, size) for row in (FROZEN, TUNED))
    gains = [float(np.nanmean(tuned[s]) - np.nanmean(frozen[s])) for s in tuned if s in frozen]
    if not gains:
        return "-"
    return f"{np.mean(gains):+.3f} (better in {sum(gain > 0 for gain in gains)} of {len(gains)})"


def _classes(results: Results, sizes: list[int]) -> list[str]:
    pairs = [
        (row.name, size)
        for size in sizes
        for row in (FROZEN, TUNED)
        if _ap(results, row.name, size)
    ]
    lines = [
        f"| class | {' | '.join(f'{row}, {size:,}' for row, size in pairs)} |",
        "|---|" + "---|" * len(pairs),
    ]
    by_pair = [np.array(list(_ap(results, *pair).values())) for pair in pairs]
    for k, name in enumerate(NAMES):
        known = [ap[:, k][~np.isnan(ap[:, k])] for ap in by_pair]
        cells = " | ".join(f"{values.mean():.2f}" if len(values) else "-" for values in known)
        lines.append(f"| {name} | {cells} |")
    return lines
