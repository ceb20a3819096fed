r"""The contest metric against literal loops over pycocotools, same numbers, same run.

Literal: for each class and image, the detections by falling score, each one's IoU with the
truths of its class by pycocotools, its best truth, taken or not; then rank and integrate.
Literal, batched: the same with one IoU call per image and class instead of per detection.
Ours: one IoU call per image for its different masks, everything else in numpy. Those calls
alone are timed too: no evaluator that leaves IoU to pycocotools can be faster than they are.

    python benchmarks/bench_metric.py                     # 500 images x 25 cells x 19 classes
    python benchmarks/bench_metric.py --submission A.csv --truth B.json    # your own files

Prints the CPU seconds of each, the ratios and the largest difference of the scores; exit
status 1 if any class's average precision differs by more than 1e-9.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import numpy as np
from pycocotools import mask as coco_mask

from hpa_mmdet.io.submission import SubmissionRow, encode_mask, read_submission, write_submission
from hpa_mmdet.localizations import LOCALIZATIONS, NUM_LOCALIZATIONS
from hpa_mmdet.masks.overlap import mask_iou
from hpa_mmdet.scoring.contest import ContestResult, ContestScorer
from hpa_mmdet.scoring.detections import detections_of_row
from hpa_mmdet.scoring.truth import TruthImage, read_truth

IOU = 0.6
Result = TypeVar("Result")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--cells", type=int, default=25)
    parser.add_argument("--size", type=int, default=2048, help="height in pixels; width is 7/8")
    parser.add_argument("--submission", type=Path)
    parser.add_argument("--truth", type=Path)
    parser.add_argument("--repeats", type=int, default=3, help="of ours; the best counts")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        submission, truth = args.submission, args.truth
        if submission is None or truth is None:
            submission, truth = Path(folder) / "submission.csv", Path(folder) / "truth.json"
            write_files(submission, truth, args.images, args.cells, args.size)
        return compare(submission, truth, args.repeats)


def compare(submission: Path, truth_path: Path, repeats: int) -> int:
    """Time all on rows and truth in memory, masks decoded to runs, then ours on the files."""
    rows, truth = list(read_submission(submission)), read_truth(truth_path)
    cells = sum(len(image.rles) for image in truth.values())
    print(f"{len(rows)} images, {cells} cells, {sum(len(r.predictions) for r in rows)} detections")

    def score() -> ContestResult:
        return score_contest(rows, truth)

    def score_files() -> ContestResult:
        return score_contest(read_submission(submission), read_truth(truth_path))

    literal_s, expected = _time(1, lambda: literal_average_precisions(rows, truth, match_each))
    batched_s, again = _time(1, lambda: literal_average_precisions(rows, truth, match_batch))
    ours_s, result = _time(repeats, score)
    overlaps_s, _ = _time(repeats, lambda: overlaps(rows, truth))
    files_s, _ = _time(repeats, score_files)
    difference = max(np.nanmax(np.abs(result.ap - other)) for other in (expected, again))
    print(f"literal                   {literal_s:8.3f} s   mAP {np.nanmean(expected):.12f}")
    print(f"literal, batched          {batched_s:8.3f} s   mAP {np.nanmean(again):.12f}")
    print(f"ours                      {ours_s:8.3f} s   mAP {result.contest_map:.12f}")
    print(f"of these pycocotools' IoU {overlaps_s:8.3f} s")
    print(f"ours, with reading files  {files_s:8.3f} s")
    print(
        f"ratio to literal {literal_s / ours_s:.1f}x, to literal batched {batched_s / ours_s:.1f}x"
    )
    print(f"largest difference of a class's average precision {difference:.1e}")
    same = np.array_equal(np.isnan(result.ap), np.isnan(expected)) and difference <= 1e-9
    return 0 if same else 1


def score_contest(rows: Iterable[SubmissionRow], truth: dict[str, TruthImage]) -> ContestResult:
    """Score rows as tools/evaluate.py does, the contest metric alone."""
    scorer = ContestScorer()
    for row in rows:
        scorer.add(truth[row.image_id], detections_of_row(row, truth[row.image_id]))
    return scorer.result(tie_orders=0)


def overlaps(rows: list[SubmissionRow], truth: dict[str, TruthImage]) -> None:
    """Ask for the overlaps of every image's different masks once, and do nothing with them."""
    for row in rows:
        size = [row.height, row.width]
        masks = [{"size": size, "counts": counts} for counts in row.masks().values()]
        mask_iou(masks, truth[row.image_id].rles)


