"""The options of a run as command line arguments; cli/infer.py adds the model's."""

import argparse
from pathlib import Path

from hpa_mmdet.errors import InputError
from hpa_mmdet.inference.plan import DEFAULT_WRITERS, WRITERS, RunOptions
from hpa_mmdet.inference.thresholds import read_thresholds
from hpa_mmdet.io.channels import DEFAULT_PATTERN
from hpa_mmdet.jobs.engines import ENGINES
from hpa_mmdet.jobs.shards import parse_shard


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --out and what says which images are done, how, and what is written."""
    add = parser.add_argument
    add("--out", type=Path, required=True, help="folder for all results")
    add = parser.add_argument_group("which images").add_argument
    add(
        "--instances",
        choices=("model", "masks"),
        default="model",
        help="find the cells, or name those of --masks (default: model)",
    )
    add("--masks", type=Path, help="folder of label images, for --instances masks")
    add("--pattern", default=DEFAULT_PATTERN, help=f"names of the files ({DEFAULT_PATTERN})")
    add(
        "--channels",
        nargs="+",
        metavar="NAME[=WORD]",
        help="channels, or the words that stand for them in file names",
    )
    add(
        "--sample-submission",
        type=Path,
        metavar="CSV",
        help="predict exactly its images, so that the submission has its ids",
    )
    add("--workers", type=int, default=2, help="threads that read, and that write (default: 2)")
    add("--engine", choices=ENGINES, default="local", help="ray: on a cluster (extra `cluster`)")
    add(
        "--shard",
        default="1/1",
        metavar="I/N",
        help="do the I-th of N parts; the one that ends last writes the results",
    )
    add("--resume", action="store_true", help="go on with the run in --out")
    add("--overwrite", action="store_true", help="throw the run in --out away")
    add = parser.add_argument_group("what is written").add_argument
    add(
        "--write",
        default=",".join(DEFAULT_WRITERS),
        metavar="LIST",
        help=f"out of {','.join(WRITERS)} (default: {','.join(DEFAULT_WRITERS)})",
    )
    add(
        "--min-confidence",
        type=float,
        default=0.01,
        metavar="P",
        help="leave less confident triples out of the submission (default: 0.01)",
    )
    add("--max-triples", type=int, metavar="N", help="keep an image's N most confident triples")
    add(
        "--call-score",
        type=float,
        default=0.5,
        metavar="P",
        help="p(cell) from which on a cell is in table, labels, pictures, AnnData (default: 0.5)",
    )
    add(
        "--thresholds",
        type=Path,
        metavar="JSON",
        help="19 probabilities from which on a class is called, or the JSON of "
        "tools/evaluate.py (default: those stored with the model, else 0.5)",
    )


def run_options(args: argparse.Namespace) -> RunOptions:
    """Make the run's options of the parsed arguments.

    Raises:
        InputError: --instances masks and --masks stand alone, the shard is none, or the
            thresholds cannot be read.
    """
    if (args.instances == "masks") != (args.masks is not None):
        found = "--instances masks alone" if args.masks is None else "--masks alone"
        raise InputError("options", found, "--instances masks --masks DIR", "give both or neither")
    return RunOptions(
        out=args.out,
        masks=args.masks,
        pattern=args.pattern,
        channel_words=tuple(args.channels) if args.channels else None,
        write=tuple(word for word in args.write.split(",") if word),
        workers=max(1, args.workers),
        engine=args.engine,
        shard=parse_shard(args.shard),
        resume=args.resume,
        overwrite=args.overwrite,
        sample_submission=args.sample_submission,
        min_confidence=args.min_confidence,
        max_triples=args.max_triples,
        call_score=args.call_score,
        thresholds=None if args.thresholds is None else read_thresholds(args.thresholds),
    )
