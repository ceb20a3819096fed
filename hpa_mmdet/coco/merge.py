"""Several COCO JSONs as one: the shards of a conversion, or datasets of different origin."""

import os
import re
from collections.abc import Sequence
from pathlib import Path

from hpa_mmdet.coco.convert import PLAN_KEY, REPORT_ENDING, ConversionFiles, report_path
from hpa_mmdet.coco.lines import CocoLines, without_id
from hpa_mmdet.coco.parse import CocoImage
from hpa_mmdet.coco.read import find_images_root
from hpa_mmdet.coco.schema import Json, build_info, to_line
from hpa_mmdet.coco.writer import CocoWriter, open_writer
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.outputs import OutputFiles
from hpa_mmdet.jobs import Report, read_report
from hpa_mmdet.jobs.shards import Shard

_SHARD = re.compile(r"\.shard-(\d+)-of-(\d+)$")


def merge(paths: Sequence[Path], out: Path, *, overwrite: bool = False) -> Report:
    """Join files; shards give the bytes that one run would have written.

    Image ids are kept where all differ, and else counted anew. Where the images' folders
    differ, file names are made relative to the folder above them all.

    Args:
        paths: at least one; shards may come in any order, and reports among them, as a
            glob finds them, are passed over.
        out: the JSON to write, with a report beside it that joins the reports, and for
            shards the joined table of what was dropped.
        overwrite: replace files of an earlier merge.

    Returns:
        The joined report of the conversions.

    Raises:
        InputError: a shard is missing, an image comes twice, categories or what is
            annotated differ, a file cannot be read, or a file is in the way that may not be
            replaced (`io.outputs`).
    """
    outputs = OutputFiles("merge_coco", inputs=paths, overwrite=overwrite)
    for path in (out, report_path(out), ConversionFiles(out, None).dropped):
        outputs.claim(path)
    wanted = [path for path in paths if not path.name.endswith(REPORT_ENDING)]
    if not wanted:
        raise InputError("files", "none", "at least one COCO JSON", "name the files to merge")
    files = [CocoLines(path) for path in _in_order(wanted)]
    _check_alike(files)
    if all(_SHARD.search(path.stem) for path in wanted):
        _check_plans(files)
    roots = [find_images_root(file.info, file.path) for file in files]
    root = _common(roots)
    keep_ids = _image_ids_differ(files)
    annotated = str(files[0].info.get("annotated", "cells"))
    info = build_info(root, out, annotated)
    with (
        outputs.writing(out) as temporary,
        open_writer(temporary, info, files[0].categories) as writer,
    ):
        for file, own_root in zip(files, roots, strict=True):
            prefix = "" if own_root == root else _prefix(own_root, root)
            _copy(file, writer, keep_ids, prefix)
    report = _join_reports(files, keep_ids)
    report.notes.append(f"{out.name}: {writer.describe()}")
    _join_dropped([file.path for file in files], ConversionFiles(out, None).dropped, outputs)
    report.write(report_path(out), outputs)
    return report


def _in_order(paths: Sequence[Path]) -> list[Path]:
    """Sort shards and see that all of them are there; leave other files as they come."""
    fits = [_SHARD.search(path.stem) for path in paths]
    shards = [(int(fit[1]), int(fit[2])) for fit in fits if fit]
    if len(shards) < len(paths):
        return list(paths)
    count = shards[0][1]
    if sorted(shards) != [(index, count) for index in range(1, count + 1)]:
        missing = [index for index in range(1, count + 1) if (index, count) not in shards]
        raise InputError(
            "shards",
            ", ".join(f"{index}/{of}" for index, of in sorted(shards)),
            f"each of 1/{count} to {count}/{count} once",
            f"run the missing ones ({', '.join(map(str, missing)) or 'none'})",
        )
    return [path for _, path in sorted(zip(shards, paths, strict=True))]


def _check_alike(files: Sequence[CocoLines]) -> None:
    first = files[0]
    for file in files[1:]:
        if file.categories != first.categories:
            raise InputError(
                file.path, "other categories", f"those of {first.path}", "convert both alike"
            )
        mine, other = file.info.get("annotated", "cells"), first.info.get("annotated", "cells")
        if mine != other:
            raise InputError(
                file.path, f"outlines of {mine}", f"of {other}", "merge like with like"
            )


def _check_plans(files: Sequence[CocoLines]) -> None:
    """See that shards are parts of one conversion.

    Raises:
        InputError: what they were to convert, or how, differs.
    """
    plans = [_plan_of(file) for file in files]
    for file, plan in zip(files[1:], plans[1:], strict=True):
        for name in ("options", "images", "ids", "labels", "files", "code"):
            if plan.get(name) != plans[0].get(name):
                raise InputError(
                    file.path,
                    problem=f"is a shard of another conversion than {files[0].path.name}: "
                    + _difference(name, plan.get(name), plans[0].get(name)),
                    remedy="convert all shards from the same files, with the same options and "
                    "version",
                )


