r"""Convert pickled weights of the HPA segmenter into plain tensors.

Example:
    python tools/export_segmenter.py dpn_unet_nuclei_v1.pth --out nuclei.safetensors --trust-pickle

Loading a pickled network runs whatever code is in the file, which is why it must be allowed.
The export holds numbers alone, and tools/segment.py loads it without being asked to trust it.

Exit status: 0 written; 2 bad arguments or input, nothing written.
"""

import argparse
from functools import partial
from pathlib import Path

from hpa_mmdet.cli.entry import new_parser, run_tool
from hpa_mmdet.segment.weights import export_plain


def build_parser() -> argparse.ArgumentParser:
    """Build the options; apart from main, so that docs and tests can read them."""
    parser = new_parser("export_segmenter", __doc__)
    add = parser.add_argument
    add("weights", type=Path, help="file of weights as published")
    add("--out", type=Path, required=True, help="file to write: .safetensors, .pt or .pth")
    add("--trust-pickle", action="store_true", help="run the code in the file")
    add("--overwrite", action="store_true", help="replace --out if it exists")
    return parser


def run(args: argparse.Namespace) -> int:
    """Do the work of the tool; returns its exit status."""
    tensors = export_plain(
        args.weights, args.out, trust_pickle=args.trust_pickle, overwrite=args.overwrite
    )
    print(f"{tensors} tensors: {args.out}")
    return 0


main = partial(run_tool, build_parser, run)
