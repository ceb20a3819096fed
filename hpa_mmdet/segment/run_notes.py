"""What the report of a segmentation says, whichever run made the masks."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from hpa_mmdet.errors import list_some
from hpa_mmdet.io.output_records import WrittenFile
from hpa_mmdet.jobs import Report
from hpa_mmdet.segment.folder_scale import REMEDY, FolderScale
from hpa_mmdet.segment.outputs import ImageWork, SegmentFolders
from hpa_mmdet.segment.protocol import Segmentation

LARGEST_NUCLEUS = 0.1  # of a picture; more cannot be right but in a crop of a cell or two
OTHER_SCALE = 1.8  # times larger or smaller than the folder's nuclei
ENOUGH_NUCLEI = 3  # to say that an image has another scale
_some = partial(list_some, most=10)


def image_note(result: Segmentation, scale: FolderScale | None, doubt: str) -> dict[str, Any]:
    """Make what is remembered with a mask: counts, sizes, doubts."""
    area = np.bincount(result.nuclei.ravel())[1:]
    area = area[area > 0]
    note: dict[str, Any] = {
        "cells": int(result.cells.max(initial=0)),
        "largest_nucleus": float(area.max(initial=0) / result.nuclei.size),
        "nuclei": len(area),
        "nucleus_px": 2 * float(np.sqrt(np.median(area) / np.pi)) if len(area) else 0.0,
    }
    if scale is not None:
        note |= {"folder_scale_px": scale.diameter, "scale_doubt": scale.doubt}
    return note | ({"doubt": doubt} if doubt else {})


def add_notes(
    report: Report,
    works: Sequence[ImageWork],
    folders: SegmentFolders,
    scale: FolderScale | None,
    *,
    size_is_given: bool,
) -> None:
    """Say what is there in the end.

    Args:
        report: to which notes and warnings are added.
        works: of all images of the run.
        folders: of the outputs.
        scale: of the folder, where it was estimated.
        size_is_given: whether the user has said how large nuclei are.
    """
    records = {work.image.image_id: _record_of(work, folders) for work in works}
    notes = {name: record.note for name, record in records.items() if record is not None}
    total = sum(int(note.get("cells", 0)) for note in notes.values())
    report.notes.append(f"{total} cells in {len(notes)} images")
    done = [work for work in works if work.is_done and work.users_mask is None]
    if done:
        report.notes.append(f"{len(done)} images were done before (--overwrite makes them anew)")
    kept = [path.name for work in works for path in work.kept]
    if kept:
        report.notes.append(
            f"{len(kept)} files are not as segment wrote them and are kept: {_some(kept)}"
        )
    if folders.nuclei is not None and any(work.users_mask for work in works):
        report.notes.append("masks of yours have no nuclei of the same ids")
    if scale is not None:
        report.notes += _about_scale(scale, notes)
    doubted = [f"{name} ({note['doubt']})" for name, note in notes.items() if note.get("doubt")]
    if doubted:
        report.notes.append(
            f"the size of nuclei is unsure in {len(doubted)} images ({REMEDY}): {_some(doubted)}"
        )
    huge = [n for n, note in notes.items() if note.get("largest_nucleus", 0) >= LARGEST_NUCLEUS]
    if huge:
        text = f"{len(huge)} images have a nucleus of a tenth of the picture or more"
        if size_is_given:
            report.notes.append(f"{text}: {_some(huge)}")
        else:
            report.warnings.append(
                f"{text}, so that the size was probably estimated wrongly ({REMEDY}): {_some(huge)}"
            )
    empty = [name for name, note in notes.items() if not note.get("cells", 0)]
    if empty:
        report.notes.append(f"no cell in {len(empty)} images: {', '.join(empty)}")


def _record_of(work: ImageWork, folders: SegmentFolders) -> WrittenFile | None:
    return work.marked.record_of(folders.mask_of(work.image.image_id))


def _about_scale(scale: FolderScale, notes: dict[str, dict[str, Any]]) -> list[str]:
    found = [f"nuclei are taken to be about {scale.diameter:.0f} pixels wide in all images"]
    if scale.was_there:
        found[0] += ", as in the run before"
    if scale.doubt:
        found.append(f"the size of nuclei is unsure, {scale.doubt} ({REMEDY})")
    other = [
        f"{name} ({note['nucleus_px']:.0f})"
        for name, note in notes.items()
        if note.get("nuclei", 0) >= ENOUGH_NUCLEI
        and not 1 / OTHER_SCALE < note["nucleus_px"] / scale.diameter < OTHER_SCALE
    ]
    if other:
        found.append(
            f"{len(other)} images have nuclei of another size (give --scale-per-image if they "
            f"were taken at another scale): {_some(other)}"
        )
    return found
