r"""Serve the web page: drop an image's channels in, see what every cell shows, correct it.

Without --model it takes the model of `make demo`, if that has been trained. With --review
it also shows predicted cells one by one, so that a person can correct them; --model may
then be left out.

Example:
    python tools/serve.py --model configs/mask_rcnn/hpa-mask-rcnn_lite0_fpn_bag-lse_demo.py \
        work_dirs/demo/train/fitted.pth

Exit status: 0 stopped by the user (Ctrl-C); 2 bad arguments, no model, or the port is taken.
"""

import argparse
import os
import secrets
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any

from hpa_mmdet.cli.entry import new_parser, run_tool
from hpa_mmdet.errors import InputError
from hpa_mmdet.refine.rounds import round_of

DEMO_CONFIG = Path("configs/mask_rcnn/hpa-mask-rcnn_lite0_fpn_bag-lse_demo.py")
DEMO_CHECKPOINT = Path("work_dirs/demo/train/fitted.pth")
TOKEN_VARIABLE = "HPA_MMDET_TOKEN"
_FEWEST_TOKEN_LETTERS = 16


def build_parser() -> argparse.ArgumentParser:
    """Build the options; apart from main, so that docs and tests can read them."""
    parser = new_parser("serve", __doc__)
    add = parser.add_argument
    add(
        "--model",
        nargs=2,
        type=Path,
        metavar=("CONFIG", "CHECKPOINT"),
        help="a config and its checkpoint, or the .json and .safetensors of tools/export.py",
    )
    add("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1)")
    add("--port", type=int, default=8000, help="0 takes a free one (default: 8000)")
    add(
        "--token",
        nargs="?",
        const="",
        metavar="SECRET",
        help="ask everybody for a token; without a value one is made and printed, or taken from "
        f"the environment variable {TOKEN_VARIABLE}",
    )
    add = parser.add_argument_group("how the model is used").add_argument
    add("--device", default="auto", help="auto, cpu, cuda:0, ... (default: auto)")
    add("--tile", type=int, metavar="PX", help="cut larger images into tiles of this side")
    add("--input-scale", type=float, metavar="F", help="as in tools/infer.py")
    add = parser.add_argument_group("review").add_argument
    add("--review", type=Path, metavar="PREDICTIONS", help="--out of tools/infer.py")
    add("--images", type=Path, metavar="DIR", help="the images that were predicted")
    add("--labels", type=Path, metavar="CSV", help="where decisions are appended: cells.csv")
    add("--image-labels", type=Path, metavar="CSV", help="ID,Label of the images, shown beside")
    add("--thresholds", type=Path, metavar="JSON", help="of calls, as tools/infer.py takes them")
    add("--call-score", type=float, default=0.5, help="p(cell) of cells to review (default: 0.5)")
    add(
        "--queue", type=Path, metavar="CSV", help="ID,cell_id in the order of tools/choose_cells.py"
    )
    add = parser.add_argument_group("limits").add_argument
    add("--max-upload-mb", type=int, default=256, help="bytes of an upload (default: 256)")
    add("--max-file-mb", type=int, default=128, help="bytes of one file (default: 128)")
    add("--max-megapixels", type=float, default=16.0, help="of an image (default: 16)")
    add("--max-queue", type=int, default=8, help="images at once, later ones wait (default: 8)")
    add("--upload-seconds", type=float, default=120.0, help="for an upload (default: 120)")
    add("--predict-seconds", type=float, default=300.0, help="for the model (default: 300)")
    return parser


def run(args: argparse.Namespace) -> int:
    """Load the model and serve until stopped; returns the exit status."""
    with suppress(KeyboardInterrupt):
        _serve(args)
    if args.review is not None:
        print(f"next: {_next_command(args)}")
    return 0


def _next_command(args: argparse.Namespace) -> str:
    """Say how to learn from what was reviewed."""
    if (made := round_of(args.review)) is not None:
        return made.learn_command()
    return (
        f"python tools/convert_coco.py {args.images} --masks MASKS --labels "
        f"{args.image_labels or 'LABELS'} --cell-labels {args.labels} --out train.json"
    )


main = partial(run_tool, build_parser, run)


def _serve(args: argparse.Namespace) -> None:
    try:
        import fastapi  # noqa: F401
        import python_multipart  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise InputError(
            "serve",
            problem=f"the package {error.name} is not installed",
            remedy="pip install 'hpa-mmdet[serve]'",
        ) from error
    from hpa_mmdet.serve.app import create_app
    from hpa_mmdet.serve.run import listen, make_server
    from hpa_mmdet.serve.security import Access, is_loopback

    token = _token(args.token, is_loopback(args.host), args.host)
    limits = _limits(args)
    model = _model(args)
    access = None if token is None else Access(token)
    queue = None
    with closing(listen(args.host, args.port)) as opened:
        host, port = opened.getsockname()[:2]
        try:
            queue = None if model is None else _queue(model, args, limits)
            review = None if args.review is None else _review(args, limits, queue)
            any_host = not is_loopback(args.host)
            app = create_app(queue, review, access=access, any_host=any_host, limits=limits)
            _say_address(
                f"http://{f'[{host}]' if ':' in host else host}:{port}", access, token, args
            )
            make_server(app, limits.idle_s).run(sockets=[opened])
        finally:
            if queue is not None:
                queue.shut_down()


