"""Where calls run: in this process, in local ones, or on a Ray cluster.

All give their results in the order of the items, so nothing that follows can tell.
"""

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from typing import Any, TypeVar

from hpa_mmdet.errors import InputError

MappedItem = TypeVar("MappedItem")
MappedResult = TypeVar("MappedResult")

ENGINES: tuple[str, ...] = ("local", "ray")
_AHEAD = 4  # items in flight per worker: enough to keep it busy, few enough for the memory


def map_in_order(
    function: Callable[[MappedItem], MappedResult],
    items: Sequence[MappedItem],
    *,
    workers: int = 1,
    engine: str = "local",
) -> Iterator[MappedResult]:
    """Call `function` on each item; results come in order, a few calls are ahead.

    Args:
        function: picklable, unless it runs in this process (local, one worker).
        items: what to call it on.
        workers: processes of the local engine. Ray takes what its cluster has, or starts
            one of this many processes where RAY_ADDRESS names none.
        engine: `local` or `ray`.

    Raises:
        InputError: the engine is unknown or not installed, or a worker died.
    """
    if engine not in ENGINES:
        raise InputError("--engine", engine, f"one of {', '.join(ENGINES)}", "correct it")
    if workers < 1:
        raise InputError("--workers", workers, "1 or more", "correct it")
    if engine == "ray":
        return _on_ray(function, items, workers)
    return map(function, items) if workers == 1 else _in_processes(function, items, workers)


def _in_processes(
    function: Callable[[MappedItem], MappedResult], items: Sequence[MappedItem], workers: int
) -> Iterator[MappedResult]:
    # spawn: forking a process that holds threads (OpenCV, torch) can deadlock
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        workers, mp_context=context, initializer=_start_worker, initargs=(function,)
    ) as pool:
        waiting = iter(items)
        queue: deque[Future[MappedResult]] = deque(
            pool.submit(_call, item) for item in islice(waiting, _AHEAD * workers)
        )
        try:
            while queue:
                result = queue.popleft().result()
                queue.extend(pool.submit(_call, item) for item in islice(waiting, 1))
                yield result
        except BrokenProcessPool as error:
            raise InputError(
                "--workers",
                "a worker that was killed, as happens when the memory is full",
                f"{workers} workers to the end",
                "use fewer, and run the same command again",
            ) from error
        finally:
            for future in queue:
                future.cancel()


_of_worker: dict[object, Callable[[Any], Any]] = {}
"""The function of this process, handed over once: it may hold a network or a list of files."""


def _call(item: Any) -> Any:
    return _of_worker[None](item)


def _start_worker(function: Callable[[Any], Any]) -> None:
    _of_worker[None] = function
    use_one_thread()
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Wait for the parent's end and follow it: a pool's workers outlive a killed parent."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def use_one_thread() -> None:
    """Keep numeric libraries of a worker from starting a thread for each core."""
    os.environ["OMP_NUM_THREADS"] = "1"
    import cv2

    cv2.setNumThreads(1)


def _on_ray(
    function: Callable[[MappedItem], MappedResult], items: Sequence[MappedItem], workers: int
) -> Iterator[MappedResult]:
    with ray_cluster(workers) as ray:
        # a task whose worker dies is run again by Ray, three times at most
        call = ray.remote(_on_one_thread)
        shared = ray.put(function)
        slots = max(1, int(ray.cluster_resources().get("CPU", 1)))
        waiting = iter(items)
        # in a list Ray hands the reference over, and not the function, each time anew
        queue = deque(call.remote([shared], item) for item in islice(waiting, _AHEAD * slots))
        while queue:
            result = ray.get(queue.popleft())
            queue.extend(call.remote([shared], item) for item in islice(waiting, 1))
            yield result


@contextmanager
def ray_cluster(workers: int) -> Iterator[Any]:
    """Give Ray, connected to RAY_ADDRESS, or to a cluster of its own until the block ends.

    Args:
        workers: processors of a cluster that is started here.

    Raises:
        InputError: Ray is not installed.
    """
    ray = _import_ray()
    started_here = not ray.is_initialized()
    if started_here:
        where = {} if os.environ.get("RAY_ADDRESS") else {"num_cpus": workers}
        ray.init(include_dashboard=False, log_to_driver=False, **where)
    try:
        yield ray
    finally:
        if started_here:
            ray.shutdown()


def _on_one_thread(reference: list[Any], item: Any) -> Any:
    use_one_thread()
    key = reference[0].hex()
    if key not in _of_worker:
        _of_worker.clear()
        _of_worker[key] = _import_ray().get(reference[0])
    return _of_worker[key](item)


def _import_ray() -> Any:
    # Ray would rebuild the environment of `uv run` on each node, where we want ours as it is
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    try:
        import ray
    except ImportError as error:
        raise InputError(
            "--engine ray", "no ray", "the extra `cluster`", "pip install 'hpa-mmdet[cluster]'"
        ) from error
    return ray
