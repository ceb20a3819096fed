"""Data of bench_real_pixels.py: real pictures, what counts as their cells, their features.

H, W: a picture's size in pixels; N: its instances; B: pictures.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from hpa_mmdet.fit.feature_cache import FeatureCache, load_cache, save_cache
from hpa_mmdet.io.channels import find_images, read_channels
from hpa_mmdet.io.label_tables import read_image_labels
from hpa_mmdet.localizations import NUM_LOCALIZATIONS
from hpa_mmdet.models.cell_pooling import coverage_from_masks, pool_image, pool_maps_in_cells
from hpa_mmdet.models.timm_features import TimmFeatures
from hpa_mmdet.segment import WatershedSegmenter
from hpa_mmdet.segment.artefacts import without_scale_bars

Plane = NDArray[np.float32]
WINDOWS = 2  # a picture without reference channels is cut into this many windows each way


@dataclass(frozen=True)
class PictureSet:
    """A folder of pictures with image labels.

    Args:
        name: its folder under the data's.
        images, pattern, channels: as `find_images` takes them.
        table: its labels, in `scheme`.
        scale: what its sides are multiplied by before a `Preparation`'s own scale: brings
            the sets to similar sizes of pixels (as stored, in micrometres: dictionary about
            0.09 if its scale bars are 10, contest 0.08, 2018 0.32).
    """

    name: str
    images: str
    pattern: str
    channels: tuple[str, ...]
    table: str
    scheme: str
    scale: float = 1.0


SETS: tuple[PictureSet, ...] = (
    PictureSet("hpa_dictionary", "images", "{id}.jpg", ("red", "green", "blue"),
               "labels_2018.csv", "hpa28"),
    PictureSet("hpa_2018", "green", "{id}_{channel}.png", ("green",), "train.csv", "hpa28", 2.0),
    PictureSet("hpa_contest", "train", "{id}_{channel}.png", ("red", "green", "blue", "yellow"),
               "train.csv", "hpa19", 0.5),
)  # fmt: skip


@dataclass(frozen=True)
class Preparation:
    """What the network sees of the green channel.

    Args:
        brightness: "stored" pixels; "stretched" from the 1st to the 99.8th percentile to
            0..255; "root", the square root of that.
        scale: of the picture's sides.
    """

    brightness: str
    scale: float

    def __str__(self) -> str:
        return f"{self.brightness}, scale {self.scale:g}"


@dataclass(frozen=True)
class Picture:
    """One picture; `label_image` (H, W) numbers its instances from 1."""

    image_id: str
    green: Plane
    label_image: NDArray[np.int32]
    has_cells: bool
    labels: tuple[int, ...]


@dataclass(frozen=True)
class Features:
    """Features of a set; `groups` are equal for equal pixels, `found` counts cells found."""

    cache: FeatureCache
    groups: tuple[str, ...]
    found: int

    def truth(self) -> NDArray[np.bool_]:
        """(B, K)."""
        return self.cache.image_labels.numpy() > 0


def read_set(which: PictureSet, data: Path) -> Iterator[Picture]:
    """Read the pictures of a set that have a row in its table."""
    folder = data / which.name
    labels_of = read_image_labels(folder / which.table, which.scheme)
    for image in find_images(folder / which.images, which.channels, which.pattern):
        if image.image_id not in labels_of:
            print(f"{which.name}: {image.image_id} has no labels and is left out")
            continue
        stack = read_channels(image, which.channels)
        planes = {name: stack[..., at] for at, name in enumerate(which.channels)}
        stains = {name: planes[name] for name in planes if name != "green"}
        cells = np.zeros(stack.shape[:2], np.int32)
        if "blue" in stains:
            cells = WatershedSegmenter()(stains).cells
        floats = {name: plane.astype(np.float32) for name, plane in planes.items()}
        green = without_scale_bars(floats)["green"]
        instances = cells if cells.any() else _windows(stack.shape[:2], bool(stains))
        yield Picture(
            image.image_id, green, instances, bool(cells.any()), labels_of[image.image_id]
        )


def _windows(shape_hw: tuple[int, ...], whole: bool) -> NDArray[np.int32]:
    """Windows in place of cells; the whole picture where a segmenter looked and found none."""
    if whole:
        return np.ones(shape_hw, np.int32)
    rows, columns = (np.arange(side) * WINDOWS // side for side in shape_hw)
    return (rows[:, None] * WINDOWS + columns + 1).astype(np.int32)


def prepare_green(green: Plane, how: Preparation, scale: float) -> Plane:
    """Scale (H, W) brightness and sides."""
    if how.brightness != "stored":
        low, high = np.percentile(green, (1, 99.8))
        share = np.clip((green - low) / max(float(high - low), 1.0), 0, 1)
        green = 255 * (np.sqrt(share) if how.brightness == "root" else share)
    height, width = (max(1, round(side * scale)) for side in green.shape)
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(green.astype(np.float32), (width, height), interpolation=way))


def features(
    which: PictureSet, data: Path, preparations: tuple[Preparation, ...], work_dir: Path
) -> dict[Preparation, Features]:
    """Features of one set, each preparation in a file of the work dir."""
    paths = {
        preparation: work_dir / f"{which.name}_{preparation.brightness}_{preparation.scale:g}.npz"
        for preparation in preparations
    }
    missing = [preparation for preparation, path in paths.items() if not path.is_file()]
    if missing:
        pictures = list(read_set(which, data))
        network = TimmFeatures("tf_efficientnet_lite0", (0,), weights="lite0", frozen=True)
        network.init_weights()
        network.eval()
        for preparation in missing:
            save_cache(paths[preparation], _compute(network, pictures, preparation, which.scale))
    return {preparation: _load(path) for preparation, path in paths.items()}


def _load(path: Path) -> Features:
    cache = load_cache(path)
    names = [name.rsplit(" ", 2) for name in cache.hpa_ids]
    found = sum(
        int(n) for n, (_, _, cells) in zip(cache.counts, names, strict=True) if cells == "1"
    )
    return Features(cache, tuple(digest for _, digest, _ in names), found)


@torch.no_grad()
def _compute(
    network: TimmFeatures, pictures: list[Picture], how: Preparation, set_scale: float
) -> FeatureCache:
    cells: list[torch.Tensor] = []
    images: list[torch.Tensor] = []
    labels = np.zeros((len(pictures), NUM_LOCALIZATIONS), np.uint8)
    names: list[str] = []
    for row, picture in enumerate(pictures):
        pixels = torch.from_numpy(prepare_green(picture.green, how, how.scale * set_scale))
        height, width = pixels.shape
        size_wh = (width, height)
        small = cv2.resize(picture.label_image, size_wh, interpolation=cv2.INTER_NEAREST_EXACT)
        batch = (pixels[None, None] - 127) / 128
        padded = F.pad(batch, (0, -width % 64, 0, -height % 64), value=-127 / 128)
        maps = [of_level[0] for of_level in network(padded)]
        masks = torch.from_numpy(small[None] == np.unique(small[small > 0])[:, None, None])
        coverage = coverage_from_masks(masks, 4, (maps[0].shape[1], maps[0].shape[2]))
        cells.append(pool_maps_in_cells(maps, coverage))
        images.append(pool_image(maps))
        labels[row, list(picture.labels)] = 1
        digest = hashlib.sha256(picture.green.tobytes()).hexdigest()[:16]
        names.append(f"{picture.image_id} {digest} {int(picture.has_cells)}")
    counts = torch.tensor([len(boxes) for boxes in cells])
    return FeatureCache(
        torch.cat(cells),
        counts,
        torch.stack(images),
        torch.from_numpy(labels),
        hpa_ids=tuple(names),
    )