def _time(repeats: int, call: Callable[[], Result]) -> tuple[float, Result]:
    """Give the least CPU seconds of several calls, and the result."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        result = call()
        times.append(time.process_time() - start)
    return min(times), result


def literal_average_precisions(
    rows: list[SubmissionRow],
    truth: dict[str, TruthImage],
    match: Callable[[list[dict], list[dict]], list[bool]],
) -> np.ndarray:
    """(K,) by loops over classes, images and detections."""
    result = np.full(NUM_LOCALIZATIONS, np.nan)
    for k in range(NUM_LOCALIZATIONS):
        num_truths = sum(int(image.localizations[:, k].sum()) for image in truth.values())
        if num_truths == 0:
            continue
        scores: list[float] = []
        outcomes: list[bool] = []
        for row in rows:
            image, counts = truth[row.image_id], row.masks()
            size = [row.height, row.width]
            detected = sorted((p for p in row.predictions if p[0] == k), key=lambda p: -p[1])
            masks = [{"size": size, "counts": counts[text]} for _, _, text in detected]
            cells = [
                rle
                for rle, classes in zip(image.rles, image.localizations, strict=True)
                if classes[k]
            ]
            outcomes += match(masks, cells) if cells else [False] * len(masks)
            scores += [confidence for _, confidence, _ in detected]
        order = np.argsort(-np.array(scores), kind="stable")
        result[k] = _area(np.array(outcomes, bool)[order], num_truths)
    return result


def match_each(masks: list[dict], cells: list[dict]) -> list[bool]:
    """Say which detections are true, asking for the overlaps of one after the other."""
    return _take(coco_mask.iou([mask], cells, [0] * len(cells))[0] for mask in masks)


def match_batch(masks: list[dict], cells: list[dict]) -> list[bool]:
    """Say which detections are true, asking for all overlaps of the class at once."""
    return _take(coco_mask.iou(masks, cells, [0] * len(cells)))


def _take(overlaps_of_detections: Iterable[np.ndarray]) -> list[bool]:
    taken: set[int] = set()
    outcomes = []
    for overlaps in overlaps_of_detections:
        best = int(np.argmax(overlaps))
        true = bool(overlaps[best] >= IOU) and best not in taken
        if true:
            taken.add(best)
        outcomes.append(true)
    return outcomes


def _area(outcomes: np.ndarray, num_truths: int) -> float:
    found = np.cumsum(outcomes)
    recall = np.concatenate([[0.0], found / num_truths, [1.0]])
    precision = np.concatenate([[0.0], found / np.arange(1, len(found) + 1), [0.0]])
    for at in range(len(precision) - 2, -1, -1):
        precision[at] = max(precision[at], precision[at + 1])
    steps = np.flatnonzero(recall[1:] != recall[:-1]) + 1
    return float(np.sum((recall[steps] - recall[steps - 1]) * precision[steps]))


def write_files(submission: Path, truth: Path, images: int, cells: int, height: int) -> None:
    """Synthetic files: wavy cells on a grid, each detected a little off, for every class."""
    rng = np.random.default_rng(0)
    width = height * 7 // 8
    categories = [
        {
            "id": localization.hpa_index + 1,
            "name": localization.name,
            "hpa_index": localization.hpa_index,
        }
        for localization in LOCALIZATIONS
    ]
    content: dict = {"images": [], "annotations": [], "categories": categories}
    rows = []
    for number in range(1, images + 1):
        content["images"].append(
            {
                "id": number,
                "hpa_id": f"synthetic-{number}",
                "file_name": f"synthetic-{number}_green.png",
                "width": width,
                "height": height,
            }
        )
        predictions = []
        for true, detected in _cells(rng, cells, height, width):
            classes = rng.choice(NUM_LOCALIZATIONS, rng.integers(1, 4), replace=False)
            content["annotations"].append(
                {
                    "id": len(content["annotations"]) + 1,
                    "image_id": number,
                    "category_ids": (classes + 1).tolist(),
                    "segmentation": {"size": [height, width], "counts": true.decode()},
                }
            )
            text = encode_mask(detected)
            scores = rng.random(NUM_LOCALIZATIONS)
            scores[classes] = scores[classes] ** 0.5
            predictions += [(k, float(score), text) for k, score in enumerate(scores)]
        rows.append(SubmissionRow(f"synthetic-{number}", width, height, predictions))
    write_submission(submission, rows)
    truth.write_text(json.dumps(content), encoding="utf-8")


def _cells(rng: np.random.Generator, count: int, height: int, width: int) -> list:
    """Pairs of counts, true and detected, of closed wavy outlines on a grid."""
    side = int(np.ceil(np.sqrt(count)))
    angles = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    pairs = []
    for place in range(count):
        centre = np.array([place % side + 0.5, place // side + 0.5]) * (width / side, height / side)
        radii = 0.42 * min(width, height) / side * (1 + 0.1 * np.sin(angles * rng.integers(2, 7)))
        outline = np.stack([np.cos(angles), np.sin(angles)], axis=1) * radii[:, None] + centre
        shift = rng.normal(0, 0.06 * width / side, 2)
        polygons = [outline.ravel().tolist(), (outline + shift).ravel().tolist()]
        true, detected = coco_mask.frPyObjects(polygons, height, width)
        pairs.append((true["counts"], detected["counts"]))
    return pairs


if __name__ == "__main__":
    sys.exit(main())
