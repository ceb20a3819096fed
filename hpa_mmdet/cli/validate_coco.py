r"""Check a COCO JSON: schema, masks, labels, files, and what other readers would drop.

Example:
    python tools/validate_coco.py work_dirs/train.json --json work_dirs/train.check.json

Exit status: 0 no errors (warnings may be there); 1 errors; 2 no COCO JSON at all.
"""

import argparse
from functools import partial
from pathlib import Path

from hpa_mmdet.cli.entry import new_parser, run_tool
from hpa_mmdet.coco.validate import validate
from hpa_mmdet.io.json_files import dump_json
from hpa_mmdet.io.outputs import OutputFiles


def build_parser() -> argparse.ArgumentParser:
    """Build the options; apart from main, so that docs and tests can read them."""
    parser = new_parser("validate_coco", __doc__)
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
    add("--overwrite", action="store_true", help="replace OUT if this tool wrote it")
    return parser


def run(args: argparse.Namespace) -> int:
    """Call the package, say what was found."""
    out = None if str(args.json_out) == "-" else args.json_out
    outputs = OutputFiles(
        "validate_coco", inputs=[args.json, args.images], overwrite=args.overwrite
    )
    if out is not None:
        outputs.claim(out)
    findings = validate(args.json, args.images, check_files=not args.no_files)
    if out is not None:
        with outputs.writing(out) as temporary:
            temporary.write_text(dump_json(findings.to_json()), encoding="utf-8")
    if str(args.json_out) == "-":
        print(dump_json(findings.to_json()))
    else:
        print(findings.summary())
    return 1 if findings.errors else 0


main = partial(run_tool, build_parser, run)
