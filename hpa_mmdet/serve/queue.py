"""Uploads on their way through decoding and the model, one image after another."""

import asyncio
import logging
import math
import secrets
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hpa_mmdet.errors import InputError
from hpa_mmdet.serve.analysis import ModelFacts
from hpa_mmdet.serve.call_process import CallProcess, CallTimeout, ProcessDied
from hpa_mmdet.serve.limits import Refusal, ServerLimits
from hpa_mmdet.serve.pictures import DecodedImage

_LOG = logging.getLogger(__name__)
_FINISHED = ("done", "failed", "cancelled")


@dataclass(frozen=True)
class JobOptions:
    """What is asked for an image; see `Analyser`."""

    instances: str = "model"
    masks: str = "rle"
    cell_score: float = 0.5


@dataclass(eq=False)
class Job:
    """One upload.

    Args:
        options: what is asked.
        job_id: a random name that only its sender knows.
        state: decoding, waiting, predicting, done, failed or cancelled.
        image: its pixels, once decoded.
        prediction: the answer, once done.
        refusal: why it failed.
        seen: when its sender last asked, by the monotonic clock.
        began: when the present state began, likewise.
    """

    options: JobOptions
    job_id: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    state: str = "receiving"
    image: DecodedImage | None = None
    prediction: dict[str, Any] | None = None
    refusal: Refusal | None = None
    seen: float = field(default_factory=time.monotonic)
    began: float = field(default_factory=time.monotonic)
    task: "asyncio.Task[None] | None" = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def finished(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in _FINISHED

    def enter(self, state: str) -> None:
        """Go on to another state, and wake those who wait."""
        self.state, self.began = state, time.monotonic()
        self.changed.set()
        self.changed = asyncio.Event()


class JobQueue:
    """The jobs of a server; one image is in the model at a time.

    Args:
        model: calls an `Analyser`.
        helper: decodes.
        facts: of the model.
        limits: of the server.
    """

    def __init__(
        self, model: CallProcess, helper: CallProcess, facts: ModelFacts, limits: ServerLimits
    ) -> None:
        self.facts, self.limits = facts, limits
        self._model, self._helper = model, helper
        self._jobs: dict[str, Job] = {}
        self._model_lock, self._helper_lock = asyncio.Lock(), asyncio.Lock()
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="serve")
        self._seconds_per_megapixel: float | None = None

    def open(self, options: JobOptions) -> Job:
        """Take a place for a new upload.

        Raises:
            Refusal: all places are taken.
        """
        self.forget_abandoned()
        if self.unfinished() >= self.limits.queue_length:
            wait_s = int(min(60, max(2, self._typical_s() * self.limits.queue_length / 2)))
            raise Refusal(
                503,
                "busy",
                f"The server is busy with {self.limits.queue_length} other images. "
                f"Try again in {wait_s} seconds.",
                wait_s,
            )
        job = Job(options)
        self._jobs[job.job_id] = job
        return job

    def unfinished(self) -> int:
        """How many places are taken."""
        return sum(not job.finished for job in self._jobs.values())

    def start(self, job: Job, paths: dict[str, Path], folder: Path) -> None:
        """Let a received upload go its way; `folder` is removed once its files are decoded."""
        job.enter("decoding")
        job.task = asyncio.get_running_loop().create_task(self._run(job, paths, folder))

    def get(self, job_id: str) -> Job:
        """Find a job, and note that somebody asked for it.

        Raises:
            Refusal: there is none of this name, or no longer.
        """
        job = self._jobs.get(job_id)
        if job is None:
            raise Refusal(
                404, "no_job", "This job is not known, or was forgotten. Send the images again."
            )
        job.seen = time.monotonic()
        return job

    def close(self, job: Job) -> None:
        """Cancel a job if it is under way, and forget it.

        The model finishes an image that it has begun where this takes no longer than to
        start the model again.
        """
        self._jobs.pop(job.job_id, None)
        if job.state == "predicting" and self._left_s(job) > self._model.start_s:
            self._model.interrupt()
        if not job.finished:
            if job.task is not None:
                job.task.cancel()
            job.enter("cancelled")
        job.image = None

    def forget_abandoned(self) -> None:
        """Close the jobs that nobody has asked about for a while."""
        oldest = time.monotonic() - self.limits.abandon_s
        for job in list(self._jobs.values()):
            if job.seen < oldest and job.state != "receiving":
                self.close(job)

    def position(self, job: Job) -> int:
        """How many uploads are before this one."""
        if job.state in ("predicting", *_FINISHED):
            return 0
        jobs = list(self._jobs.values())
        return sum(not other.finished for other in jobs[: jobs.index(job)]) if job in jobs else 0

    def expected_s(self, job: Job) -> float | None:
        """How long the model will need for this image, from what earlier ones took."""
        if job.image is None or self._seconds_per_megapixel is None:
            return None
        height, width = job.image.pixels.shape[:2]
        return max(0.1, self._seconds_per_megapixel * height * width / 1e6)

    def _left_s(self, job: Job) -> float:
        """How long the model will still need for the image that it works on."""
        expected_s = self.expected_s(job)
        if expected_s is None:
            return math.inf
        # slower than expected: as much longer as it has already been at it
        elapsed_s = time.monotonic() - job.began
        return expected_s - elapsed_s if elapsed_s < expected_s else elapsed_s

    async def help(self, *arguments: Any) -> Any:
        """Call the helper process.

        Raises:
            Refusal: it refused, or failed on what it was given.
        """
        async with self._helper_lock:
            try:
                return await self._in_thread(
                    lambda: self._helper.call(*arguments, timeout_s=self.limits.decode_s)
                )
            except (MemoryError, ProcessDied) as error:
                _LOG.warning("the helper failed: %r", error)
                raise Refusal(
                    422,
                    "unreadable",
                    "The files could not be decoded: they are damaged or too large. "
                    "Export them again.",
                ) from None
            except CallTimeout:
                raise Refusal(
                    422, "too_slow", "Decoding the files took too long. Export them again."
                ) from None

    async def watch(self, forget_every_s: float) -> None:
        """Forget abandoned jobs, for ever."""
        while True:
            await asyncio.sleep(forget_every_s)
            self.forget_abandoned()

    def shut_down(self) -> None:
        """Cancel what is under way and end both processes."""
        for job in list(self._jobs.values()):
            self.close(job)
        self._model.stop()
        self._helper.stop()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _run(self, job: Job, paths: dict[str, Path], folder: Path) -> None:
        try:
            try:
                job.image = await self.help(
                    "decode", paths, self.facts.channels, self.limits.pixels
                )
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            job.enter("waiting")
            async with self._model_lock:
                job.enter("predicting")
                job.prediction = await self._predict(job)
            job.enter("done")
        except Refusal as refusal:
            self._fail(job, refusal)
        except Exception:
            _LOG.exception("a job failed")
            self._fail(
                job,
                Refusal(500, "failed", "The server failed on this image; its log says more."),
            )

    async def _predict(self, job: Job) -> dict[str, Any]:
        image, options = job.image, job.options
        assert image is not None
        start = time.monotonic()
        arguments = (image.pixels, options.instances, options.masks, options.cell_score)
        try:
            answer: dict[str, Any] = await self._in_thread(
                lambda: self._model.call(*arguments, timeout_s=self.limits.predict_s)
            )
        except InputError as error:
            _LOG.warning("the model refused an image: %s", error)
            raise Refusal(
                422, "not_predicted", f"The model cannot use this image: {error}."
            ) from None
        except CallTimeout:
            raise Refusal(
                504,
                "too_slow",
                f"The model took more than {self.limits.predict_s:g} seconds. "
                "Cut the image into smaller parts.",
            ) from None
        except (MemoryError, ProcessDied) as error:
            _LOG.error("the model failed: %r", error)
            raise Refusal(
                500, "model_failed", "The model failed on this image. Try a smaller one."
            ) from None
        seconds = time.monotonic() - start
        megapixels = image.pixels.shape[0] * image.pixels.shape[1] / 1e6
        self._seconds_per_megapixel = seconds / max(megapixels, 1e-3)
        return {
            **answer,
            "channels": list(image.channels),
            "instances": options.instances,
            "notes": [*image.notes, *answer["notes"]],
            "model_checksum": self.facts.checksum,
            "input_sha256": image.sha256,
            "seconds": round(seconds, 3),
        }

    def _fail(self, job: Job, refusal: Refusal) -> None:
        job.refusal = refusal
        job.enter("failed")

    def _typical_s(self) -> float:
        return 2.0 if self._seconds_per_megapixel is None else 4 * self._seconds_per_megapixel

    async def _in_thread(self, call: Callable[[], Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call)
