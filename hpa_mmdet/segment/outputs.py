"""What a segmentation writes of each image, and what of it is there already."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.channels import ImageFiles
from hpa_mmdet.io.naming import split_plane
from hpa_mmdet.io.outputs import OutputFiles
from hpa_mmdet.jobs.fingerprint import file_states, fingerprint
from hpa_mmdet.segment.protocol import Segmenter

FORMATS = ("png", "tif")
SEGMENT_REPORT = "segment_report.json"
SHEET = "contact_sheet.jpg"


@dataclass(frozen=True)
class SegmentFolders:
    """Where a run writes.

    Args:
        masks: folder of the cell masks, `<id>_mask.<format>`.
        nuclei: folder of the nuclei, named alike; None writes none.
        format: `png` (8 or 16 bit, as the ids need) or `tif` (32 bit).
        keep_border: keep the cells that the border cuts.
        qc: folder of pictures with outlines, `<id>.jpg`; None writes none.
    """

    masks: Path
    nuclei: Path | None = None
    format: str = "png"
    keep_border: bool = True
    qc: Path | None = None

    def mask_of(self, image_id: str) -> Path:
        """Name the cell mask of an image."""
        return self.masks / f"{image_id}_mask.{self.format}"

    def nuclei_of(self, image_id: str) -> Path | None:
        """Name the nuclei of an image."""
        return None if self.nuclei is None else self.nuclei / f"{image_id}_mask.{self.format}"

    def picture_of(self, image_id: str) -> Path | None:
        """Name the picture of an image."""
        return None if self.qc is None else self.qc / f"{image_id}.jpg"

    def other_mask_of(self, image_id: str) -> Path:
        """Name the mask that a run with the other format would write."""
        other = next(name for name in FORMATS if name != self.format)
        return self.masks / f"{image_id}_mask.{other}"

    def check(self, images: Path) -> None:
        """See that the folders differ from each other and from that of the images.

        Raises:
            InputError: two of them are one.
        """
        if self.nuclei is not None and self.nuclei.resolve() == self.masks.resolve():
            raise InputError(
                self.nuclei, problem="is the folder of --out", remedy="change --nuclei-out"
            )
        for folder in (self.masks, self.nuclei, self.qc):
            if folder is not None and folder.resolve() == images.resolve():
                raise InputError(
                    folder, problem="is the images' own folder", remedy="choose another one"
                )


class State(Enum):
    """What stands in the place of an output."""

    MISSING = "nothing"
    CURRENT = "what this run would write"
    STALE = "what an earlier run wrote with other options or from other files"
    FOREIGN = "a file of the user's, or one that was changed by hand"


class ImageWork(NamedTuple):
    """What is to be done for an image, and what stays as it is.

    `marked` writes files under the image's fingerprint. `mask`, `nuclei` and `picture` say
    what is to be written. `users_mask` is a mask that the user made or corrected, `kept`
    lists all files of the user's that stand in the places of outputs. `stale` says that
    there are outputs which this run would have made otherwise.
    """

    image: ImageFiles
    marked: OutputFiles
    mask: bool
    nuclei: bool
    picture: bool
    users_mask: Path | None
    kept: list[Path]
    stale: bool

    @property
    def is_done(self) -> bool:
        """Tell whether nothing is to be written."""
        return not (self.mask or self.nuclei or self.picture)


def plan_image(
    image: ImageFiles, folders: SegmentFolders, segmenter: Segmenter, outputs: OutputFiles
) -> ImageWork:
    """Decide what is to be done for an image.

    Args:
        image: its files.
        folders: what is asked for.
        segmenter: that would segment it.
        outputs: of the run, with the fingerprint of its options.
    """
    paths = [split_plane(path)[0] for path in image.paths.values()]
    inputs = file_states([*sorted(paths), *segmenter.depends_on(image.image_id)])
    marked = outputs.of_fingerprint(f"{outputs.fingerprint}-{fingerprint(inputs)}")
    users_mask = None
    for path in (folders.mask_of(image.image_id), folders.other_mask_of(image.image_id)):
        if state_of(path, marked) is State.FOREIGN:
            users_mask = users_mask or path
    if users_mask is not None:
        return _beside_users_mask(image, folders, outputs, users_mask)
    places = {
        "mask": folders.mask_of(image.image_id),
        "nuclei": folders.nuclei_of(image.image_id),
        "picture": folders.picture_of(image.image_id),
    }
    states = {name: state_of(path, marked) for name, path in places.items() if path is not None}
    if state_of(folders.other_mask_of(image.image_id), marked) is not State.MISSING:
        states["mask"] = State.STALE
    again = (State.CURRENT, State.STALE) if outputs.overwrite else ()
    wanted = [name for name, state in states.items() if state in (State.MISSING, *again)]
    return ImageWork(
        image,
        marked,
        mask="mask" in wanted,
        nuclei="nuclei" in wanted,
        picture="picture" in wanted,
        users_mask=None,
        kept=[path for name, path in places.items() if path and states[name] is State.FOREIGN],
        stale=State.STALE in states.values() and not outputs.overwrite,
    )


def _beside_users_mask(
    image: ImageFiles, folders: SegmentFolders, outputs: OutputFiles, mask: Path
) -> ImageWork:
    """Plan a picture of a mask that the user made; nuclei of its ids cannot be made."""
    marked = outputs.of_fingerprint(fingerprint(file_states([mask])))
    picture = folders.picture_of(image.image_id)
    state = State.CURRENT if picture is None else state_of(picture, marked)
    wanted = state is State.MISSING or (state is State.STALE and outputs.overwrite)
    kept = [mask, picture] if picture and state is State.FOREIGN else [mask]
    return ImageWork(image, marked, False, False, wanted, mask, kept, stale=False)


def state_of(path: Path, outputs: OutputFiles) -> State:
    """Tell what stands in the place of an output."""
    if not path.exists() and not path.is_symlink():
        return State.MISSING
    record = outputs.record_of(path)
    if record is None:
        return State.FOREIGN
    return State.CURRENT if record.fingerprint == outputs.fingerprint else State.STALE


def refuse_stale(works: Sequence[ImageWork], folders: SegmentFolders) -> None:
    """Refuse a run beside masks that it would have made otherwise.

    Raises:
        InputError: an image has outputs of a run with other options, files or code.
    """
    stale = [work for work in works if work.stale]
    if stale:
        raise InputError(
            folders.mask_of(stale[0].image.image_id),
            problem="was made with other options, from other files or by another version, as "
            f"were the outputs of {len(stale)} of {len(works)} images",
            remedy="give --overwrite to make them anew, or choose another --out",
        )
