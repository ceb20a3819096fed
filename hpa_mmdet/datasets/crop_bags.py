"""The dataset of crops: bags of an image's cells, or single cells, from a store.

n: cells of an item; S: side of a crop in pixels; C: channels of the store; K = 19.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from mmdet.registry import DATASETS
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData
from numpy.typing import NDArray
from torch.utils.data import Dataset

from hpa_mmdet.coco.folds import part_in_folds
from hpa_mmdet.crops.checks import check_sources, read_store_labels
from hpa_mmdet.crops.options import CropOptions
from hpa_mmdet.crops.store import CropStore
from hpa_mmdet.datasets.channel_substitution import SOURCES
from hpa_mmdet.errors import InputError
from hpa_mmdet.localizations import NAMES, multi_hot

UNITS = ("bag", "cell")
_FOLD_SEED = 0


@DATASETS.register_module()
class CropBagDataset(Dataset[dict[str, Any]]):
    """Crops of a store, whose pixels are read when they are asked for.

    An item is what mmdet's loaders give: `inputs`, (n, S, S, C) uint8, and `data_samples`
    with the metainfo `image_labels`, `labels_are_exact`, `hpa_id`, `img_id`, and
    `gt_instances` of `localizations` (n, K), `cell_ids` and `reviewed` (n,).

    Args:
        store: folder of a `CropStore`.
        crop: options that the store must have been cut with; None takes any.
        labels: COCO JSON whose labels of images and cells, such as refined ones, stand in for
            the store's; None for the store's own.
        unit: "bag", an item is an image with all of its cells; "cell", it is one cell, a bag
            by itself, labelled by its image.
        max_cells: of a bag, drawn at random each time; None for all.
        substitute_prob: share of the items in which another channel stands in for the
            protein's, so that their labels are exact; see `SubstituteChannel`.
        sources: which of red, yellow and black to draw from for that.
        folds: parts that the groups (such as antibodies) are dealt into; 0 for no folds.
        fold: which part to hold out.
        held_out: give the part that is held out, and not the others.

    Random choices follow numpy's global generator, which the loader seeds in each worker.

    Raises:
        InputError: the store was cut in another way or from images that have changed since,
            has no crops, lacks the channel of a source, the JSON lacks one of its cells, or a
            fold is out of range.
    """

    metainfo: ClassVar[dict[str, Any]] = {"classes": NAMES}

    def __init__(
        self,
        store: str,
        crop: Mapping[str, Any] | None = None,
        labels: str | None = None,
        unit: str = "bag",
        max_cells: int | None = None,
        substitute_prob: float = 0.0,
        sources: Sequence[str] = tuple(SOURCES),
        folds: int = 0,
        fold: int = 0,
        held_out: bool = False,
    ) -> None:
        self.store = CropStore(Path(store))
        self.ann_file = str(store)  # what messages name
        if crop is not None:
            self.store.check_options(CropOptions.from_dict(dict(crop)))
        if (self.store.path / self.store.header["source"]).is_dir():
            check_sources(self.store)  # a store can also be used where its images are not
        self.localizations = self.store.cells.localizations
        self.image_labels = self.store.images.image_labels
        self.reviewed = self.store.cells.reviewed
        if labels is not None:
            given = read_store_labels(self.store, Path(labels))
            self.localizations, self.image_labels, self.reviewed = given
        if unit not in UNITS:
            raise InputError("CropBagDataset, unit", repr(unit), ", ".join(UNITS), "correct it")
        self.unit, self.max_cells = unit, max_cells
        self.substitute_prob, self.sources = substitute_prob, tuple(sources)
        if substitute_prob > 0:
            self._check_sources()
        counts = self.store.images.crop_counts
        images = np.flatnonzero((counts > 0) & _in_fold(self.store, folds, fold, held_out))
        if not len(images):
            raise InputError(
                store,
                f"{len(counts)} images without any crop",
                "images with crops" + (f" in fold {fold} of {folds}" if folds else ""),
                "look at the store's dropped.csv, or choose other folds",
            )
        self.images = images
        # an item is an image, or a crop of one: its place among all crops
        self.crops = np.concatenate(
            [
                np.arange(*self.store.slice_of(int(image)).indices(len(self.store)))
                for image in images
            ]
        )

    def __len__(self) -> int:
        return len(self.images) if self.unit == "bag" else len(self.crops)

    def get_image_info(self, index: int) -> dict[str, Any]:
        """Give an item's `hpa_id`, `image_labels` and group without its pixels."""
        image = self._image_of(index)
        known = self.store.images
        return {
            "hpa_id": known.hpa_ids[image],
            "image_labels": np.flatnonzero(self.image_labels[image] > 0).tolist(),
            "group": known.groups[image],
            "channel_paths": {},
        }

    def get_data_info(self, index: int) -> dict[str, Any]:
        """Give the same and the item's `instances`, each with its id and label set."""
        crops = self._places(index)
        instances = [
            {
                "cell_id": int(self.store.cells.cell_ids[crop]),
                "localizations": np.flatnonzero(self.localizations[crop] > 0).tolist(),
                "reviewed": bool(self.reviewed[crop]),
            }
            for crop in crops
        ]
        return {**self.get_image_info(index), "instances": instances}

    def __getitem__(self, index: int) -> dict[str, Any]:
        image = self._image_of(index)
        chosen = self._drawn(index)
        begin = self.store.slice_of(image).start
        pixels = np.array(self.store.bag(image)[chosen - begin])
        localizations = self.localizations[chosen]
        image_labels = np.flatnonzero(self.image_labels[image] > 0).tolist()
        exact = np.random.random() < self.substitute_prob  # noqa: NPY002
        if exact:
            shown = self._substitute(pixels)
            image_labels = [shown]
            localizations = np.zeros_like(localizations)
            localizations[:, shown] = 1
        sample = DetDataSample(
            metainfo={
                "img_id": int(self.store.images.image_ids[image]),
                "hpa_id": self.store.images.hpa_ids[image],
                "image_labels": multi_hot(image_labels).astype(np.uint8),
                "labels_are_exact": bool(exact),
            }
        )
        sample.gt_instances = InstanceData(
            localizations=torch.from_numpy(np.ascontiguousarray(localizations)),
            cell_ids=torch.from_numpy(self.store.cells.cell_ids[chosen].astype(np.int64)),
            reviewed=torch.from_numpy(self.reviewed[chosen]),
        )
        return {"inputs": torch.from_numpy(pixels), "data_samples": sample}

    def _image_of(self, index: int) -> int:
        if self.unit == "bag":
            return int(self.images[index])
        return int(self.store.cells.images[self.crops[index]])

    def _places(self, index: int) -> NDArray[np.intp]:
        """Places of an item's crops among all."""
        if self.unit == "cell":
            return self.crops[index : index + 1]
        part = self.store.slice_of(self._image_of(index))
        return np.arange(*part.indices(len(self.store)))

    def _drawn(self, index: int) -> NDArray[np.intp]:
        """Places of the crops to show, at most `max_cells`."""
        crops = self._places(index)
        if self.max_cells is None or len(crops) <= self.max_cells:
            return crops
        return np.sort(np.random.choice(crops, self.max_cells, replace=False))  # noqa: NPY002

    def _substitute(self, pixels: NDArray[np.uint8]) -> int:
        """Put another channel in place of green, in place, and give what it shows."""
        source = self.sources[np.random.randint(len(self.sources))]  # noqa: NPY002
        channel, (low, high), shown = SOURCES[source]
        factor = np.random.uniform(low, high)  # noqa: NPY002
        names = self.store.options.channels
        stand_in = pixels[..., names.index(channel)].astype(np.float32) * factor
        pixels[..., names.index("green")] = np.rint(stand_in)
        return shown

    def _check_sources(self) -> None:
        names = self.store.options.channels
        for source in self.sources:
            if source not in SOURCES:
                raise InputError(
                    "CropBagDataset", f"source {source!r}", ", ".join(SOURCES), "correct the config"
                )
            for channel in (SOURCES[source][0], "green"):
                if channel not in names:
                    raise InputError(
                        self.store.path,
                        f"channels {', '.join(names)}",
                        f"{channel}, which source {source} takes",
                        "extract it too, or leave the source out",
                    )


def _in_fold(store: CropStore, folds: int, fold: int, held_out: bool) -> NDArray[np.bool_]:
    """(M,) bool, the images to give."""
    groups = store.images.groups
    if not folds:
        return np.ones(len(groups), bool)
    is_held_out = part_in_folds(groups, folds, _FOLD_SEED) == fold
    return is_held_out if held_out else ~is_held_out
