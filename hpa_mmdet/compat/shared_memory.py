"""Whether the loaders' workers have room to hand their batches over.

Workers pass tensors through /dev/shm. Docker gives it 64 MB, and a worker that finds it full
waits for ever or dies by a bus error, so the room is checked before the first batch.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hpa_mmdet.errors import InputError

SHARED_MEMORY = Path("/dev/shm")
ANSWER_S = 900
"""After so many seconds without a batch a loader is given up."""
_LOOKED_AT = 200  # images, spread over the data set
_GROWTH = 1.6  # of an image that augmentation scales by 1.25 in both directions
_SHARE = 0.8  # of what is free


def fitting_workers(
    workers: int, batch_bytes: int, prefetch: int = 2, free_bytes: int | None = None
) -> int:
    """Say for how many workers the shared memory has room.

    Each worker holds `prefetch` batches that wait and one that it makes.

    Args:
        workers: that were asked for.
        batch_bytes: of one batch.
        prefetch: batches that each worker makes in advance.
        free_bytes: of shared memory; None looks.

    Returns:
        At most `workers`; all of them where there is no /dev/shm.

    Examples:
        >>> fitting_workers(4, batch_bytes=32_000_000, free_bytes=64_000_000)
        0
        >>> fitting_workers(4, batch_bytes=4_000_000, free_bytes=64_000_000)
        4
    """
    free = free_shared_memory() if free_bytes is None else free_bytes
    if free is None:
        return workers
    return min(workers, int(free * _SHARE / max(batch_bytes * (prefetch + 1), 1)))


def free_shared_memory() -> int | None:
    """Bytes free in /dev/shm; None where the system has none."""
    try:
        found = os.statvfs(SHARED_MEMORY)
    except OSError:
        return None
    return found.f_bavail * found.f_frsize


def bytes_of_batch(dataset: Any, batch_size: int) -> int:
    """Estimate a batch's bytes from the annotated sizes of the largest images.

    Args:
        dataset: has `get_image_info(index)` or `get_data_info(index)`, as `HpaCellDataset`, or
            wraps such a data set.
        batch_size: images of a batch.

    Returns:
        0 for a data set that does not say its sizes.
    """
    while hasattr(dataset, "dataset"):
        dataset = dataset.dataset
    look_up = getattr(dataset, "get_image_info", getattr(dataset, "get_data_info", None))
    if look_up is None:
        return 0
    step = max(1, len(dataset) // _LOOKED_AT)
    sizes = [_pixels(look_up(index)) for index in range(0, len(dataset), step)]
    channels, scale = _channels_and_scale(dataset)
    return int(max(sizes, default=0) * channels * scale**2 * _GROWTH * batch_size)


def loader_that_died(error: RuntimeError) -> InputError | None:
    """Say what to do where a loader's worker died or stopped answering; None for other errors."""
    text = str(error)
    if "DataLoader worker" not in text and "DataLoader timed out" not in text:
        return None
    return InputError(
        "data loader",
        problem=f"a worker died or gave nothing for {ANSWER_S} s ({text.splitlines()[0]})",
        remedy="look for full memory, a full /dev/shm (docker --shm-size=8g) or a disk that hangs; "
        "then --resume, with fewer workers (--cfg-options train_dataloader.num_workers=1)",
    )


def advice(workers: int, fitting: int, batch_bytes: int) -> str:
    """Say that fewer workers are used, and how to have them all."""
    needed = batch_bytes * 3 * workers / _SHARE / 1e6
    free = (free_shared_memory() or 0) / 1e6
    return (
        f"{SHARED_MEMORY} has {free:,.0f} MB free, and {workers} loader workers need "
        f"{needed:,.0f} MB: {fitting} workers are used, which is slower. Give the container more "
        f"(docker run --shm-size={max(1, round(needed / 1000 + 0.5))}g)"
    )


def _pixels(info: dict[str, Any]) -> int:
    return int(info.get("height", 0)) * int(info.get("width", 0))


def _channels_and_scale(dataset: Any) -> tuple[int, float]:
    transforms: Sequence[Any] = getattr(getattr(dataset, "pipeline", None), "transforms", ())
    for transform in transforms:
        if hasattr(transform, "channels"):
            return len(transform.channels), float(getattr(transform, "scale", 1.0))
    return 4, 1.0
