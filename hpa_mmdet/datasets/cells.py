"""The dataset: COCO JSON with a set of localizations for each cell."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from mmdet.datasets import BaseDetDataset
from mmdet.registry import DATASETS

from hpa_mmdet.coco.index import CocoIndex, open_coco
from hpa_mmdet.coco.parse import CocoImage
from hpa_mmdet.errors import InputError
from hpa_mmdet.localizations import NAMES

_PLACE = "place_in_file"


@DATASETS.register_module()
class HpaCellDataset(BaseDetDataset):
    """Images with cells, from a JSON that tools/convert_coco.py wrote.

    Every cell is one instance of one kind (`bbox_label` 0) with its `localizations`. An
    image carries its weak `image_labels` and its `channel_paths`. Nothing is dropped in
    silence: unlike mmdet's CocoDataset, an annotation that cannot be used is an error.

    A file of our writer is not loaded: the dataset holds where each image stands in it,
    and reads that image when it is asked for. Another tool's file is read whole.

    Args:
        args: of `BaseDetDataset`: `ann_file`, `data_prefix=dict(img=...)` (the folder of
            the channel files, by default the one that the JSON names), `pipeline`,
            `filter_cfg=dict(filter_empty_gt=True)`.

    Raises:
        InputError: the JSON cannot be read, has no images or none that can be used, or the
            config's classes are not the JSON's.
    """

    METAINFO: ClassVar[dict[str, Any]] = {"classes": NAMES}
    _images: Sequence[CocoImage] = ()
    _folder = Path()

    def load_data_list(self) -> list[dict[str, Any]]:
        """Open the JSON; an entry holds an image's place in it, or all of the image."""
        path = Path(self.ann_file)
        classes = tuple(self.metainfo["classes"])
        if classes != NAMES:
            odd = [name for name in classes if name not in NAMES]
            lacking = [name for name in NAMES if name not in classes]
            raise InputError(
                "config, metainfo.classes",
                f"{len(classes)} classes (unknown: {odd or 'none'}; lacking: {lacking or 'none'})",
                f"the {len(NAMES)} localizations of {path}, in their order",
                "leave metainfo out of the config",
            )
        data = open_coco(path)
        if not data.images:
            raise InputError(path, "no images", "at least one", "convert a folder with images")
        prefix = self.data_prefix.get("img")
        self._folder = Path(prefix) if prefix else data.images_root or path.parent
        # proposals of mmdet are put into whole entries
        if isinstance(data.images, CocoIndex) and self.proposal_file is None:
            self._images = data.images
            return [{_PLACE: place} for place in range(len(data.images))]
        return [_entry(image, self._folder) for image in data.images]

    def filter_data(self) -> list[dict[str, Any]]:
        """Leave images without cells out where `filter_cfg` says filter_empty_gt."""
        if self.test_mode or not (self.filter_cfg or {}).get("filter_empty_gt", False):
            return list(self.data_list)
        kept = [entry for entry in self.data_list if self._has_cells(entry)]
        if not kept:
            raise InputError(
                self.ann_file,
                f"{len(self.data_list)} images without any cell",
                "images with cells",
                "look at the masks it was converted from",
            )
        return kept

    def get_data_info(self, idx: int) -> dict[str, Any]:
        """Give an image's entry: its files, size, labels and `instances`."""
        info: dict[str, Any] = super().get_data_info(idx)
        if _PLACE not in info:
            return info
        entry = _entry(self._images[info[_PLACE]], self._folder)
        return {**entry, "sample_idx": info["sample_idx"]}

    def get_image_info(self, idx: int) -> dict[str, Any]:
        """Give an image's entry as `get_data_info` does, but without its `instances`.

        Many times as fast where all images are gone through for their labels or files.
        """
        info: dict[str, Any] = super().get_data_info(idx)
        if _PLACE in info:
            assert isinstance(self._images, CocoIndex)
            info |= _entry(self._images.without_cells(info.pop(_PLACE)), self._folder)
        del info["instances"]
        return info

    def get_cat_ids(self, idx: int) -> list[int]:
        """Give an image's weak labels, by which mmengine's `ClassBalancedDataset` repeats it."""
        return list(self.get_image_info(idx)["image_labels"])

    def _has_cells(self, entry: dict[str, Any]) -> bool:
        if _PLACE not in entry:
            return bool(entry["instances"])
        assert isinstance(self._images, CocoIndex)
        return bool(self._images.annotation_counts[entry[_PLACE]])


def _entry(image: CocoImage, folder: Path) -> dict[str, Any]:
    return {
        "img_id": image.image_id,
        "hpa_id": image.hpa_id,
        "img_path": str(folder / image.file_name),
        "channel_paths": {
            channel: str(folder / name) for channel, name in image.channel_files.items()
        },
        "height": image.shape_hw[0],
        "width": image.shape_hw[1],
        "image_labels": list(image.image_labels),
        "instances": [
            {
                "bbox": _xyxy(cell.bbox_xywh),
                "bbox_label": 0,
                "ignore_flag": 0,
                "mask": {"size": list(image.shape_hw), "counts": cell.counts},
                "localizations": list(cell.hpa_indices),
                "localization_probs": list(cell.hpa_probs),
                "cell_id": cell.cell_id,
                "reviewed": cell.reviewed,
            }
            for cell in image.cells
        ],
    }


def _xyxy(bbox_xywh: tuple[int, int, int, int]) -> list[int]:
    x, y, width, height = bbox_xywh
    return [x, y, x + width, y + height]
