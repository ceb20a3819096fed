r"""Choose the cells that are worth a person's look, out of a folder of predictions.

Example:
    python tools/choose_cells.py work_dirs/demo/given --labels work_dirs/demo/data/train.csv \
        --number 200 --out work_dirs/demo/queue.csv

PREDICTIONS is the --out folder of tools/infer.py run with --instances masks, so that cells have
the ids of their label images. No way of choosing was clearly better than --by random
(docs/weak_supervision.md). class gives every class its turns, rare ones first, among the images that
are labelled with it; unsure takes the least certain cells; different those that look least alike
(needs --write embeddings). The queue is a table ID,cell_id,reason in the order in which cells should
be looked at. Cells in --reviewed are not chosen again.

Exit status: 0 written; 2 bad arguments or input, nothing written.
"""

import argparse
from functools import partial
from pathlib import Path

import numpy as np

from hpa_mmdet.cli.entry import add_groups, new_parser, run_tool
from hpa_mmdet.errors import InputError
from hpa_mmdet.inference.store import read_folder
from hpa_mmdet.io.atomic import write_csv
from hpa_mmdet.io.label_tables import read_image_labels, scan_cell_labels
from hpa_mmdet.io.outputs import claim_output
from hpa_mmdet.localizations import NUM_LOCALIZATIONS, multi_hot
from hpa_mmdet.refine.choose import WAYS_OF_CHOOSING, Candidates, choose_cells
from hpa_mmdet.refine.rounds import round_of


def build_parser() -> argparse.ArgumentParser:
    """Build the options; apart from main, so that docs and tests can read them."""
    parser = new_parser("choose_cells", __doc__)
    add = parser.add_argument
    add("predictions", type=Path, help="--out folder of tools/infer.py --instances masks")
    add("--number", type=int, default=200, help="cells to choose (default: %(default)s)")
    add("--by", choices=tuple(WAYS_OF_CHOOSING), default="random", help="(default: %(default)s)")
    add("--labels", type=Path, metavar="CSV", help="the images' weak labels, columns ID,Label")
    add_groups(parser, "spread over these too, such as the antibody of each image")
    add("--reviewed", type=Path, metavar="CSV", help="cells that are done, ID,cell_id,cell_labels")
    add("--seed", type=int, default=0, help="of ties and of random choices (default: %(default)s)")
    add("--out", type=Path, required=True, help="queue to write")
    add("--overwrite", action="store_true", help="replace --out if this tool wrote it")
    return parser


def run(args: argparse.Namespace) -> int:
    """Choose, write the queue, say what to run next."""
    if args.number < 1:
        raise InputError("--number", args.number, "1 or more", "correct it")
    inputs = [args.predictions, args.labels, args.reviewed, args.groups and args.groups.table]
    outputs = claim_output(args.out, "choose_cells", inputs=inputs, overwrite=args.overwrite)
    candidates = _read_candidates(args)
    chosen = choose_cells(candidates, args.number, args.by, args.seed)
    rows = [(candidates.image_ids[row], candidates.cell_ids[row], why) for row, why in chosen]
    with outputs.writing(args.out) as temporary:
        write_csv(temporary, ("ID", "cell_id", "reason"), rows)
    images = len({candidates.image_ids[row] for row, _ in chosen})
    print(f"choose_cells: {len(chosen)} cells of {images} images in {args.out}")
    print(f"next: {_next_command(args)}")
    return 0


def _next_command(args: argparse.Namespace) -> str:
    if (made := round_of(args.predictions)) is not None:
        return made.serve_command(args.out)
    return (
        f"python tools/serve.py --review {args.predictions} --images IMAGES "
        f"--queue {args.out} --labels {args.reviewed or 'cells.csv'}"
    )


def _read_candidates(args: argparse.Namespace) -> Candidates:
    labels = read_image_labels(args.labels) if args.labels else {}
    table = scan_cell_labels(args.reviewed) if args.reviewed else None
    image_ids: list[str] = []
    cell_ids: list[int] = []
    scores, known, features = [], [], []
    for stored in read_folder(args.predictions):
        image = stored.prediction
        weak = multi_hot(labels.get(image.image_id, range(NUM_LOCALIZATIONS)))
        for cell in image.cells:
            if cell.cell_id is None:
                raise InputError(
                    f"{args.predictions}, image {image.image_id}",
                    problem="its cells have no ids, since the model found them itself",
                    remedy="predict with --instances masks --masks DIR",
                )
            if table is not None and (
                cell.cell_id in table.sets.get(image.image_id, {})
                or cell.cell_id in table.bad_masks.get(image.image_id, ())
            ):
                continue
            image_ids.append(image.image_id)
            cell_ids.append(cell.cell_id)
            scores.append(cell.localization_scores)
            known.append(weak)
            features.append(cell.embedding)
    return Candidates(
        image_ids,
        cell_ids,
        np.array(scores, np.float64).reshape(-1, NUM_LOCALIZATIONS),
        np.array(known, bool).reshape(-1, NUM_LOCALIZATIONS),
        args.groups.groups_of(image_ids) if args.groups else image_ids,
        np.array(features) if all(one is not None for one in features) else None,
    )


main = partial(run_tool, build_parser, run)
