"""What a run is asked to do, and the images it will do it to."""

import csv
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from hpa_mmdet.errors import InputError, list_some
from hpa_mmdet.io.channels import DEFAULT_PATTERN, ImageFiles, scan_images
from hpa_mmdet.io.label_images import find_masks
from hpa_mmdet.io.naming import split_plane
from hpa_mmdet.jobs.shards import Shard
from hpa_mmdet.predictions.submission_rows import DEFAULT_MIN_CONFIDENCE

OUTPUT_NAMES = (
    "submission", "table", "coco", "labels", "overlays", "gallery", "anndata", "embeddings",
)  # fmt: skip
"""Keys of `OUTPUTS`, for the tool's help, which loads none of them."""
DEFAULT_OUTPUTS = ("submission", "table", "coco")
WHOLE = Shard(1, 1)


@dataclass(frozen=True)
class RunOptions:
    """What tools/infer.py is told beside the model and the images.

    Args:
        out: folder of all results.
        masks: folder of label images: name these cells and find none.
        pattern: names of the image files.
        channel_words: as --channels gives them; the model's channels by default.
        write: names out of `OUTPUTS`.
        workers: threads that read, and as many that write.
        engine: `local` or `ray`.
        shard: which part of the images to do.
        resume: go on with the run that is in `out`.
        overwrite: throw the run in `out` away.
        sample_submission: CSV whose ids the submission must have.
        min_confidence: triples of the submission below it are left out.
        thresholds: (19,) p(k | cell) from which on a class is called; None for the model's.
        call_score: p(cell) from which on a cell is in the table, the label images, the
            pictures and AnnData; submission and COCO results have all.
    """

    out: Path
    masks: Path | None = None
    pattern: str = DEFAULT_PATTERN
    channel_words: tuple[str, ...] | None = None
    write: tuple[str, ...] = DEFAULT_OUTPUTS
    workers: int = 2
    engine: str = "local"
    shard: Shard = WHOLE
    resume: bool = False
    overwrite: bool = False
    sample_submission: Path | None = None
    min_confidence: float = DEFAULT_MIN_CONFIDENCE
    thresholds: tuple[float, ...] | None = None
    call_score: float = 0.5


@dataclass(frozen=True)
class PlannedImage:
    """One image to predict.

    Args:
        files: its channels; none for an image that only the sample submission knows.
        mask: its label image, where cells are given.
        size_wh: as the sample submission says it.
        problem: why it cannot be read, known already.
    """

    files: ImageFiles
    mask: Path | None = None
    size_wh: tuple[int, int] | None = None
    problem: InputError | None = None

    @property
    def image_id(self) -> str:
        """Its HPA id."""
        return self.files.image_id


@dataclass(frozen=True)
class InferencePlan:
    """All images of a run, by rising id, and what a user should know of them."""

    images: tuple[PlannedImage, ...]
    notes: tuple[str, ...] = field(default=())

    def fingerprint(self) -> str:
        """SHA-256 over ids, file names and their sizes in bytes: tells another folder."""
        digest = hashlib.sha256()
        for image in self.images:
            files = {**image.files.paths, **({"mask": image.mask} if image.mask else {})}
            for kind, path in sorted(files.items()):
                file = split_plane(path)[0]
                size = file.stat().st_size if file.is_file() else -1
                digest.update(f"{image.image_id}\0{kind}\0{path.name}\0{size}\n".encode())
            digest.update(f"{image.image_id}\n".encode())
        return digest.hexdigest()


def plan_run(images: Path, channels: Sequence[str], options: RunOptions) -> InferencePlan:
    """List the images of a folder with their masks, checked against the sample submission.

    Args:
        images: folder of channel files.
        channels: the model's.
        options: of the run.

    Raises:
        InputError: a folder is missing or holds nothing that fits, or the sample
            submission cannot be read or names none of the images.
    """
    found = scan_images(images, options.channel_words or tuple(channels), options.pattern)
    files = {image.image_id: image for image in found.images}
    masks = find_masks(options.masks) if options.masks else None
    notes: list[str] = []
    sizes: Mapping[str, tuple[int, int]] = {}
    if options.sample_submission is not None:
        sizes = read_sample_sizes(options.sample_submission)
        extra = sorted(set(files) - set(sizes))
        if len(extra) == len(files):
            raise InputError(
                options.sample_submission,
                f"none of the {len(files)} ids in {images} (such as {extra[0]})",
                "the ids of the images",
                "give the sample submission of these images",
            )
        if extra:
            notes.append(
                f"left out {len(extra)} images that the sample submission lacks: "
                f"{list_some(extra, 3)}"
            )
    planned = []
    for image_id in sorted(sizes or files):
        problem = found.problems.get(image_id)
        if image_id not in files:
            problem = InputError(
                f"image {image_id}",
                f"no files in {images}",
                f"those of every id in {options.sample_submission}",
                "add the image's files",
            )
        elif masks is not None and image_id not in masks:
            problem = InputError(
                f"image {image_id}", f"no mask in {options.masks}", "one for each image",
                "segment it, or leave out --instances masks",
            )  # fmt: skip
        planned.append(
            PlannedImage(
                files.get(image_id, ImageFiles(image_id, {})),
                masks.get(image_id) if masks else None,
                sizes.get(image_id),
                problem,
            )
        )
    return InferencePlan(tuple(planned), tuple(notes))


def read_sample_sizes(path: Path) -> dict[str, tuple[int, int]]:
    """Read the ids of a sample submission with their (width, height).

    Raises:
        InputError: there is no such file, a column is missing, or a size is no number.
    """
    sizes: dict[str, tuple[int, int]] = {}
    csv.field_size_limit(2**31 - 1)
    try:
        with path.open(newline="", encoding="utf-8-sig") as handle:
            for row in csv.DictReader(handle):
                sizes[row["ID"]] = (int(row["ImageWidth"]), int(row["ImageHeight"]))
    except (OSError, KeyError, ValueError, TypeError, csv.Error) as error:
        raise InputError(
            path,
            f"no readable table ({type(error).__name__}: {error})",
            "columns ID,ImageWidth,ImageHeight",
            "give the contest's sample_submission.csv",
        ) from error
    return sizes
