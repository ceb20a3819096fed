"""Tables and the plot of bench_reviewed_cells.py."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from reviewed_cell_fits import ALONE, WEAK
from weak_label_rows import BASE, BOUND

from hpa_mmdet.io.atomic import atomic_path
from hpa_mmdet.localizations import NAMES

_WAYS = ("random", "class", "unsure", "different", ALONE)
Results = Mapping[str, Mapping[str, Mapping[str, Any]]]


def write_tables(results: Results) -> str:
    """Three tables in Markdown: scores by number of cells; errors; rare classes."""
    numbers = sorted({int(key.split("/")[1]) for key in results if _is_curve(key)} - {0})
    ways = [way for way in _WAYS if any(key.startswith(f"{way}/") for key in results)]
    lines = [f"| cells | {' | '.join(ways)} |", "|---|" + "---|" * len(ways)]
    for name in (BASE, WEAK, BOUND):
        if f"{name}/0" in results:
            lines.append(f"| *{name}* | {_cell(results, f'{name}/0')} |" + " |" * (len(ways) - 1))
    for number in numbers:
        cells = " | ".join(_cell(results, f"{way}/{number}") for way in ways)
        lines.append(f"| {number:,} | {cells} |")
    return "\n".join([*lines, "", *_errors(results), "", *_rare(results)]) + "\n"


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
    axes.set(xlabel="reviewed cells", ylabel="mAP over unseen antibodies' cells")
    axes.legend(fontsize=8)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="svg", metadata={"Date": None})


def _is_curve(key: str) -> bool:
    return key.split("/")[0] in _WAYS and len(key.split("/")) == 2


def _scores(results: Results, key: str) -> dict[str, float]:
    found = results.get(key, {})
    return {
        seed: float(np.nanmean(np.array(row["ap"], dtype=float))) for seed, row in found.items()
    }


def _mean(results: Results, key: str) -> float:
    return float(np.mean(list(_scores(results, key).values())))


def _cell(results: Results, key: str) -> str:
    """The mean, its share of the gap on the same seeds, and the seeds where not all were run."""
    scores = _scores(results, key)
    if not scores:
        return ""
    low, high = (_scores(results, f"{name}/0") for name in (BASE, BOUND))
    seeds = [seed for seed in scores if seed in low and seed in high]
    share = ""
    if seeds:
        gap = sum(high[seed] - low[seed] for seed in seeds)
        share = f", {sum(scores[seed] - low[seed] for seed in seeds) / gap:.0%}"
    alone = "" if len(scores) > 1 else f" (seed {next(iter(scores))})"
    return f"{np.mean(list(scores.values())):.3f}{share}{alone}"


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
