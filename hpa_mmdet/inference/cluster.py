"""A run on a Ray cluster: files are decoded on processors, networks run on devices.

A model actor holds the network on one GPU (or on a processor where the cluster has no
GPU). It is handed whole chunks whose images other processes have read and resized. What
comes back are the lines that a local run would write. A process that dies is started
again and its work repeated, three times at most.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from hpa_mmdet.errors import InputError
from hpa_mmdet.inference.framing import Framing
from hpa_mmdet.inference.plan import Item, RunOptions
from hpa_mmdet.inference.predictor import Predictor
from hpa_mmdet.inference.views import PreparedImage
from hpa_mmdet.inference.work import Worker, read_item
from hpa_mmdet.jobs.engines import ray_cluster, use_one_thread
from hpa_mmdet.jobs.run import attempt

_RETRIES = 3
_CHUNKS_AHEAD = 2  # per model: one in work, one ready


def predict_chunks_on_ray(
    worker: Worker, chunks: Sequence[tuple[int, Sequence[Item]]]
) -> Iterator[tuple[int, list[str]]]:
    """Predict chunks on a cluster.

    Args:
        worker: as for a local run; its predictor is built anew in each model actor. Files
            and the folder of results must have the same paths on all machines.
        chunks: number and items of each.

    Yields:
        The number and the lines of each chunk, as they are done.

    Raises:
        InputError: Ray is not installed, or a process died again and again.
    """
    with ray_cluster(max(2, worker.options.workers)) as ray:
        models = _start_models(ray, worker)
        decode = ray.remote(num_cpus=1, max_retries=_RETRIES)(_decode)
        framing = ray.put(worker.predictor.framing)
        waiting = list(reversed(chunks))
        running: dict[Any, tuple[int, Any]] = {}
        idle = [model for model in models for _ in range(_CHUNKS_AHEAD)]
        while waiting or running:
            while waiting and idle:
                number, items = waiting.pop()
                model = idle.pop(0)
                images = [decode.remote(item, framing) for item in items]
                running[model.predict.remote(items, *images)] = (number, model)
            (done, *_), _ = ray.wait(list(running), num_returns=1)
            number, model = running.pop(done)
            idle.append(model)
            yield number, _result(ray, done, worker)


def _start_models(ray: Any, worker: Worker) -> list[Any]:
    resources = ray.cluster_resources()
    gpus, cpus = int(resources.get("GPU", 0)), int(resources.get("CPU", 1))
    on_gpu = gpus > 0 and worker.predictor.device.type == "cuda"
    # half of the processors decode where there is no GPU to do the rest
    count = gpus if on_gpu else max(1, cpus // 2)
    actor = ray.remote(
        num_cpus=1, num_gpus=1 if on_gpu else 0, max_restarts=-1, max_task_retries=_RETRIES
    )(_Model)
    # Ray shows each actor its own GPU only, under the same name
    arguments = {**worker.predictor.arguments, "device": "cuda" if on_gpu else "cpu"}
    threads = torch.get_num_threads()
    return [actor.remote(arguments, worker.images, worker.options, threads) for _ in range(count)]


def _result(ray: Any, reference: Any, worker: Worker) -> list[str]:
    try:
        lines, notes = ray.get(reference)
    except ray.exceptions.RayActorError as error:
        raise InputError(
            "--engine ray",
            f"a model process that died {_RETRIES + 1} times",
            "one that lives",
            "look for a full memory in Ray's logs, then run again with --resume",
        ) from error
    worker.predictor.notes.extend(note for note in notes if note not in worker.predictor.notes)
    return list(lines)


def _decode(item: Item, framing: Framing) -> PreparedImage | InputError:
    use_one_thread()
    return attempt(lambda each: framing.prepare(read_item(each, framing.settings.channels)), item)


class _Model:
    """The network in a process of its own."""

    def __init__(
        self, arguments: dict[str, Any], images: Path, options: RunOptions, threads: int
    ) -> None:
        torch.set_num_threads(threads)  # as the local run has them, since sums depend on it
        self.worker = Worker(images, Predictor(**arguments), options)
        self.group_size = self.worker.predictor.batch_size

    def predict(
        self, items: Sequence[Item], *images: PreparedImage | InputError
    ) -> tuple[list[str], list[str]]:
        """Give the lines of a chunk, and what there is to be noted."""
        by_id = {item.files.image_id: image for item, image in zip(items, images, strict=True)}

        def prepared(item: Item) -> PreparedImage:
            image = by_id[item.files.image_id]
            if isinstance(image, InputError):
                raise image
            return image

        lines = list(self.worker.lines(items, self.group_size, prepared))
        return lines, self.worker.predictor.notes