def _plan_of(file: CocoLines) -> Json:
    plan = file.info.get(PLAN_KEY)
    return plan if isinstance(plan, dict) else {}


def _difference(name: str, mine: object, other: object) -> str:
    if name == "options" and isinstance(mine, dict) and isinstance(other, dict):
        names = sorted(key for key in {*mine, *other} if mine.get(key) != other.get(key))
        values = [
            f"{key} is {mine.get(key, 'the default')}, there {other.get(key, 'the default')}"
            for key in names
        ]
        return ", ".join(values)
    if name == "images":
        return f"it is of {mine} images, the other of {other}"
    return {
        "ids": "the images have other ids",
        "labels": "the labels differ",
        "files": "the files have other names or sizes",
        "code": "another version of the converter wrote it",
    }.get(name, f"{name} differ")


def _image_ids_differ(files: Sequence[CocoLines]) -> bool:
    """Say whether image ids can stay.

    Raises:
        InputError: one image stands in two files.
    """
    seen: dict[str, Path] = {}
    ids: set[int] = set()
    total = 0
    for file in files:
        for _, image in file.images():
            if image.hpa_id in seen:
                raise InputError(
                    file.path,
                    f"image {image.hpa_id} again, as in {seen[image.hpa_id]}",
                    "once",
                    "leave one out",
                )
            seen[image.hpa_id] = file.path
            ids.add(image.image_id)
            total += 1
    return len(ids) == total


def _copy(file: CocoLines, writer: CocoWriter, keep_ids: bool, prefix: str) -> None:
    new_id: dict[int, int] = {}
    shapes_hw: dict[int, tuple[int, int]] = {}
    for line, image in file.images():
        old = image.image_id
        new_id[old] = old if keep_ids else writer.image_count + 1
        shapes_hw[old] = image.shape_hw
        if keep_ids and not prefix:
            writer.add_image(line.text)
        else:
            writer.add_image(to_line(_moved(line.entry, image, new_id[old], prefix)))
    for line, image_id in file.annotations(shapes_hw):
        writer.add_annotation(without_id(line, new_id[image_id]))


def _moved(entry: Json, image: CocoImage, image_id: int, prefix: str) -> Json:
    files = {channel: prefix + name for channel, name in image.channel_files.items()}
    return {**entry, "id": image_id, "file_name": prefix + image.file_name, "channel_files": files}


def _common(roots: Sequence[Path | None]) -> Path | None:
    known = [root.resolve() for root in roots if root is not None]
    if len(known) < len(roots):
        if known:
            raise InputError(
                "files", "some with and some without images", "one kind", "convert them alike"
            )
        return None
    if len(set(known)) == 1:
        return roots[0]
    return Path(os.path.commonpath(known))


def _prefix(own: Path | None, root: Path | None) -> str:
    if own is None or root is None or own.resolve() == root.resolve():
        return ""
    return own.resolve().relative_to(root.resolve()).as_posix() + "/"


def _join_dropped(paths: Sequence[Path], out: Path, outputs: OutputFiles) -> None:
    """Join the tables of what the filters of shards left out."""
    lines: list[str] = []
    for path in paths:
        fit = _SHARD.search(path.stem)
        if fit is None:
            return
        whole = path.with_name(path.stem[: fit.start()] + path.suffix)
        table = ConversionFiles(whole, Shard(int(fit[1]), int(fit[2]))).dropped
        if table.exists():
            header, *rows = table.read_text(encoding="utf-8").splitlines(keepends=True)
            lines += rows if lines else [header, *rows]
    if lines:
        with outputs.writing(out) as temporary:
            temporary.write_text("".join(lines), encoding="utf-8")


def _join_reports(files: Sequence[CocoLines], keep_ids: bool) -> Report:
    joined = Report("convert_coco")
    for file in files:
        path = report_path(file.path)
        if not path.exists():
            joined.notes.append(f"{file.path.name}: no report beside it")
            continue
        report = read_report(path)
        joined.done += report.done
        # each shard says the same of the tables, and each file its own counts
        joined.failures += [
            failure for failure in report.failures if failure not in joined.failures
        ]
        joined.notes += [
            note
            for note in report.notes
            if note not in joined.notes and not note.startswith(f"{file.path.name}: ")
        ]
    if not keep_ids:
        joined.notes.append("image ids were counted anew, since the files shared some")
    return joined
