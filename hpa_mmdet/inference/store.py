"""Predictions on disk: chunks of images as JSON lines, and a manifest of the run.

    OUT/predictions/manifest.json        what the run was: model, options, inputs, versions
    OUT/predictions/chunk-000000.jsonl   16 images, one line each, in the order of their ids
    OUT/predictions/SHA256SUMS           of all chunks, once all are there

Chunks are the parts of a resumable job (`jobs.parts`): each appears whole or not at all, so a
run that was killed goes on at the first chunk that is missing. All other outputs are made from
the chunks.
"""

import base64
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.channels import ImageFiles
from hpa_mmdet.io.json_files import parse_json, read_json_object, resolve_below, shorten
from hpa_mmdet.io.output_records import file_sha256
from hpa_mmdet.jobs import Failure
from hpa_mmdet.jobs.fingerprint import fingerprint
from hpa_mmdet.jobs.parts import PartFolder, PartSummary
from hpa_mmdet.localizations import NUM_LOCALIZATIONS
from hpa_mmdet.predictions.cells import CellPrediction, ImagePrediction

FORMAT = "hpa-mmdet-predictions/1"
CHUNK_IMAGES = 16
MANIFEST = "manifest.json"
_DECIMALS = 6
_MOST_IMAGES = 10**8


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
        """Find the channel files again.

        Raises:
            InputError: a name leads out of the folder of images.
        """
        where = f"predictions, image {self.prediction.image_id}"
        paths = {
            channel: resolve_below(images, name, where) for channel, name in self.files.items()
        }
        return ImageFiles(self.prediction.image_id, paths)


class PredictionStore:
    """The folder `predictions` of one run.

    Args:
        folder: OUT/predictions.
        manifest: what the run depends on; a chunk of another manifest is none of the run.
        count: images of the whole run, all shards together.
    """

    def __init__(self, folder: Path, manifest: dict[str, Any], count: int) -> None:
        self.folder, self.count = folder, count
        self.manifest = {
            "format": FORMAT,
            **manifest,
            "images": count,
            "chunk_images": CHUNK_IMAGES,
        }
        self.parts = PartFolder(folder, "infer", name="chunk-", ending=".jsonl")
        self._mark = fingerprint(sorted(self.manifest.items()))

    @property
    def chunks(self) -> range:
        """The numbers of all chunks."""
        return range(-(-self.count // CHUNK_IMAGES))

    def items(self, chunk: int) -> slice:
        """Which images, by their place in the order of ids, a chunk holds."""
        return slice(chunk * CHUNK_IMAGES, min((chunk + 1) * CHUNK_IMAGES, self.count))

    def missing(self) -> list[int]:
        """Chunks that are not there yet."""
        return [chunk for chunk in self.chunks if not self.parts.path_of(chunk).is_file()]

    def summary_of(self, chunk: int) -> PartSummary | None:
        """Give what a report says of a chunk; None where it is to be done.

        Raises:
            InputError: its file was changed since; the message says to remove it.
        """
        return self.parts.summary_of(chunk, self._mark)

    def begin(self, *, resume: bool) -> None:
        """Write the manifest, or compare it with that of the run to go on with.

        Args:
            resume: whether a run may be there already.

        Raises:
            InputError: there is a run already and `resume` is not said, or it was another
                one, or its manifest is damaged.
        """
        path = self.folder / MANIFEST
        if not path.is_file():
            with self.parts.outputs.writing(path) as temporary:
                temporary.write_text(json.dumps(self.manifest, indent=1, sort_keys=True))
            return
        if not resume:
            raise InputError(
                path,
                problem="there are predictions of an earlier run",
                remedy="give --resume to go on with them, --overwrite to begin anew, or another "
                "--out",
            )
        _compare(_read_manifest(path), json.loads(json.dumps(self.manifest)), path)

    def write(self, chunk: int, lines: Sequence[str]) -> PartSummary:
        """Write the lines of a chunk, whole or not at all."""
        summary = PartSummary()
        for line in lines:
            content = json.loads(line)
            if "error" in content:
                summary.failures.append(Failure(content["image_id"], content["error"]))
            else:
                summary.done += 1
            summary.notes += content.get("notes", [])
        with self.parts.writing(chunk, self._mark, summary) as temporary:
            temporary.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
        return summary

    def seal(self) -> None:
        """Write the checksums of all chunks, as sha256sum reads them."""
        paths = [self.parts.path_of(chunk) for chunk in self.chunks]
        lines = [f"{file_sha256(path)}  {path.name}\n" for path in paths]
        with self.parts.outputs.writing(self.folder / "SHA256SUMS") as temporary:
            temporary.write_text("".join(lines), encoding="utf-8")

    def read(self, chunks: Iterable[int] | None = None) -> Iterator[StoredImage]:
        """Read the images of some or all chunks in the order of their ids, one at a time."""
        for chunk in self.chunks if chunks is None else chunks:
            yield from read_chunk(self.parts.path_of(chunk))


def read_chunk(path: Path) -> Iterator[StoredImage]:
    """Read the images of one chunk.

    Raises:
        InputError: the file is missing or is not a chunk.
    """
    try:
        with path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                yield parse_line(line, f"{path}, line {number}")
    except OSError as error:
        raise InputError(path, problem=f"no readable chunk ({error})", remedy=_AGAIN) from error


def read_folder(out: Path) -> Iterator[StoredImage]:
    """Read the predictions of a complete run, given its --out folder or `predictions`.

    Raises:
        InputError: there is no run, or chunks of it are missing or damaged.
    """
    folder = out if out.name == "predictions" else out / "predictions"
    manifest = _read_manifest(folder / MANIFEST)
    store = PredictionStore(folder, manifest, manifest["images"])
    paths = [store.parts.path_of(chunk) for chunk in store.chunks]
    missing = next((path for path in paths if not path.is_file()), None)
    if missing is not None:
        raise InputError(
            folder, f"no {missing.name}", f"all {len(paths)} chunks", "finish the run with --resume"
        )
    yield from store.read()


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
            **_embedding_entry(cell),
        }
        for cell in prediction.cells
    ]
    return json.dumps(content, separators=(",", ":"), allow_nan=False)


