"""Features of a whole data set, computed once and kept in memory or on disk.

N: cells of the data set; B: its images; D: length of a feature vector; K: classes.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from rich.progress import track
from torch import Tensor

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.atomic import atomic_path


class FeatureCache(NamedTuple):
    """Features and labels of a data set.

    `cells` (N, D) in the order of the images; `counts` (B,) cells of each image; `images`
    (B, D); `image_labels` (B, K) of 0 and 1. Optional: `cell_targets` (N, K) in 0..1, what
    the data set says of each cell; `exact` (B,) bool, images whose labels hold for each of
    their cells (a channel stands in for the protein); `cell_ids` (N,), their values in the
    label images; `hpa_ids`, the images' names.
    """

    cells: Tensor
    counts: Tensor
    images: Tensor
    image_labels: Tensor
    cell_targets: Tensor | None = None
    exact: Tensor | None = None
    cell_ids: Tensor | None = None
    hpa_ids: tuple[str, ...] = ()

    def select(self, chosen: Tensor) -> "FeatureCache":
        """Keep some images.

        Args:
            chosen: numbers of images, in the order that they shall have.
        """
        counts = self.counts[chosen]
        first = (self.counts.cumsum(0) - self.counts)[chosen]  # row of each image's first cell
        place = torch.arange(int(counts.sum()))
        rows = torch.repeat_interleave(first - (counts.cumsum(0) - counts), counts) + place
        return FeatureCache(
            self.cells[rows],
            self.counts[chosen],
            self.images[chosen],
            self.image_labels[chosen],
            None if self.cell_targets is None else self.cell_targets[rows],
            None if self.exact is None else self.exact[chosen],
            None if self.cell_ids is None else self.cell_ids[rows],
            tuple(self.hpa_ids[each] for each in chosen.tolist()) if self.hpa_ids else (),
        )


def cache_features(model: Any, loader: Iterable[Any]) -> FeatureCache:
    """Compute the features of every annotated cell once.

    Args:
        model: with `data_preprocessor` and `describe_cells` (see `HpaMaskRCNN`).
        loader: batches of mmdet's form, not augmented.
    """
    model.eval()
    cells: list[Tensor] = []
    images: list[Tensor] = []
    labels: list[Tensor] = []
    targets: list[Tensor] = []
    exact: list[bool] = []
    cell_ids: list[Tensor] = []
    names: list[str] = []
    for batch in track(loader, description="features"):
        data = model.data_preprocessor(batch, training=False)
        found = model.describe_cells(data["inputs"], data["data_samples"])
        cells.extend(each.cpu() for each in found[0])
        images.append(found[1].cpu())
        labels.append(found[2].cpu())
        for sample in data["data_samples"]:
            targets.append(torch.as_tensor(sample.gt_instances.localizations).cpu())
            cell_ids.append(torch.as_tensor(sample.gt_instances.cell_ids).cpu())
            exact.append(bool(sample.get("labels_are_exact", False)))
            names.append(str(sample.hpa_id))
    return FeatureCache(
        torch.cat(cells),
        torch.tensor([len(each) for each in cells]),
        torch.cat(images),
        torch.cat(labels),
        torch.cat(targets),
        torch.tensor(exact),
        torch.cat(cell_ids),
        tuple(names),
    )


def join_caches(caches: Sequence[FeatureCache]) -> FeatureCache:
    """Put several caches one after the other; what one lacks is filled in where it can be."""
    exact = [
        torch.zeros(len(each.images), dtype=torch.bool) if each.exact is None else each.exact
        for each in caches
    ]
    targets = [each.cell_targets for each in caches if each.cell_targets is not None]
    cell_ids = [each.cell_ids for each in caches if each.cell_ids is not None]
    return FeatureCache(
        torch.cat([each.cells for each in caches]),
        torch.cat([each.counts for each in caches]),
        torch.cat([each.images for each in caches]),
        torch.cat([each.image_labels for each in caches]),
        torch.cat(targets) if len(targets) == len(caches) else None,
        torch.cat(exact),
        torch.cat(cell_ids) if len(cell_ids) == len(caches) else None,
        tuple(name for each in caches for name in each.hpa_ids),
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
        names = tuple(str(each) for each in arrays.pop("hpa_ids"))
        tensors = {name: torch.from_numpy(value) for name, value in arrays.items()}
        tensors["cells"], tensors["images"] = tensors["cells"].float(), tensors["images"].float()
        return FeatureCache(**tensors, hpa_ids=names)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            path, f"no features ({error})", "a cache of features", "remove it; it is made again"
        ) from error
