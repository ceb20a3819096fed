r"""Turn pickled weights of the HPA segmenter into plain ones, once.

Example:
    python tools/export_segmenter.py dpn_unet_nuclei_v1.pth --out nuclei.safetensors --trust-pickle

Loading a pickled network runs whatever code is in the file, which is why it must be allowed.
The export holds numbers alone, and tools/segment.py loads it without being asked to trust it.

Exit status: 0 written; 2 bad arguments or input, nothing written.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from hpa_mmdet.errors import InputError
from hpa_mmdet.segment.weights import export_plain


def build_parser() -> argparse.ArgumentParser:
    """Build the options; apart from main, so that docs and tests can read them."""
    parser = argparse.ArgumentParser(
        prog="export_segmenter",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("weights", type=Path, help="file of weights as published")
    add("--out", type=Path, required=True, help="file to write: .safetensors, .pt or .pth")
    add("--trust-pickle", action="store_true", help="run the code in the file")
    add("--overwrite", action="store_true", help="replace --out if it exists")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, call the package, say where the result is."""
    args = build_parser().parse_args(argv)
    try:
        if args.out.exists() and not args.overwrite:
            raise InputError(args.out, "a file", "none yet", "give --overwrite")
        tensors = export_plain(args.weights, args.out, trust_pickle=args.trust_pickle)
    except InputError as error:
        print(f"export_segmenter: {error}", file=sys.stderr)
        return 2
    print(f"{tensors} tensors: {args.out}")
    return 0
