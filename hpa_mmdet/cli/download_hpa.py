r"""Download public images of the Human Protein Atlas, one file per channel.

Example:
    python tools/download_hpa.py images.csv --out work_dirs/hpa/images
    python tools/download_hpa.py urls.csv --out images --format served --max-total-gb 2

--subcell SET fetches the weights of SubCell instead (docs/how-to/subcell.md), about 350 MB.

The table has ids and antibodies (ID,antibody), or addresses (url). Run it again to go on
where it stopped. The Atlas is free to use under CC BY-SA: credit it, and leave --rate low.

Exit status: 0 all done; 1 some files failed (listed in download_report.json beside the
images); 2 bad arguments or input, or nothing could be fetched.
"""

import argparse
import importlib.util
import sys
from functools import partial
from pathlib import Path

from hpa_mmdet.cli.entry import new_parser, run_tool
from hpa_mmdet.download.addresses import ATLAS_TEMPLATE, GENE_TEMPLATE, Table, read_wanted
from hpa_mmdet.download.subcell import CHANNEL_SETS, TRAININGS, wanted_files
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.channels import CHANNELS
from hpa_mmdet.jobs import Failure, Report

_WEIGHTS_MB = 1024


def build_parser() -> argparse.ArgumentParser:
    """Build the options; apart from main, so that docs and tests can read them."""
    parser = new_parser("download_hpa", __doc__)
    add = parser.add_argument
    add(
        "table",
        type=Path,
        nargs="?",
        help="CSV: ID,antibody[,gene], or url, or an id that is an address",
    )
    add("--out", type=Path, required=True, help="folder for <id>_<channel>.png")
    add("--subcell", choices=tuple(CHANNEL_SETS), help="fetch SubCell's weights for these channels")
    add("--subcell-training", choices=TRAININGS, default=TRAININGS[0], help="default: %(default)s")
    add("--channels", nargs="+", choices=CHANNELS, default=list(CHANNELS), help="default: all")
    add("--optional", nargs="+", choices=CHANNELS, default=[], help="channels an image may lack")
    add("--url-template", default=ATLAS_TEMPLATE, help=f"default {ATLAS_TEMPLATE}")
    add(
        "--gene-template",
        default=GENE_TEMPLATE,
        help=f"page asked for images that are not at their address (default {GENE_TEMPLATE}; "
        "'' asks none)",
    )
    add(
        "--format",
        choices=("png", "served"),
        default="png",
        help="png: grey, read by every tool as it is; served: the bytes as they came",
    )
    add("--checksums", type=Path, help="SOURCES.sha256 of another run: served files must match")
    add("--max-file-mb", type=float, default=64, help="largest file, MB (default 64)")
    add("--max-total-gb", type=float, default=50, help="stop after so many GB (default 50)")
    add("--rate", type=float, default=4, help="requests a second, 0 no limit (default 4)")
    add("--workers", type=int, default=4, help="files at a time (default 4)")
    add("--retries", type=int, default=5, help="further tries of a file (default 5)")
    add("--timeout", type=float, default=30, help="seconds without a byte (default 30)")
    add("--overwrite", action="store_true", help="fetch files that are there already")
    add("--dry-run", action="store_true", help="print the addresses and fetch nothing")
    return parser


def run(args: argparse.Namespace) -> int:
    """Fetch, say what came."""
    if (args.table is None) == (args.subcell is None):
        raise InputError(
            "arguments", problem="are a table of images or --subcell SET", remedy="give one of them"
        )
    if args.subcell is None:
        table = read_wanted(args.table, args.channels, args.url_template)
    else:
        table = Table(wanted_files(args.subcell, args.subcell_training), {})
        args.format, args.max_file_mb = "served", max(args.max_file_mb, _WEIGHTS_MB)
    if args.dry_run:
        return _print_addresses(table)
    return _run(table, args)


main = partial(run_tool, build_parser, run)


def _print_addresses(table: Table) -> int:
    for wanted in table.wanted:
        print(f"{wanted.url}\t{wanted.image_id}_{wanted.channel}")
    for problem in table.problems.values():
        print(f"download_hpa: {problem}", file=sys.stderr)
    return 1 if table.problems else 0


def _run(table: Table, args: argparse.Namespace) -> int:
    if importlib.util.find_spec("requests") is None:
        raise InputError(
            "requests", "no such package", "it installed", "run pip install 'hpa-mmdet[download]'"
        )
    from hpa_mmdet.download.checksums import read_checksums
    from hpa_mmdet.download.limits import Limits
    from hpa_mmdet.download.run import Options, download

    options = Options(
        out=args.out,
        as_served=args.format == "served",
        overwrite=args.overwrite,
        workers=max(1, args.workers),
        per_second=args.rate,
        max_total_bytes=int(args.max_total_gb * 1e9),
        limits=Limits(
            retries=args.retries,
            timeout_s=args.timeout,
            max_file_bytes=int(args.max_file_mb * 1e6),
        ),
        checksums=read_checksums(args.checksums) if args.checksums else {},
        gene_template=args.gene_template,
        optional=frozenset(args.optional),
    )
    report = Report("download_hpa")
    report.failures += [Failure(name, str(error)) for name, error in table.problems.items()]
    if not table.wanted:
        print(report.summary(), file=sys.stderr)
        return report.exit_status
    download(table.wanted, options, report, [args.table, args.checksums])
    print(report.summary())
    return report.exit_status
