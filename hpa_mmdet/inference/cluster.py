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
from hpa_mmdet.inference.outputs import Output
from hpa_mmdet.inference.plan import PlannedImage, RunOptions
from hpa_mmdet.inference.predictor import Predictor
from hpa_mmdet.inference.stream import ImageStream, read_request
from hpa_mmdet.inference.views import PreparedImage, ViewMaker
from hpa_mmdet.jobs.engines import ray_cluster, use_one_thread
from hpa_mmdet.jobs.run import attempt

_RETRIES = 3
_CHUNKS_AHEAD = 2  # per model: one in work, one ready


def predict_chunks_on_ray(
    stream: ImageStream, chunks: Sequence[tuple[int, Sequence[PlannedImage]]], options: RunOptions
) -> Iterator[tuple[int, list[str]]]:
    """Predict chunks on a cluster.

    Args:
        stream: as for a local run; its predictor is built anew in each model actor. Files
            and the folder of results must have the same paths on all machines.
        chunks: number and images of each.
        options: of the run.

    Yields:
        The number and the lines of each chunk, as they are done.

    Raises:
        InputError: Ray is not installed, or a process died again and again.
    """
    with ray_cluster(max(2, options.workers)) as ray:
        models = _start_models(ray, stream)
        decode = ray.remote(num_cpus=1, max_retries=_RETRIES)(_decode)
        view_maker = ray.put(stream.predictor.view_maker)
        waiting = list(reversed(chunks))
        running: dict[Any, tuple[int, Any]] = {}
        idle = [model for model in models for _ in range(_CHUNKS_AHEAD)]
        while waiting or running:
            while waiting and idle:
                number, planned = waiting.pop()
                model = idle.pop(0)
                images = [decode.remote(image, view_maker) for image in planned]
                running[model.predict.remote(planned, *images)] = (number, model)
            (done, *_), _ = ray.wait(list(running), num_returns=1)
            number, model = running.pop(done)
            idle.append(model)
            yield number, _result(ray, done, stream.predictor)


def _start_models(ray: Any, stream: ImageStream) -> list[Any]:
    resources = ray.cluster_resources()
    gpus, cpus = int(resources.get("GPU", 0)), int(resources.get("CPU", 1))
    on_gpu = gpus > 0 and stream.predictor.device.type == "cuda"
    # half of the processors decode where there is no GPU to do the rest
    count = gpus if on_gpu else max(1, cpus // 2)
    actor = ray.remote(
        num_cpus=1, num_gpus=1 if on_gpu else 0, max_restarts=-1, max_task_retries=_RETRIES
    )(_Model)
    # Ray shows each actor its own GPU only, under the same name
    arguments = {**stream.predictor.arguments, "device": "cuda" if on_gpu else "cpu"}
    threads = torch.get_num_threads()
    return [
        actor.remote(arguments, stream.images, stream.outputs, stream.workers, threads)
        for _ in range(count)
    ]


def _result(ray: Any, reference: Any, predictor: Predictor) -> list[str]:
    try:
        lines, notes = ray.get(reference)
    except ray.exceptions.RayActorError as error:
        raise InputError(
            "--engine ray",
            f"a model process that died {_RETRIES + 1} times",
            "one that lives",
            "look for a full memory in Ray's logs, then run again with --resume",
        ) from error
    predictor.notes.extend(note for note in notes if note not in predictor.notes)
    return list(lines)


def _decode(planned: PlannedImage, view_maker: ViewMaker) -> PreparedImage | InputError:
    use_one_thread()
    channels = view_maker.settings.channels
    return attempt(lambda image: view_maker.prepare(read_request(image, channels)), planned)


class _Model:
    """The network in a process of its own."""

    def __init__(
        self,
        arguments: dict[str, Any],
        images: Path,
        outputs: Sequence[Output],
        workers: int,
        threads: int,
    ) -> None:
        torch.set_num_threads(threads)  # as the local run has them, since sums depend on it
        self.stream = ImageStream(Predictor(**arguments), images, outputs, workers)
        self.group_size = self.stream.predictor.batch_size

    def predict(
        self, planned: Sequence[PlannedImage], *images: PreparedImage | InputError
    ) -> tuple[list[str], list[str]]:
        """Give the lines of a chunk, and what there is to be noted."""
        by_id = {image.image_id: found for image, found in zip(planned, images, strict=True)}

        def prepared(image: PlannedImage) -> PreparedImage:
            found = by_id[image.image_id]
            if isinstance(found, InputError):
                raise found
            return found

        lines = list(self.stream.lines(planned, self.group_size, prepared))
        return lines, self.stream.predictor.notes
