"""Features that several processes computed, put together in the order of the data set."""

from pathlib import Path

import torch
from mmengine.dist import collect_results_cpu, get_world_size

from hpa_mmdet.fit.feature_cache import FeatureCache, join_caches


def gather_cache(part: FeatureCache, size: int, folder: Path) -> FeatureCache | None:
    """Collect the parts of all processes in the main one.

    Args:
        part: what this process computed: every n-th image for n processes, the last ones
            twice where they do not part evenly.
        size: images of the data set.
        folder: that all processes see; used in passing and removed.

    Returns:
        The whole cache in the main process, None in the others.
    """
    if get_world_size() == 1:
        return part
    images = collect_results_cpu(split_cache(part), size, str(folder))
    return None if images is None else join_caches(images)


def split_cache(cache: FeatureCache) -> list[FeatureCache]:
    """Part a cache into caches of one image each."""
    counts = cache.counts.tolist()
    cells = cache.cells.split(counts)
    targets = None if cache.cell_targets is None else cache.cell_targets.split(counts)
    cell_ids = None if cache.cell_ids is None else cache.cell_ids.split(counts)
    exact = torch.zeros(len(counts), dtype=torch.bool) if cache.exact is None else cache.exact
    # clones: a slice is pickled with all of what it was cut from
    return [
        FeatureCache(
            cells[at].clone(),
            cache.counts[at : at + 1].clone(),
            cache.images[at : at + 1].clone(),
            cache.image_labels[at : at + 1].clone(),
            None if targets is None else targets[at].clone(),
            exact[at : at + 1].clone(),
            None if cell_ids is None else cell_ids[at].clone(),
            cache.hpa_ids[at : at + 1],
        )
        for at in range(len(counts))
    ]
