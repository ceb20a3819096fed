"""The report of a whole run: curves, pictures, scores and how it was made, in one page.

Whatever part is absent is said on the page, so that a run that broke off has a report too.
"""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from hpa_mmdet.coco.parse import CocoImage
from hpa_mmdet.coco.read import read_coco
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.submission import SubmissionRow, read_submission
from hpa_mmdet.localizations import NUM_LOCALIZATIONS
from hpa_mmdet.pages.draw import localization_legend
from hpa_mmdet.pages.page import Cell, Page, Picture
from hpa_mmdet.pages.plots import plot_curves
from hpa_mmdet.pages.training_log import Curve, read_training_log
from hpa_mmdet.predictions.call_rules import CallRules
from hpa_mmdet.predictions.drawing import draw_called
from hpa_mmdet.predictions.submission_rows import prediction_of_row
from hpa_mmdet.reports.pictures import (
    drawn_picture,
    read_backdrop,
    true_cells,
)
from hpa_mmdet.reports.run_scores import add_scores, read_scores

PACKAGES = ("hpa-mmdet", "torch", "torchvision", "mmdet", "mmengine", "mmcv-lite", "timm", "numpy")
_PICTURE_PX = 760
# a submission does not say p(cell), which is estimated, nor from where on a class is called
_RULES = CallRules((0.4,) * NUM_LOCALIZATIONS)


@dataclass
class RunFiles:
    """What a report is made from; a part that is None or not there is said to be absent.

    Attributes:
        work_dir: of the training.
        images: folder of the channel files.
        truth: COCO JSON with each cell's own set.
        submission: predictions.
        evaluation: JSON of tools/evaluate.py.
        marks: other evaluations of the same images to stand beside, by name.
        facts: further lines of the run summary, such as the commands' times.
    """

    work_dir: Path
    images: Path | None = None
    truth: Path | None = None
    submission: Path | None = None
    evaluation: Path | None = None
    marks: Mapping[str, Path] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)


def build_report(files: RunFiles, *, title: str, limit: int = 4) -> tuple[Page, list[str]]:
    """Put the page together.

    Args:
        files: what to read.
        title: of the page.
        limit: how many images to show.

    Returns:
        The page, and what was absent or unreadable, a line each.
    """
    page = Page(title, f"from {files.work_dir}")
    absent: list[str] = []
    sections = (
        ("Score", lambda: _add_scores(page, files)),
        ("Pictures", lambda: _add_pictures(page, files, limit, absent)),
        ("Training", lambda: _add_training(page, files.work_dir)),
        ("How it was made", lambda: _add_summary(page, files)),
    )
    for heading, add in sections:
        page.add_heading(heading)
        try:
            add()
        except InputError as error:
            page.add_note(f"Not shown. {error}")
            absent.append(f"{heading}: {error}")
    return page, absent


def _needed(path: Path | None, option: str) -> Path:
    if path is None:
        raise InputError(option, "nothing", "a path", f"give {option} to show this part")
    return path


def _add_scores(page: Page, files: RunFiles) -> None:
    marks = {name: read_scores(path) for name, path in files.marks.items()}
    add_scores(page, read_scores(_needed(files.evaluation, "--evaluation")), marks)


def _add_pictures(page: Page, files: RunFiles, limit: int, absent: list[str]) -> None:
    truth = read_coco(_needed(files.truth, "--truth"))
    rows = _rows_of(_needed(files.submission, "--submission"))
    folder = files.images or truth.images_root
    chosen = _choose(truth.images, limit)
    page.add_text(
        "Left the truth, right the prediction: each cell with its localizations and, where "
        "predicted, their confidence."
    )
    pictures: list[Picture] = []
    shown: set[int] = set()
    for image in chosen:
        try:
            backdrop = read_backdrop(image, folder, _PICTURE_PX)
        except InputError as error:
            page.add_note(f"Not shown: {image.hpa_id}. {error}")
            absent.append(f"Pictures: {error}")
            continue
        shown.update(_classes(image))
        row = rows.get(image.hpa_id)
        found = draw_called(prediction_of_row(row), _RULES) if row else []
        words = f"predicted, {len(found)} cells" if row else "no row in the submission"
        pictures.append(
            Picture(drawn_picture(backdrop, true_cells(image)), f"{image.hpa_id}: truth")
        )
        pictures.append(Picture(drawn_picture(backdrop, found), f"{image.hpa_id}: {words}"))
    page.add_pictures(pictures, columns=2)
    page.add_legend(localization_legend(shown))


def _rows_of(submission: Path) -> dict[str, SubmissionRow]:
    return {row.image_id: row for row in read_submission(submission)}


def _choose(images: Sequence[CocoImage], limit: int) -> list[CocoImage]:
    """Take images one by one that together show most of the classes."""
    left = list(images)
    chosen: list[CocoImage] = []
    seen: set[int] = set()
    while left and len(chosen) < limit:
        best = max(left, key=lambda image: len(_classes(image) - seen))
        chosen.append(best)
        seen |= _classes(best)
        left.remove(best)
    return chosen


def _classes(image: CocoImage) -> set[int]:
    return {k for cell in image.cells for k in cell.hpa_indices}


def _add_training(page: Page, work_dir: Path) -> None:
    log = read_training_log(work_dir)
    if not log.training and not log.validation:
        raise InputError(
            work_dir, "no vis_data/scalars.json", "the log of a training", "train first"
        )
    losses = {name: log.training[name] for name in sorted(log.training) if "loss" in name}
    groups = (
        ("Losses of the training steps", losses, "loss"),
        ("Learning rate", {k: v for k, v in log.training.items() if k == "lr"}, "lr"),
        ("Other figures of the training", _others(log.training, losses), ""),
        ("Validation", log.validation, ""),
    )
    for title, curves, y_name in groups:
        if curves:
            page.add_figure(plot_curves(curves, title=title, y_name=y_name))
    rows: list[list[Cell]] = [
        [name, len(y), y[0], y[-1], min(y), max(y)] for name, (_, y) in log.all_curves()
    ]
    page.add_table(["curve", "points", "first", "last", "lowest", "highest"], rows, digits=4)


def _others(training: Mapping[str, Curve], losses: Mapping[str, Curve]) -> dict[str, Curve]:
    return {name: curve for name, curve in training.items() if name not in losses and name != "lr"}


def _add_summary(page: Page, files: RunFiles) -> None:
    log = read_training_log(files.work_dir)
    rows: list[list[Cell]] = [[name, value] for name, value in files.facts.items()]
    if log.step_s is not None:
        rows.append(["seconds of a training step", f"{log.step_s[0]:.3f}"])
        rows.append(["of it waiting for data", f"{log.step_s[1]:.3f}"])
        rows.append(["minutes of training, start to last line", f"{log.wall_s / 60:.1f}"])
    rows += [[name, value] for name, value in _facts_of_config(files.work_dir).items()]
    rows.append(["Python", f"{platform.python_version()} on {platform.machine()}"])
    rows += [[name, _version(name)] for name in PACKAGES]
    page.add_table(["", "value"], rows)


def _facts_of_config(work_dir: Path) -> dict[str, str]:
    """Read the seed from the configs that mmengine keeps as JSON text beside its log."""
    facts: dict[str, str] = {}
    for path in sorted(work_dir.glob("**/vis_data/config.py")):
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("randomness") and "seed=" in line:
                facts["seed"] = line.split("seed=")[1].split(")")[0].split(",")[0]
    return facts


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
