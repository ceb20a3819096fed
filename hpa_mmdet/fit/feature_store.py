"""Features of a data set on disk: in parts that are kept, computed by all processes.

A part holds the features of some images at half precision, as .safetensors. It appears whole
or not at all, with a fingerprint of all that it depends on, so a killed run goes on with the
parts that it had. Each process computes its share of them; the fit maps the files and reads
what it needs, so that memory does not grow with the data set.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import barrier, get_dist_info, is_main_process
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.data import Dataset

from hpa_mmdet.fit.feature_cache import (
    FeatureCache,
    ImageFeatures,
    Rows,
    describe_images,
    stack_features,
)
from hpa_mmdet.fit.mapped_rows import MappedRows
from hpa_mmdet.io.naming import split_plane
from hpa_mmdet.jobs.fingerprint import code_digest, file_states, fingerprint
from hpa_mmdet.jobs.parts import PartFolder, PartSummary
from hpa_mmdet.jobs.progress import progress

PART_IMAGES = 64
IN_MEMORY_BYTES = 2**28
"""Features that need no more than this as float32 are loaded; mapping would be slower."""
_FEATURES = ("cells", "images")
_LARGEST = 65504.0  # of half precision


class FeatureStore:
    """The parts of one data set's features.

    Args:
        folder: where they are kept; one for all processes.
        name: of the data set among those of the folder.
        dataset: gives items for `describe_images`, and their files and labels by
            `get_image_info(index)` or `get_data_info(index)`.
        depends_on: what the features depend on besides the images: weights, settings.
        seed: items are made with numpy's generator seeded by it and their place, so that one
            that is made again, by whatever process, is the same.
    """

    def __init__(
        self, folder: Path, name: str, dataset: Any, depends_on: Sequence[object], seed: int = 0
    ) -> None:
        self.dataset, self.seed = dataset, seed
        self.parts = PartFolder(folder, "train", name=f"{name}-", ending=".safetensors")
        starts = range(0, len(dataset), PART_IMAGES)
        self.groups = [range(start, min(start + PART_IMAGES, len(dataset))) for start in starts]
        code = code_digest("hpa_mmdet.fit.feature_store")
        self._depends_on = (code, *depends_on, seed, _states_of(Path(dataset.ann_file)))

    def compute(self, model: Any, build_loader: Callable[[Any, list[int]], Any]) -> None:
        """Compute the parts that are lacking, this process's share of them.

        Args:
            model: see `describe_images`.
            build_loader: gives a loader of a data set's items, in the order of their places.

        Raises:
            InputError: a part cannot be written.
        """
        rank, world_size = get_dist_info()
        marks = {
            number: self._mark(group)
            for number, group in enumerate(self.groups)
            if number % world_size == rank
        }
        lacking = [
            number for number, mark in marks.items() if self.parts.summary_of(number, mark) is None
        ]
        places = [place for number in lacking for place in self.groups[number]]
        if places:
            loader = build_loader(_SeededItems(self.dataset, self.seed), places)
            images = describe_images(model, _shown(loader, len(places)))
            for number in lacking:
                found = [next(images) for _ in self.groups[number]]
                summary = PartSummary(done=len(found), notes=_notes(found))
                with self.parts.writing(number, marks[number], summary) as temporary:
                    _write(temporary, stack_features(found))
        barrier()

    def left_out(self) -> int:
        """Count the annotated cells that no image shows: hidden under others, or cut off."""
        notes = (
            self.parts.summary_of(number, self._mark(group))
            for number, group in enumerate(self.groups)
        )
        return sum(int(note) for summary in notes if summary for note in summary.notes)

    def paths(self) -> list[Path]:
        """Name the files of all parts, in the order of the images."""
        return [self.parts.path_of(number) for number in range(len(self.groups))]

    def _mark(self, group: range) -> str:
        look_up = getattr(self.dataset, "get_image_info", self.dataset.get_data_info)
        paths = [
            split_plane(Path(path))[0]
            for place in group
            for path in look_up(place)["channel_paths"].values()
        ]
        return fingerprint(self._depends_on, list(group), file_states(paths))


def open_features(paths: Sequence[Path]) -> FeatureCache:
    """Map the parts of stores as one cache; small ones are loaded.

    Args:
        paths: of all parts, in the order that the images are to have.
    """
    small: list[dict[str, Tensor]] = []
    names: list[str] = []
    for path in paths:
        with safe_open(path, "pt") as part:
            kept = [name for name in part.keys() if name not in _FEATURES]  # noqa: SIM118
            small.append({name: part.get_tensor(name) for name in kept})
            names += json.loads(part.metadata()["hpa_ids"])
    known = {name: torch.cat([part[name] for part in small]) for name in small[0]}
    cells, images = (_rows(paths, name) for name in _FEATURES)
    return FeatureCache(
        cells,
        known["counts"].long(),
        images,
        known["image_labels"],
        known["cell_targets"],
        known["exact"],
        known["cell_ids"],
        tuple(names),
        known["reviewed"],
    )


def _rows(paths: Sequence[Path], name: str) -> Rows:
    rows = MappedRows(paths, name)
    if len(rows) * rows.shape[1] * 4 > IN_MEMORY_BYTES:
        return rows
    return rows[torch.arange(len(rows))]


def weights_digest(module: nn.Module) -> str:
    """Hash the parameters and buffers of the network that gives the features."""
    digest = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


class _SeededItems(Dataset[Any]):
    """A data set whose random choices follow from a seed and an item's place."""

    def __init__(self, dataset: Any, seed: int) -> None:
        self.dataset, self.seed = dataset, seed

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, place: int) -> Any:
        # pipelines draw from numpy's global generator
        before = np.random.get_state()  # noqa: NPY002
        np.random.seed([self.seed, place])  # noqa: NPY002
        try:
            return self.dataset[place]
        finally:
            np.random.set_state(before)  # noqa: NPY002


def _write(path: Path, cache: FeatureCache) -> None:
    tensors = {
        name: value.contiguous()
        for name, value in cache._asdict().items()
        if isinstance(value, Tensor)
    }
    for name in _FEATURES:
        tensors[name] = tensors[name].clamp(-_LARGEST, _LARGEST).half()
    tensors["cell_targets"] = tensors["cell_targets"].float()
    save_file(tensors, path, {"hpa_ids": json.dumps(cache.hpa_ids)})


def _notes(images: Sequence[ImageFeatures]) -> list[str]:
    return [str(sum(image.left_out for image in images))]


def _states_of(path: Path) -> list[tuple[int, int]]:
    """Size and time of a file, or of the files of a folder."""
    return file_states(sorted(path.iterdir()) if path.is_dir() else [path])


def _shown(loader: Any, total: int) -> Iterator[Any]:
    """Show how far a loader is, in the main process."""
    if not is_main_process():
        yield from loader
        return
    with progress("features", total) as advance:
        for batch in loader:
            yield batch
            advance(len(batch["data_samples"]))
