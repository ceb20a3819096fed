"""Tables of bench_weak_labels.py."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from weak_label_rows import BASE, BEST, BOUND, HEADS, ROWS

from hpa_mmdet.localizations import LOCALIZATIONS


def write_tables(results: Mapping[str, Any], untrained: str) -> str:
    """Three tables in Markdown: all rows; heads; the classes of the rows that matter.

    Args:
        results: by row, then by seed, the average precision of each class.
        untrained: name of the row of scores that need no training.
    """
    ap = {
        row.name: np.array([result["ap"] for result in results[row.name].values()], dtype=float)
        for row in ROWS
        if row.name in results
    }
    mean = {name: np.nanmean(values, axis=1) for name, values in ap.items()}
    lines = ["| trained on | mAP | spread | share of the gap |", "|---|---|---|---|"]
    seeds = list(results.get(untrained, {}).values())
    for name in seeds[0] if seeds else ():
        values = [figures[name] for figures in seeds]
        lines.append(f"| *{name}* | {np.mean(values):.3f} | {np.ptp(values):.3f} | - |")
    alone = tuple(HEADS)
    for name, value in mean.items():
        if not name.endswith(alone):
            share = _share(mean, name, BASE, BOUND)
            lines.append(f"| {name} | {value.mean():.3f} | {np.ptp(value):.3f} | {share} |")
    lines += ["", *_heads(mean), "", *_classes(ap)]
    return "\n".join(lines) + "\n"


def _share(mean: Mapping[str, NDArray[np.float64]], name: str, base: str, bound: str) -> str:
    if base not in mean or bound not in mean:
        return "-"
    low, high = mean[base].mean(), mean[bound].mean()
    return f"{(mean[name].mean() - low) / (high - low):.0%}"


def _heads(mean: Mapping[str, NDArray[np.float64]]) -> list[str]:
    """The same three ways with other heads, each with its own gap."""
    lines = [f"| heads | {BASE} | {BEST} | {BOUND} | share of the gap |", "|---|---|---|---|---|"]
    for head in ("both", *HEADS):
        tail = "" if head == "both" else f", {head}"
        names = [f"{way}{tail}" for way in (BASE, BEST, BOUND)]
        if all(name in mean for name in names):
            values = " | ".join(f"{mean[name].mean():.3f}" for name in names)
            lines.append(f"| {head} | {values} | {_share(mean, names[1], names[0], names[2])} |")
    return lines


def _classes(ap: Mapping[str, NDArray[np.float64]]) -> list[str]:
    wanted = (BASE, BEST, *(f"{BEST}, {head}" for head in HEADS), BOUND)
    shown = [name for name in wanted if name in ap]
    lines = [f"| class | {' | '.join(shown)} |", "|---|" + "---|" * len(shown)]
    for localization in LOCALIZATIONS:
        columns = [ap[name][:, localization.hpa_index] for name in shown]
        known = [column[~np.isnan(column)] for column in columns]
        cells = " | ".join(f"{column.mean():.2f}" if len(column) else "-" for column in known)
        lines.append(f"| {localization.name} | {cells} |")
    return lines
