"""Tables of bench_crop_classifier.py."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from hpa_mmdet.localizations import LOCALIZATIONS


def ladder_table(results: Mapping[str, Any]) -> str:
    """One row for each rung; an "overfit" rung fits its training images far better than others."""
    lines = [
        "| rung | parameters | training time | loss, first to last epoch | image labels, training cells "
        "| image labels, test cells | **true labels, test cells** | spread |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in sorted(results):
        seeds = list(results[name].values())
        mean = {
            key: np.mean([seed[key] for seed in seeds])
            for key in ("map", "train_image_map", "test_image_map", "cpu_seconds")
        }
        losses = [seed["losses"] for seed in seeds if seed["losses"]]
        first, last = (np.mean([loss[at] for loss in losses]) for at in (0, -1))
        lines.append(
            f"| {name.removeprefix('ladder_')} | {seeds[0]['parameters']:,} "
            f"| {mean['cpu_seconds']:.0f} s | {first:.2f} to {last:.2f} "
            f"| {mean['train_image_map']:.3f} | {mean['test_image_map']:.3f} "
            f"| {mean['map']:.3f} | {np.ptp([seed['map'] for seed in seeds]):.3f} |"
        )
    return "\n".join(lines) + "\n"


def semi_real_table(results: Mapping[str, Any]) -> str:
    """All rows, then all classes."""
    lines = ["| crops tuned on | mAP | spread | seeds |", "|---|---|---|---|"]
    for name, seeds in results.items():
        values = [seed["map"] for seed in seeds.values()]
        lines.append(
            f"| {name} | {np.mean(values):.3f} | {np.ptp(values):.3f} | {', '.join(seeds)} |"
        )
    lines += ["", f"| class | {' | '.join(results)} |", "|---|" + "---|" * len(results)]
    for localization in LOCALIZATIONS:
        columns = []
        for seeds in results.values():
            values = [seed["ap"][localization.hpa_index] for seed in seeds.values()]
            known = [value for value in values if value is not None]
            columns.append(f"{np.mean(known):.2f}" if known else "-")
        lines.append(f"| {localization.name} | {' | '.join(columns)} |")
    return "\n".join(lines) + "\n"
