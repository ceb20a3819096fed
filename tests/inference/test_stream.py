"""However many images there are, only a few are in memory."""

import weakref

import numpy as np
import pytest

from hpa_mmdet.errors import InputError
from hpa_mmdet.inference.stream import predict_stream
from hpa_mmdet.inference.turns import UPRIGHT
from hpa_mmdet.inference.views import ImageRequest, PreparedImage


class Network:
    """Finds nothing; remembers how many images it was shown."""

    def detect(self, images: list[PreparedImage]) -> list:
        return [[] for _ in images]


def most_alive(count: int, batch: int, workers: int) -> int:
    alive: weakref.WeakSet[PreparedImage] = weakref.WeakSet()
    most = 0

    def prepare(number: int) -> PreparedImage:
        if number % 7 == 3:
            raise InputError("file", "nothing", "an image", "copy it")
        request = ImageRequest(str(number), np.zeros((4, 5, 4), np.uint8))
        image = PreparedImage(request, (), (UPRIGHT,), 1.0)
        alive.add(image)
        return image

    def finish(number: int, image: PreparedImage, answer: list) -> int:
        nonlocal most
        most = max(most, len(alive))
        return number

    groups = [range(at, min(at + batch, count)) for at in range(0, count, batch)]
    results = list(predict_stream(Network(), groups, prepare, finish, workers))
    assert [item for item, _ in results] == list(range(count))
    assert all(isinstance(result, InputError) == (item % 7 == 3) for item, result in results)
    return most


@pytest.mark.parametrize(("batch", "workers"), [(1, 2), (4, 1), (3, 3)])
def test_images_in_memory_do_not_grow_with_their_number(batch: int, workers: int) -> None:
    bound = (
        3 * (batch + workers) + 2 * batch
    )  # read ahead, with the network, waiting to be finished
    assert most_alive(20, batch, workers) <= bound
    assert most_alive(200, batch, workers) <= bound
