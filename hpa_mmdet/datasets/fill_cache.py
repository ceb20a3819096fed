"""Filling an image cache before training: all images at once, in parallel."""

import shutil
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any, NamedTuple

from mmdet.registry import HOOKS
from mmengine.dist import barrier, get_dist_info
from mmengine.hooks import Hook

from hpa_mmdet.datasets.image_cache import CacheWriteError, ImageCache
from hpa_mmdet.datasets.loading import LoadHpaChannels, image_files
from hpa_mmdet.datasets.working_image import decode_working_image, working_shape
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.channels import ImageFiles
from hpa_mmdet.jobs import Report
from hpa_mmdet.jobs.progress import progress
from hpa_mmdet.jobs.report import Failure


class CacheSource(NamedTuple):
    """An image's files, and its height and width as annotated."""

    files: ImageFiles
    shape_hw: tuple[int, int]


def fill_cache(
    cache: ImageCache, sources: Sequence[CacheSource], report: Report, workers: int = 4
) -> None:
    """Decode and store every image that the cache lacks.

    Decoding runs in threads: the decoders leave Python's lock alone, and threads share
    what training has imported. A run that was killed is taken up where it was.

    Args:
        cache: where.
        sources: the images; one that cannot be read is listed in `report.failures`.
        report: `done` counts the images that are in the cache at the end.
        workers: threads.

    Raises:
        CacheWriteError: the images do not fit the disk, as their sizes say before the
            first is decoded, or the folder cannot be written to.
    """
    cache.remove_left()
    lacking = []
    with progress("image cache: looked for", len(sources)) as advance:
        for source in sources:
            if cache.read(source.files) is None:
                lacking.append(source)
            advance(1)
    report.done += len(sources) - len(lacking)
    if not lacking:
        return
    _check_room(cache, lacking)
    with (
        ThreadPoolExecutor(max(1, workers)) as pool,
        progress("image cache", len(lacking)) as advance,
    ):
        waiting = {pool.submit(_store, cache, source.files): source for source in lacking}
        try:
            for done in as_completed(waiting):
                advance(1)
                try:
                    done.result()
                    report.done += 1
                except CacheWriteError:
                    raise
                except InputError as error:
                    image_id = waiting[done].files.image_id
                    report.failures.append(Failure(image_id, str(error)))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    report.failures.sort(key=lambda failure: failure.item_id)


def _store(cache: ImageCache, files: ImageFiles) -> None:
    cache.store(files, decode_working_image(files, cache.channels, cache.scale, cache.white_level))


def _check_room(cache: ImageCache, lacking: Iterable[CacheSource]) -> None:
    needed = sum(
        len(cache.channels) * height * width
        for height, width in (working_shape(source.shape_hw, cache.scale) for source in lacking)
    )
    folders = (cache.folder, *cache.folder.absolute().parents)
    place = next(folder for folder in folders if folder.exists())
    free = shutil.disk_usage(place).free
    if needed > free:
        raise CacheWriteError(
            f"image cache {cache.folder}",
            f"{free / 1e9:,.1f} GB of free disk",
            f"{needed / 1e9:,.1f} GB for the decoded images",
            "free space, choose another folder or a smaller scale, or train without the cache",
        )


@HOOKS.register_module()
class FillImageCache(Hook):
    """Fill the image caches of the training and validation sets, and say how large they are.

    A set whose `LoadHpaChannels` names no cache is left alone. Each process fills its
    share. Where a cache cannot be written to, training goes on with what is in it.

    Args:
        workers: threads of each process.
    """

    priority = "HIGH"

    def __init__(self, workers: int = 4) -> None:
        self.workers = workers

    def before_train(self, runner: Any) -> None:
        """Fill before the first step, since the loaders' workers start with it."""
        datasets = [runner.train_dataloader.dataset]
        if runner.val_loop is not None:
            datasets.append(runner.val_dataloader.dataset)
        for dataset in datasets:
            for transform in caching_transforms(dataset):
                self._fill(runner.logger, dataset, transform)

    def _fill(self, logger: Any, dataset: Any, transform: LoadHpaChannels) -> None:
        assert transform.cache is not None
        rank, world_size = get_dist_info()
        report = Report("image cache")
        try:
            sources = list(sources_of(dataset))[rank::world_size]
            fill_cache(transform.cache, sources, report, self.workers)
        except CacheWriteError as error:
            logger.warning(f"{error}. Training goes on without storing images.")
            transform.stores = False
        for failure in report.failures:
            logger.warning(f"image cache: {failure.item_id} is not in it: {failure.message}")
        barrier()
        logger.info(f"image cache {transform.cache.folder}: {transform.cache.size()}")


def caching_transforms(dataset: Any) -> list[LoadHpaChannels]:
    """List the transforms of a data set, or of the one that it wraps, that use a cache."""
    while not hasattr(dataset, "pipeline") and hasattr(dataset, "dataset"):
        dataset = dataset.dataset
    transforms = getattr(getattr(dataset, "pipeline", None), "transforms", ())
    return [
        transform
        for transform in transforms
        if isinstance(transform, LoadHpaChannels) and transform.cache is not None
    ]


def sources_of(dataset: Any) -> Iterator[CacheSource]:
    """Give the images of an `HpaCellDataset`, or of the one that it wraps."""
    while not hasattr(dataset, "get_data_info"):
        dataset = dataset.dataset
    look_up = getattr(dataset, "get_image_info", dataset.get_data_info)
    for place in range(len(dataset)):
        entry = look_up(place)
        yield CacheSource(image_files(entry), (entry["height"], entry["width"]))


def sources_of_json(images: Iterable[Any], folder: Path) -> list[CacheSource]:
    """Give the images of a COCO JSON, as `hpa_mmdet.coco.read` reads them."""
    return [
        CacheSource(
            ImageFiles(
                image.hpa_id,
                {channel: folder / name for channel, name in image.channel_files.items()},
            ),
            image.shape_hw,
        )
        for image in images
    ]
