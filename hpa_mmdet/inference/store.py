"""Predictions on disk: chunks of images as JSON lines, and a manifest of the run.

    OUT/predictions/manifest.json       what the run was: model, options, inputs, versions
    OUT/predictions/chunk-00000.jsonl   16 images, one line each, in the order of their ids
    OUT/predictions/SHA256SUMS          of all chunks, once all are there

A chunk appears whole or not at all, so a run that was killed goes on at the first chunk
that is missing. All other outputs are made from the chunks.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.channels import ImageFiles
from hpa_mmdet.io.output_records import file_sha256
from hpa_mmdet.io.outputs import OutputFiles
from hpa_mmdet.predictions.cells import CellPrediction, ImagePrediction

FORMAT = "hpa-mmdet-predictions/1"
CHUNK_IMAGES = 16
MANIFEST = "manifest.json"
_DECIMALS = 6


@dataclass(frozen=True)
class StoredImage:
    """One line of a chunk.

    Args:
        prediction: the cells; none for an image that failed.
        files: the channel files that were read, by channel, below the folder of images.
        pixels_sha256: of the (H, W, C) pixels as they were read.
        error: why the image failed, or "".
    """

    prediction: ImagePrediction
    files: dict[str, str]
    pixels_sha256: str = ""
    error: str = ""

    def image_files(self, images: Path) -> ImageFiles:
        """Find the channel files again, below the folder of images."""
        paths = {channel: images / name for channel, name in self.files.items()}
        return ImageFiles(self.prediction.image_id, paths)


class PredictionStore:
    """The folder `predictions` of one run.

    Args:
        folder: OUT/predictions.
        count: images of the whole run, all shards together.
    """

    def __init__(self, folder: Path, count: int) -> None:
        self.folder = folder
        self.count = count

    @property
    def chunks(self) -> range:
        """The numbers of all chunks."""
        return range(-(-self.count // CHUNK_IMAGES))

    def items(self, chunk: int) -> slice:
        """Which images, by their place in the order of ids, a chunk holds."""
        return slice(chunk * CHUNK_IMAGES, min((chunk + 1) * CHUNK_IMAGES, self.count))

    def path(self, chunk: int) -> Path:
        """The file of a chunk."""
        return self.folder / f"chunk-{chunk:05d}.jsonl"

    def missing(self) -> list[int]:
        """Chunks that are not there yet."""
        return [chunk for chunk in self.chunks if not self.path(chunk).is_file()]

    def begin(self, files: OutputFiles, manifest: dict[str, Any], *, resume: bool) -> None:
        """Write the manifest, or compare it with that of the run to go on with.

        Args:
            files: of the run.
            manifest: what the run depends on.
            resume: whether a run may be there already.

        Raises:
            InputError: there is a run already and `resume` is not said, or it was another
                one, or its manifest is damaged.
        """
        path = self.folder / MANIFEST
        content = {"format": FORMAT, **manifest, "images": self.count, "chunk_images": CHUNK_IMAGES}
        if not path.is_file():
            with files.writing(path) as temporary:
                temporary.write_text(json.dumps(content, indent=1, sort_keys=True))
            return
        if not resume:
            raise InputError(
                path,
                problem="there are predictions of an earlier run",
                remedy="give --resume to go on with them, --overwrite to begin anew, or another "
                "--out",
            )
        _compare(_read_manifest(path), json.loads(json.dumps(content)), path)

    def write(self, files: OutputFiles, chunk: int, lines: Sequence[str]) -> None:
        """Write the lines of a chunk, whole or not at all."""
        with files.writing(self.path(chunk)) as temporary:
            temporary.write_text("".join(line + "\n" for line in lines), encoding="utf-8")

    def seal(self, files: OutputFiles) -> None:
        """Write the checksums of all chunks, as sha256sum reads them."""
        lines = [
            f"{file_sha256(self.path(chunk))}  {self.path(chunk).name}\n" for chunk in self.chunks
        ]
        with files.writing(self.folder / "SHA256SUMS") as temporary:
            temporary.write_text("".join(lines), encoding="utf-8")

    def read(self, chunks: Iterable[int] | None = None) -> Iterator[StoredImage]:
        """Read the images of some or all chunks in the order of their ids, one at a time."""
        for chunk in self.chunks if chunks is None else chunks:
            yield from read_chunk(self.path(chunk))


def read_chunk(path: Path) -> Iterator[StoredImage]:
    """Read the images of one chunk.

    Raises:
        InputError: the file is missing or is not a chunk.
    """
    try:
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                yield parse_line(line)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            path, f"no readable chunk ({error})", "lines that tools/infer.py wrote", "predict again"
        ) from error


def read_folder(out: Path) -> Iterator[StoredImage]:
    """Read the predictions of a complete run, given its --out folder or `predictions`.

    Raises:
        InputError: there is no run, or chunks of it are missing.
    """
    folder = out if out.name == "predictions" else out / "predictions"
    store = PredictionStore(folder, _read_manifest(folder / MANIFEST)["images"])
    missing = store.missing()
    if missing:
        raise InputError(
            folder,
            f"no {store.path(missing[0]).name} ({len(missing)} chunks are missing)",
            f"all {len(store.chunks)} chunks",
            "finish the run with --resume",
        )
    yield from store.read()


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(manifest["images"], int) and manifest["images"] >= 0:
            return dict(manifest)
        problem = "images is no number"
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        problem = f"{type(error).__name__}: {error}"
    raise InputError(
        path,
        problem=f"is no manifest of a run ({problem})",
        remedy="check the path; if the run's manifest is damaged, run it again with --overwrite",
    )


def line_of(stored: StoredImage) -> str:
    """Write one image as one line: scores with six decimals, keys in a fixed order."""
    prediction = stored.prediction
    content: dict[str, Any] = {
        "image_id": prediction.image_id,
        "width": prediction.width,
        "height": prediction.height,
        "files": stored.files,
        "pixels_sha256": stored.pixels_sha256,
    }
    if stored.error:
        content["error"] = stored.error
    if prediction.notes:
        content["notes"] = list(prediction.notes)
    content["image_probs"] = _rounded(prediction.image_probs)
    content["cells"] = [
        {
            "cell_id": cell.cell_id,
            "bbox": list(cell.bbox_xywh),
            "area": cell.area,
            "score": round(cell.cell_score, _DECIMALS),
            "localization_scores": _rounded(cell.localization_scores),
            "counts": cell.counts,
        }
        for cell in prediction.cells
    ]
    return json.dumps(content, separators=(",", ":"), allow_nan=False)


def parse_line(line: str) -> StoredImage:
    """Read one image of a chunk; the inverse of `line_of`.

    Raises:
        ValueError, KeyError, TypeError: the line is damaged.
    """
    content = json.loads(line)
    shape_hw = (content["height"], content["width"])
    cells = [
        CellPrediction(
            counts=cell["counts"],
            shape_hw=shape_hw,
            bbox_xywh=tuple(cell["bbox"]),
            area=cell["area"],
            cell_score=cell["score"],
            localization_scores=np.array(cell["localization_scores"], np.float32),
            cell_id=cell["cell_id"],
        )
        for cell in content["cells"]
    ]
    probs = content["image_probs"]
    prediction = ImagePrediction(
        content["image_id"],
        content["width"],
        content["height"],
        cells,
        None if probs is None else np.array(probs, np.float32),
        tuple(content.get("notes", ())),
    )
    return StoredImage(
        prediction, content["files"], content["pixels_sha256"], content.get("error", "")
    )


def _rounded(values: NDArray[np.float32] | None) -> list[float] | None:
    if values is None:
        return None
    return [round(float(value), _DECIMALS) for value in values]


def _compare(old: dict[str, Any], new: dict[str, Any], path: Path) -> None:
    for key in sorted({*old, *new}):
        if old.get(key) != new.get(key):
            raise InputError(
                path,
                f"a run with {key} {old.get(key)}",
                f"{new.get(key)} as in this one",
                "resume with the same images, model, options and versions, or give another --out",
            )
