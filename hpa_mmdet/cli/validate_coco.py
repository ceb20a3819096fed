r"""Check a COCO JSON: its schema, its meaning, and what readers would silently drop.

Example:
    python tools/validate_coco.py work_dirs/train.json --json work_dirs/train.check.json

Exit status: 0 no errors (warnings may be there); 1 errors; 2 no COCO JSON at all.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from hpa_mmdet.coco.validate import validate
from hpa_mmdet.errors import InputError


def build_parser() -> argparse.ArgumentParser:
    """Build the options; apart from main, so that docs and tests can read them."""
    parser = argparse.ArgumentParser(
        prog="validate_coco",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("json", type=Path, help="COCO JSON to check")
    add("--images", type=Path, help="the images' folder (default: the one in the JSON)")
    add("--no-files", action="store_true", help="do not look at image files")
    add(
        "--json",
        dest="json_out",
        type=Path,
        metavar="OUT",
        help="also write the findings as JSON; - prints them instead of the summary",
    )
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, call the package, say what was found."""
    args = build_parser().parse_args(argv)
    try:
        findings = validate(args.json, args.images, check_files=not args.no_files)
        if args.json_out is not None and str(args.json_out) != "-":
            findings.write(args.json_out)
    except InputError as error:
        print(f"validate_coco: {error}", file=sys.stderr)
        return 2
    if str(args.json_out) == "-":
        print(json.dumps(findings.to_json(), indent=1))
    else:
        print(findings.summary())
    return 1 if findings.errors else 0


if __name__ == "__main__":
    sys.exit(main())