def _embedding_entry(cell: CellPrediction) -> dict[str, str]:
    if cell.embedding is None:
        return {}
    return {"embedding": base64.b64encode(cell.embedding.astype("<f4").tobytes()).decode("ascii")}


def _parse_embedding(text: str | None) -> NDArray[np.float32] | None:
    if text is None:
        return None
    embedding = np.frombuffer(base64.b64decode(text, validate=True), "<f4")
    if not np.isfinite(embedding).all():
        raise ValueError("an embedding with numbers that are not finite")
    return embedding.astype(np.float32)


_AGAIN = "remove this file and run with --resume, which predicts its images again"


def parse_line(line: bytes, where: object) -> StoredImage:
    """Read one image of a chunk; the inverse of `line_of`.

    Raises:
        InputError: the line is damaged.
    """
    content = parse_json(line, where)
    try:
        shape_hw = (_whole(content["height"]), _whole(content["width"]))
        cells = [_parse_cell(cell, shape_hw) for cell in content["cells"]]
        probs = content["image_probs"]
        prediction = ImagePrediction(
            str(content["image_id"]),
            shape_hw[1],
            shape_hw[0],
            cells,
            None if probs is None else _scores(probs),
            tuple(content.get("notes", ())),
        )
        files = {str(channel): str(name) for channel, name in content["files"].items()}
        digest, error = content["pixels_sha256"], content.get("error", "")
        return StoredImage(prediction, files, str(digest), str(error))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            where, problem=f"no line of a chunk ({shorten(str(error))})", remedy=_AGAIN
        ) from error


def _parse_cell(cell: dict[str, Any], shape_hw: tuple[int, int]) -> CellPrediction:
    x, y, width, height = map(_whole, cell["bbox"])
    score = float(cell["score"])
    if not 0 <= score <= 1:
        raise ValueError(f"score {score}")
    return CellPrediction(
        counts=str(cell["counts"]),
        shape_hw=shape_hw,
        bbox_xywh=(x, y, width, height),
        area=_whole(cell["area"]),
        cell_score=score,
        localization_scores=_scores(cell["localization_scores"]),
        cell_id=None if cell["cell_id"] is None else _whole(cell["cell_id"]),
        embedding=_parse_embedding(cell.get("embedding")),
    )


def _scores(values: Any) -> NDArray[np.float32]:
    scores = np.array(values, np.float32)
    if scores.shape != (NUM_LOCALIZATIONS,) or not ((scores >= 0) & (scores <= 1)).all():
        raise ValueError(f"scores {values}")
    return scores


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{value!r} is no whole number")
    return value


def _read_manifest(path: Path) -> dict[str, Any]:
    remedy = "remove it and run the same command again, which keeps the chunks of this run"
    if not path.is_file():
        remedy = "give the --out folder of a run of tools/infer.py"
    try:
        manifest = read_json_object(path)
    except InputError as error:
        raise InputError(
            path, problem=f"is no manifest of a run ({error})", remedy=remedy
        ) from error
    images = manifest.get("images")
    if not isinstance(images, int) or not 0 <= images <= _MOST_IMAGES:
        raise InputError(
            path, problem=f"is no manifest of a run (images is {shorten(images)})", remedy=remedy
        )
    return manifest


def _rounded(values: NDArray[np.float32] | None) -> list[float] | None:
    if values is None:
        return None
    return [round(float(value), _DECIMALS) for value in values]


def _compare(old: dict[str, Any], new: dict[str, Any], path: Path) -> None:
    for key in sorted({*old, *new}):
        if old.get(key) != new.get(key):
            raise InputError(
                path,
                f"a run with {key} {shorten(old.get(key))}",
                f"{shorten(new.get(key))} as in this one",
                "resume with the same images, model, options and versions, or give another --out",
            )
