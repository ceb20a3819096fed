"""Many images through one predictor: decoding and encoding while the network works."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from hpa_mmdet.errors import InputError
from hpa_mmdet.inference.predictor import Predictor
from hpa_mmdet.inference.views import Detections, PreparedImage
from hpa_mmdet.jobs.run import attempt

Item = TypeVar("Item")
Result = TypeVar("Result")
_Answer = list[list[Detections]] | InputError


def predict_stream(
    predictor: Predictor,
    groups: Sequence[Sequence[Item]],
    prepare: Callable[[Item], PreparedImage],
    finish: Callable[[Item, PreparedImage, Sequence[Sequence[Detections]]], Result],
    workers: int = 2,
) -> Iterator[tuple[Item, Result | InputError]]:
    """Read, predict and finish images, a few at a time, in their order.

    Files are read and cells are finished in threads; the network runs in the calling one.
    What is in memory does not grow with the number of items.

    Args:
        predictor: the network.
        groups: items that go to the network together, whatever the threads do, so that
            its answers do not depend on them.
        prepare: reads an item and makes its views.
        finish: makes the result of what was found, and may write files.
        workers: threads for reading, and as many for finishing.

    Yields:
        Each item with its result, or with the InputError that it ended in.
    """
    group_size = max((len(group) for group in groups), default=1)
    ahead = 1 + -(-workers // group_size)

    def complete(
        item: Item, image: PreparedImage | InputError, answer: _Answer
    ) -> Result | InputError:
        if isinstance(image, InputError):
            return image
        if isinstance(answer, InputError):
            return answer
        return attempt(lambda each: finish(each, image, answer), item)

    with ThreadPoolExecutor(workers) as readers, ThreadPoolExecutor(workers) as finishers:
        reading: deque[list[Future[PreparedImage | InputError]]] = deque()
        finishing: deque[tuple[Item, Future[Result | InputError]]] = deque()
        for number, group in enumerate(groups):
            while len(reading) <= ahead and number + len(reading) < len(groups):
                coming = groups[number + len(reading)]
                reading.append([readers.submit(attempt, prepare, item) for item in coming])
            images = [future.result() for future in reading.popleft()]
            for item, image, answer in zip(group, images, _detect(predictor, images), strict=True):
                finishing.append((item, finishers.submit(complete, item, image, answer)))
            yield from _finished(finishing, most_waiting=group_size + 2 * workers)
        yield from _finished(finishing, most_waiting=0)


def _finished(
    finishing: deque[tuple[Item, Future[Result | InputError]]], most_waiting: int
) -> Iterator[tuple[Item, Result | InputError]]:
    """Give what is done at the head, and wait until no more than `most_waiting` are left."""
    while finishing and (len(finishing) > most_waiting or finishing[0][1].done()):
        item, future = finishing.popleft()
        yield item, future.result()


def _detect(predictor: Predictor, images: Sequence[PreparedImage | InputError]) -> list[_Answer]:
    """Run a group; where it fails, each image by itself, so that one does not cost the rest."""
    good = [each for each in images if isinstance(each, PreparedImage)]
    try:
        found: list[_Answer] = list(predictor.detect(good))
    except InputError:
        found = [attempt(lambda one: predictor.detect([one])[0], each) for each in good]
    answers = iter(found)
    return [next(answers) if isinstance(each, PreparedImage) else each for each in images]
