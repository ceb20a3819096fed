"""Tables and the plot of bench_reviewed_cells.py."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from reviewed_cell_fits import ALONE, WEAK
from weak_label_rows import BASE, BOUND

from hpa_mmdet.io.atomic import atomic_path
from hpa_mmdet.localizations import NAMES

_WAYS = ("random", "class", "unsure", "different", ALONE)
LEFT_OUT = (11,)  # Mitotic spindle has 1, 1 and 4 test cells, so that one cell decides
Results = Mapping[str, Mapping[str, Mapping[str, Any]]]


def write_tables(results: Results) -> str:
    """Tables in Markdown: scores by number of cells, twice; errors; rare classes."""
    tables = [_by_number(results), _by_number(results, ()), _errors(results), _rare(results)]
    return "\n".join("\n".join([*table, ""]) for table in tables if table)


def _by_number(results: Results, left_out: Sequence[int] = LEFT_OUT) -> list[str]:
    numbers = sorted({int(key.split("/")[1]) for key in results if _is_curve(key)} - {0})
    ways = [way for way in _WAYS if any(key.startswith(f"{way}/") for key in results)]
    title = "cells, without Mitotic spindle" if left_out else "cells, all classes"
    lines = [f"| {title} | {' | '.join(ways)} |", "|---|" + "---|" * len(ways)]
    for name in (BASE, WEAK, BOUND):
        if f"{name}/0" in results:
            cell = _cell(results, f"{name}/0", left_out)
            lines.append(f"| *{name}* | {cell} |" + " |" * (len(ways) - 1))
    for number in numbers:
        cells = " | ".join(_cell(results, f"{way}/{number}", left_out) for way in ways)
        lines.append(f"| {number:,} | {cells} |")
    return lines


def plot_curves(results: Results, path: Path) -> None:
    """Draw the score against the number of reviewed cells, the mean over the seeds that all have."""
    figure = Figure(figsize=(6.2, 3.6), layout="constrained")
    axes = figure.add_subplot()
    for way in _WAYS:
        found = {
            int(key.split("/")[1]): _mean(results, key)
            for key in results
            if _is_curve(key) and key.startswith(f"{way}/")
        }
        if way != ALONE and f"{WEAK}/0" in results:
            found[0] = _mean(results, f"{WEAK}/0")
        if found:
            numbers = sorted(found)
            axes.plot(numbers, [found[n] for n in numbers], marker="o", markersize=3, label=way)
    for name, style in ((BASE, ":"), (BOUND, "--")):
        if f"{name}/0" in results:
            axes.axhline(_mean(results, f"{name}/0"), color="0.4", ls=style, lw=1, label=name)
    axes.set_xscale("symlog", linthresh=25)
    ticks = (0, 25, 50, 100, 200, 500, 1000)
    axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
    axes.set(xlabel="reviewed cells", ylabel="mAP, unseen antibodies' cells")
    axes.legend(fontsize=8)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="svg", metadata={"Date": None})


def _is_curve(key: str) -> bool:
    return key.split("/")[0] in _WAYS and len(key.split("/")) == 2


def _scores(results: Results, key: str, left_out: Sequence[int] = LEFT_OUT) -> dict[str, float]:
    found = {seed: np.array(row["ap"], float) for seed, row in results.get(key, {}).items()}
    return {seed: float(np.nanmean(np.delete(ap, left_out))) for seed, ap in found.items()}


def _mean(results: Results, key: str) -> float:
    return float(np.mean(list(_scores(results, key).values())))


def _cell(results: Results, key: str, left_out: Sequence[int] = LEFT_OUT) -> str:
    """The mean over the seeds that were run, and its share of the gap on the same seeds."""
    scores = _scores(results, key, left_out)
    if not scores:
        return ""
    low, high = (_scores(results, f"{name}/0", left_out) for name in (BASE, BOUND))
    seeds = [seed for seed in scores if seed in low and seed in high]
    share = ""
    if seeds:
        gap = sum(high[seed] - low[seed] for seed in seeds)
        share = f", {sum(scores[seed] - low[seed] for seed in seeds) / gap:.0%}"
    return f"{np.mean(list(scores.values())):.3f}{share}"


def _errors(results: Results) -> list[str]:
    keys = [key for key in results if len(key.split("/")) == 3]
    lines = ["| cells | no errors | errors | with them |", "|---|---|---|---|"]
    for key in keys:
        way, number, share = key.split("/")
        clean = _cell(results, f"{way}/{number}")
        lines.append(f"| {number} | {clean} | {float(share):.0%} | {_cell(results, key)} |")
    return lines if keys else []


def _rare(results: Results) -> list[str]:
    keys = [key for key in results if key.startswith("class ") and key.endswith("/20")]
    lines = ["| class | image labels | 20 cells of it | all cells |", "|---|---|---|---|"]
    for key in keys:
        k = int(key.split("/")[0].split()[1])
        cells = [_of_class(results, name, k) for name in (f"{WEAK}/0", key, f"{BOUND}/0")]
        lines.append(f"| {NAMES[k]} | {' | '.join(cells)} |")
    return lines if keys else []


def _of_class(results: Results, key: str, k: int) -> str:
    values = [row["ap"][k] for row in results.get(key, {}).values() if row["ap"][k] is not None]
    return f"{np.mean(values):.2f}" if values else "-"
