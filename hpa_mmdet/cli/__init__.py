"""The command line: one module per tool, each with build_parser(), run(args) and main(argv)."""

import ast
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

TOOLS: tuple[str, ...] = (
    "synthesize",
    "download_hpa",
    "segment",
    "compare_masks",
    "export_segmenter",
    "convert_coco",
    "merge_coco",
    "validate_coco",
    "stats",
    "browse",
    "split_coco",
    "cache_images",
    "extract_crops",
    "train",
    "infer",
    "serve",
    "coco_to_submission",
    "evaluate",
    "report",
    "ensemble",
    "explain",
    "choose_cells",
    "learn_reviewed",
    "refine_labels",
    "export",
    "doctor",
)
"""All tools, in the order of the pipeline."""


def main(argv: Sequence[str] | None = None) -> int:
    """Dispatch `hpa-mmdet TOOL ...` to the function that tools/TOOL.py calls."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] in (["-h"], ["--help"]):
        print(usage())
        return 0
    name = words[0].replace("-", "_") if words else ""
    if name not in TOOLS:
        print(usage(), file=sys.stderr)
        return 2
    return int(importlib.import_module(f"hpa_mmdet.cli.{name}").main(words[1:]))


def usage() -> str:
    """List every tool with the first line of its description."""
    lines = [f"  {tool:<20}{_summary(tool)}" for tool in TOOLS]
    return "\n".join(
        [
            "usage: hpa-mmdet TOOL [options]",
            "",
            "Tools, in the order of the pipeline:",
            *lines,
            "",
            "hpa-mmdet TOOL --help shows the options of a tool.",
        ]
    )


def _summary(tool: str) -> str:
    # parsed, not imported: some tools load torch
    source = Path(__file__).with_name(f"{tool}.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]