def _say_address(address: str, access: Any, token: str | None, args: argparse.Namespace) -> None:
    if access is None:
        print(f"serve: open {address}", flush=True)
        return
    print(f"serve: open {address}{access.new_link()} (works once)", flush=True)
    if not args.token and TOKEN_VARIABLE not in os.environ:
        print(f"serve: the token is {token}", flush=True)


def _token(given: str | None, loopback: bool, host: str) -> str | None:
    if given is None:
        if not loopback:
            raise InputError(
                f"--host {host}",
                problem="other machines reach this address, which needs a token",
                remedy="add --token, or leave --host out",
            )
        return None
    token = given or os.environ.get(TOKEN_VARIABLE) or secrets.token_urlsafe(24)
    if len(token) < _FEWEST_TOKEN_LETTERS:
        raise InputError(
            "--token",
            problem=f"is shorter than {_FEWEST_TOKEN_LETTERS} letters",
            remedy="give a longer one, or --token alone to have one made",
        )
    return token


def _model(args: argparse.Namespace) -> tuple[Path, Path] | None:
    if args.model is not None:
        for path in args.model:
            if not path.is_file():
                raise InputError(
                    path, problem="there is no such file", remedy="give --model CONFIG CHECKPOINT"
                )
        return args.model[0], args.model[1]
    if args.review is not None:
        return None
    if DEMO_CONFIG.is_file() and DEMO_CHECKPOINT.is_file():
        print(f"serve: no --model, so the demo's is taken: {DEMO_CHECKPOINT}", flush=True)
        return DEMO_CONFIG, DEMO_CHECKPOINT
    raise InputError(
        "--model",
        problem=f"is missing, and there is no demo model in {DEMO_CHECKPOINT}",
        remedy="give --model CONFIG CHECKPOINT, or train the demo's model with `make demo`",
    )


def _limits(args: argparse.Namespace) -> Any:
    from hpa_mmdet.serve.limits import ServerLimits

    for name in ("max_upload_mb", "max_file_mb", "max_megapixels", "max_queue",
                 "upload_seconds", "predict_seconds"):  # fmt: skip
        if not 0 < getattr(args, name) < 1e9:
            raise InputError(
                f"--{name.replace('_', '-')}",
                problem=f"{getattr(args, name)} is not above 0",
                remedy="give a larger number",
            )
    return ServerLimits(
        request_bytes=args.max_upload_mb * 2**20,
        file_bytes=args.max_file_mb * 2**20,
        pixels=int(args.max_megapixels * 2**20),
        queue_length=args.max_queue,
        upload_s=args.upload_seconds,
        predict_s=args.predict_seconds,
    )


def _queue(model: tuple[Path, Path], args: argparse.Namespace, limits: Any) -> Any:
    from hpa_mmdet.serve.analysis import load_analyser
    from hpa_mmdet.serve.call_process import CallProcess
    from hpa_mmdet.serve.helper import build_helper
    from hpa_mmdet.serve.queue import JobQueue

    print("serve: loading the model ...", flush=True)
    options = {"device": args.device, "tile_px": args.tile, "input_scale": args.input_scale}
    worker = CallProcess(partial(load_analyser, *model, options), "model")
    helper = CallProcess(build_helper, "helper", limits.decode_bytes)
    facts = worker.start()
    helper.start()
    return JobQueue(worker, helper, facts, limits)


def _review(args: argparse.Namespace, limits: Any, queue: Any) -> Any:
    from hpa_mmdet.io.label_tables import read_image_labels
    from hpa_mmdet.predictions.call_rules import CallRules, read_thresholds
    from hpa_mmdet.serve.review_cells import ReviewCells
    from hpa_mmdet.serve.review_queue import read_queue_file
    from hpa_mmdet.serve.review_routes import ReviewRoutes
    from hpa_mmdet.serve.review_store import ReviewStore

    for name in ("images", "labels"):
        if getattr(args, name) is None:
            raise InputError("--review", problem=f"needs --{name} too", remedy=f"add --{name} PATH")
    if not args.images.is_dir():
        raise InputError(args.images, problem="there is no such folder", remedy="check --images")
    thresholds = CallRules().thresholds if queue is None else queue.facts.thresholds
    if args.thresholds is not None:
        thresholds = read_thresholds(args.thresholds)
    labels = None if args.image_labels is None else read_image_labels(args.image_labels)
    cells = ReviewCells(args.review, args.images, CallRules(thresholds, args.call_score), labels)
    order = () if args.queue is None else read_queue_file(args.queue, cells.by_key)
    store = ReviewStore(args.labels)
    print(f"serve: {len(cells.by_key)} cells to review, decisions go to {args.labels}", flush=True)
    return ReviewRoutes(cells, store, thresholds, limits, order).router()
