"""Features of a whole data set, computed once, in memory or in mapped files.

N: cells of the data set; B: its images; D: length of a feature vector; K: classes.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor

from hpa_mmdet.compat.fused_norms import fused_norms
from hpa_mmdet.compat.memory import give_back_where_scarce
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.atomic import atomic_path

Rows: TypeAlias = Any
"""(rows, width) float32: a Tensor, or `MappedRows`, which is indexed like one."""
_AT_ONCE = 64  # images whose rows are read together


class FeatureCache(NamedTuple):
    """Features and labels of a data set.

    `cells` (N, D) in the order of the images; `counts` (B,) cells of each image; `images`
    (B, D); `image_labels` (B, K) of 0 and 1. Optional: `cell_targets` (N, K) in 0..1, what
    the data set says of each cell; `exact` (B,) bool, images whose labels hold for each of
    their cells (a channel stands in for the protein); `cell_ids` (N,), their values in the
    label images; `hpa_ids`, the images' names; `reviewed` (N,) bool, cells whose targets were
    given by a person who looked at them; `taught` (N,) bool, cells whose targets earlier heads gave.
    """

    cells: Rows
    counts: Tensor
    images: Rows
    image_labels: Tensor
    cell_targets: Tensor | None = None
    exact: Tensor | None = None
    cell_ids: Tensor | None = None
    hpa_ids: tuple[str, ...] = ()
    reviewed: Tensor | None = None
    taught: Tensor | None = None

    def select(self, chosen: Tensor) -> "FeatureCache":
        """Keep some images, and load them.

        Args:
            chosen: numbers of images, in the order that they are to have.
        """
        rows = self.rows_of(chosen)
        return FeatureCache(
            self.cells[rows],
            self.counts[chosen],
            self.images[chosen],
            self.image_labels[chosen],
            None if self.cell_targets is None else self.cell_targets[rows],
            None if self.exact is None else self.exact[chosen],
            None if self.cell_ids is None else self.cell_ids[rows],
            tuple(self.hpa_ids[image] for image in chosen.tolist()) if self.hpa_ids else (),
            None if self.reviewed is None else self.reviewed[rows],
            None if self.taught is None else self.taught[rows],
        )

    def rows_of(self, chosen: Tensor) -> Tensor:
        """Give the rows of the cells of some images, image by image."""
        counts = self.counts[chosen]
        first = (self.counts.cumsum(0) - self.counts)[chosen]  # row of each image's first cell
        place = torch.arange(int(counts.sum()))
        return torch.repeat_interleave(first - (counts.cumsum(0) - counts), counts) + place

    def weak_images(self) -> Tensor:
        """Number the images whose labels say nothing certain of their single cells."""
        if self.exact is None:
            return torch.arange(len(self.counts))
        return (~self.exact).nonzero()[:, 0]

    def chunks(self, chosen: Tensor) -> Iterator["FeatureCache"]:
        """Load some images, a few dozen at a time."""
        for part in chosen.split(_AT_ONCE):
            yield self.select(part)

    def bags(self, chosen: Tensor | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """Load some images, or all, one by one: the (n, D) cells and the (D,) image."""
        wanted = torch.arange(len(self.counts)) if chosen is None else chosen
        for part in self.chunks(wanted):
            yield from zip(part.cells.split(part.counts.tolist()), part.images, strict=True)


class ImageFeatures(NamedTuple):
    """One image of a `FeatureCache`, and how many of its annotated cells cannot be seen."""

    cells: Tensor
    image: Tensor
    image_labels: Tensor
    cell_targets: Tensor
    exact: bool
    cell_ids: Tensor
    hpa_id: str
    reviewed: Tensor
    left_out: int


def describe_images(model: Any, loader: Iterable[Any]) -> Iterator[ImageFeatures]:
    """Compute the features of annotated cells, image by image.

    Args:
        model: with `data_preprocessor` and `describe_cells` (see `HpaMaskRCNN`).
        loader: batches of mmdet's form, not augmented.
    """
    model.eval()
    with fused_norms(model):
        for batch in loader:
            yield from _describe_batch(model, batch)
            give_back_where_scarce()


def _describe_batch(model: Any, batch: Any) -> Iterator[ImageFeatures]:
    data = model.data_preprocessor(batch, training=False)
    samples = data["data_samples"]
    found = model.describe_cells(data["inputs"], samples)
    for cells, image, labels, sample in zip(*found, samples, strict=True):
        known = sample.gt_instances
        reviewed = known.get("reviewed", torch.zeros(len(cells), dtype=torch.bool))
        yield ImageFeatures(
            cells.cpu(),
            image.cpu(),
            labels.cpu(),
            torch.as_tensor(known.localizations).cpu(),
            bool(sample.get("labels_are_exact", False)),
            torch.as_tensor(known.cell_ids).cpu(),
            str(sample.hpa_id),
            torch.as_tensor(reviewed).cpu(),
            int(sample.get("cells_left_out", 0)),
        )


def stack_features(images: Sequence[ImageFeatures]) -> FeatureCache:
    """Put the features of images together; there is one at least."""
    return FeatureCache(
        torch.cat([image.cells for image in images]),
        torch.tensor([len(image.cells) for image in images]),
        torch.stack([image.image for image in images]),
        torch.stack([image.image_labels for image in images]),
        torch.cat([image.cell_targets for image in images]),
        torch.tensor([image.exact for image in images]),
        torch.cat([image.cell_ids for image in images]),
        tuple(image.hpa_id for image in images),
        torch.cat([image.reviewed for image in images]),
    )


def cache_features(model: Any, loader: Iterable[Any]) -> FeatureCache:
    """Compute the features of every annotated cell, in memory; see `describe_images`."""
    return stack_features(list(describe_images(model, loader)))


def join_caches(caches: Sequence[FeatureCache]) -> FeatureCache:
    """Put several caches in memory one after the other; what one lacks is filled in."""
    exact = [
        torch.zeros(len(cache.counts), dtype=torch.bool) if cache.exact is None else cache.exact
        for cache in caches
    ]

    def whole(name: str) -> Tensor | None:
        parts = [getattr(cache, name) for cache in caches]
        return None if any(part is None for part in parts) else torch.cat(parts)

    return FeatureCache(
        torch.cat([cache.cells for cache in caches]),
        torch.cat([cache.counts for cache in caches]),
        torch.cat([cache.images for cache in caches]),
        torch.cat([cache.image_labels for cache in caches]),
        whole("cell_targets"),
        torch.cat(exact),
        whole("cell_ids"),
        tuple(name for cache in caches for name in cache.hpa_ids),
        whole("reviewed"),
    )


def save_cache(path: Path, cache: FeatureCache) -> None:
    """Write a cache as .npz, its features at half precision."""
    arrays = {
        name: value.numpy() for name, value in cache._asdict().items() if isinstance(value, Tensor)
    }
    for name in ("cells", "images"):
        arrays[name] = arrays[name].astype(np.float16)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays, hpa_ids=np.array(cache.hpa_ids, dtype=np.str_))  # type: ignore[arg-type]


def load_cache(path: Path) -> FeatureCache:
    """Read what `save_cache` wrote.

    Raises:
        InputError: no such file, or not a cache.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        names = tuple(str(name) for name in arrays.pop("hpa_ids"))
        tensors = {name: torch.from_numpy(value) for name, value in arrays.items()}
        tensors["cells"], tensors["images"] = tensors["cells"].float(), tensors["images"].float()
        return FeatureCache(**tensors, hpa_ids=names)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            path,
            problem=f"is no cache of features ({error})",
            remedy="remove it; it is made again",
        ) from error
