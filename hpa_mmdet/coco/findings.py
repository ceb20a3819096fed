"""What a check of a dataset found: counted by kind, with a few examples of each."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

EXAMPLES = 5

# kind: (is it an error, what it means and what to do)
FINDING_KINDS: Mapping[str, tuple[bool, str]] = {
    "key": (True, "a key is missing or of another type; convert again"),
    "category": (True, "categories are not the 19 localizations as 1 to 19; convert again"),
    "duplicate id": (True, "two entries have one id; merge with tools/merge_coco.py"),
    "duplicate image": (True, "one image stands twice; leave one out"),
    "orphan annotation": (True, "its image_id is no image's; convert again"),
    "unknown category": (True, "its category is not listed; mmdet drops it silently"),
    "category set": (True, "category_ids is empty, unsorted or lacks category_id; convert again"),
    "image labels": (True, "labels of an image are no rising hpa_index values; convert again"),
    "size": (True, "an image or mask has no or another size; convert again"),
    "mask": (True, "run lengths are broken or do not fill the image; convert again"),
    "empty mask": (True, "a mask has no pixels; mmdet drops it silently"),
    "area": (True, "area is not that of the mask; convert again"),
    "box": (True, "bbox is not the box around the mask; convert again"),
    "box outside": (True, "bbox leaves the image; mmdet drops it silently where nothing is inside"),
    "border flag": (True, "touches_border is wrong; convert again"),
    "crowd": (True, "iscrowd is not 0; mmdet takes it out of training"),
    "duplicate cell": (True, "one cell has two annotations with one label; leave one out"),
    "refused": (True, "other tools of this package do not read it; correct the entry"),
    "missing file": (True, "an image file is not in the images' folder; check --images"),
    "depth": (True, "the files of an image differ in depth; export all at one depth"),
    "file size": (True, "an image file has another size than the entry; convert again"),
    "duplicate mask": (False, "two cells of an image have the same mask"),
    "image without cells": (False, "mmdet leaves it out of training with filter_empty_gt"),
    "small image": (False, "mmdet leaves images below 32 pixels out of training"),
    "stray label": (False, "a cell shows a label that its image lacks (real truth has some)"),
    "order": (False, "annotations are not in the order of images; they cannot be read piecewise"),
}


@dataclass
class Findings:
    """The result of a check."""

    path: Path
    images: int = 0
    annotations: int = 0
    reviewed: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def add(self, kind: str, where: str) -> None:
        """Count one; `kind` is a key of `FINDING_KINDS`, `where` says which entry and what is wrong."""
        assert kind in FINDING_KINDS, kind
        self.counts[kind] += 1
        shown = self.examples.setdefault(kind, [])
        if len(shown) < EXAMPLES:
            shown.append(where)

    @property
    def errors(self) -> int:
        """How many findings are errors."""
        return sum(count for kind, count in self.counts.items() if FINDING_KINDS[kind][0])

    @property
    def warnings(self) -> int:
        """How many findings are only worth knowing."""
        return self.counts.total() - self.errors

    def summary(self) -> str:
        """Say it in lines, errors first."""
        reviewed = f" ({self.reviewed} of reviewed cells)" if self.reviewed else ""
        lines = [
            f"{self.path}: {self.images} images, {self.annotations} annotations{reviewed}, "
            f"{self.errors} errors, {self.warnings} warnings"
        ]
        for kind, (is_error, meaning) in FINDING_KINDS.items():
            if count := self.counts[kind]:
                word = "error" if is_error else "warning"
                lines.append(f"{word}: {kind}, {count} times: {meaning}")
                lines += [f"    {example}" for example in self.examples[kind]]
                lines += ["    ..."] if count > len(self.examples[kind]) else []
        return "\n".join(lines)

    def to_json(self) -> dict[str, Any]:
        """Give it as JSON: counts, and for each kind its severity, count and examples."""
        return {
            "path": str(self.path),
            "images": self.images,
            "annotations": self.annotations,
            "reviewed": self.reviewed,
            "errors": self.errors,
            "warnings": self.warnings,
            "findings": [
                {
                    "kind": kind,
                    "severity": "error" if is_error else "warning",
                    "count": self.counts[kind],
                    "meaning": meaning,
                    "examples": self.examples[kind],
                }
                for kind, (is_error, meaning) in FINDING_KINDS.items()
                if self.counts[kind]
            ],
        }
