"""The command line: one module per tool, each with build_parser() and main(argv) -> int."""

import importlib
import pkgutil
import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Dispatch `hpa-mmdet TOOL ...` to the function that tools/TOOL.py calls."""
    words = list(sys.argv[1:] if argv is None else argv)
    tools = sorted(each.name for each in pkgutil.iter_modules(__path__))
    if not words or words[0].replace("-", "_") not in tools:
        print(f"usage: hpa-mmdet TOOL [options]; tools: {', '.join(tools)}", file=sys.stderr)
        return 0 if words in (["-h"], ["--help"]) else 2
    tool = importlib.import_module(f"hpa_mmdet.cli.{words[0].replace('-', '_')}")
    return int(tool.main(words[1:]))
