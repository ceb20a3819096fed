"""Predictions on disk: chunks of images as JSON lines, and a manifest of the run.

    OUT/predictions/manifest.json        what the run was: model, options, inputs, versions
    OUT/predictions/chunk-000000.jsonl   16 images, one line each, in the order of their ids
    OUT/predictions/SHA256SUMS           of all chunks, once all are there

Chunks are the parts of a resumable job (`jobs.parts`): each appears whole or not at all, so a
run that was killed goes on at the first chunk that is missing. All other outputs are made from
the chunks.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from hpa_mmdet.errors import InputError
from hpa_mmdet.inference.stored_images import RUN_AGAIN, StoredImage, parse_line
from hpa_mmdet.io.json_files import read_json_object, shorten
from hpa_mmdet.io.output_records import file_sha256
from hpa_mmdet.jobs import Failure
from hpa_mmdet.jobs.fingerprint import fingerprint
from hpa_mmdet.jobs.parts import PartFolder, PartSummary

FORMAT = "hpa-mmdet-predictions/1"
CHUNK_IMAGES = 16
MANIFEST = "manifest.json"
_MOST_IMAGES = 10**8


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
        raise InputError(path, problem=f"no readable chunk ({error})", remedy=RUN_AGAIN) from error


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


def _compare(old: dict[str, Any], new: dict[str, Any], path: Path) -> None:
    for key in sorted({*old, *new}):
        if old.get(key) != new.get(key):
            raise InputError(
                path,
                f"a run with {key} {shorten(old.get(key))}",
                f"{shorten(new.get(key))} as in this one",
                "resume with the same images, model, options and versions, or give another --out",
            )
