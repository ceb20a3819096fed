"""However many images there are, only a few are in memory."""

import json
import weakref
from pathlib import Path

import numpy as np
import pytest

from hpa_mmdet.errors import InputError
from hpa_mmdet.inference.plan import PlannedImage
from hpa_mmdet.inference.stored_images import StoredImage
from hpa_mmdet.inference.stream import ImageStream
from hpa_mmdet.inference.views import FoundImage, ImageRequest, PreparedImage
from hpa_mmdet.io.channels import ImageFiles
from hpa_mmdet.predictions.cells import ImagePrediction


class Network:
    """Finds nothing; remembers how many images it was shown."""

    @property
    def view_maker(self) -> "Network":
        return self

    def detect(self, images: list[PreparedImage]) -> list:
        return [[] for _ in images]

    def read(self, request: ImageRequest, answers: list) -> FoundImage:
        named = ImageRequest(request.image_id, request.image)
        found = ImagePrediction(request.image_id, 5, 4)
        return FoundImage(found, PreparedImage(named, ()))


def most_alive(count: int, batch: int, workers: int) -> int:
    alive: weakref.WeakSet[ImageRequest] = weakref.WeakSet()
    most = 0

    def prepare(image: PlannedImage) -> PreparedImage:
        if int(image.image_id) % 7 == 3:
            raise InputError("file", "nothing", "an image", "copy it")
        request = ImageRequest(image.image_id, np.zeros((4, 5, 4), np.uint8))
        alive.add(request)
        return PreparedImage(request, ())

    class Stream(ImageStream):
        def finish(
            self, image: PlannedImage, request: ImageRequest, found: FoundImage, answer: list
        ) -> StoredImage:
            nonlocal most
            most = max(most, len(alive))
            return StoredImage(ImagePrediction(image.image_id, 5, 4), {})

    planned = [PlannedImage(ImageFiles(str(number), {})) for number in range(count)]
    lines = Stream(Network(), Path(), (), workers).lines(planned, batch, prepare)
    results = [json.loads(line) for line in lines]
    assert [int(result["image_id"]) for result in results] == list(range(count))
    assert all(("error" in result) == (int(result["image_id"]) % 7 == 3) for result in results)
    return most


@pytest.mark.parametrize(("batch", "workers"), [(1, 2), (4, 1), (3, 3)])
def test_images_in_memory_do_not_grow_with_their_number(batch: int, workers: int) -> None:
    bound = (
        3 * (batch + workers) + 3 * batch
    )  # read ahead, with the network, waiting to be named, waiting to be finished
    assert most_alive(20, batch, workers) <= bound
    assert most_alive(200, batch, workers) <= bound
