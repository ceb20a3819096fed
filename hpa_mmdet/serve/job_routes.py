"""The routes of jobs: an upload that is followed while it is decoded and predicted."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import numpy as np
from fastapi import APIRouter, Request
from numpy.typing import NDArray
from starlette.responses import JSONResponse, Response, StreamingResponse

from hpa_mmdet.serve import schema
from hpa_mmdet.serve.limits import Refusal
from hpa_mmdet.serve.queue import Job, JobQueue
from hpa_mmdet.serve.receive import UPLOAD_DESCRIPTION, AskedOptions, receive_job
from hpa_mmdet.serve.replies import ERRORS

_TICK_S = 1.0
_LEAVE_S = 3.0  # a page that is loaded anew comes back within it


class JobRoutes:
    """Handlers of `/api/jobs`.

    Args:
        queue: where the jobs are.
    """

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue

    def router(self) -> APIRouter:
        """Make the routes."""
        router = APIRouter(prefix="/api/jobs", responses=ERRORS)
        router.post(
            "",
            status_code=202,
            summary="Images in, and a job to follow",
            response_model=schema.JobReply,
            openapi_extra=UPLOAD_DESCRIPTION,
        )(self.begin)
        router.get("/{job_id}", summary="How far a job is, and its answer")(self.state)
        router.get(
            "/{job_id}/events",
            summary="A job's progress as server-sent events",
            response_class=StreamingResponse,
            responses={200: {"content": {"text/event-stream": {}}}},
        )(self.events)
        router.get(
            "/{job_id}/pixels",
            summary="The decoded channels, plane by plane, 8 or 16 bit little-endian",
            response_class=Response,
            responses={200: {"content": {"application/octet-stream": {}}}},
        )(self.pixels)
        router.delete("/{job_id}", status_code=204, summary="Cancel and forget a job")(self.cancel)
        return router

    async def begin(self, request: Request, options: AskedOptions) -> Response:
        """Receive an upload and start it."""
        job = await receive_job(self._queue, request, options)
        if isinstance(job, Response):
            return job
        return JSONResponse(self._reply(job), 202)

    async def state(self, job_id: str) -> schema.JobReply:
        """How far a job is; with the answer once it is done."""
        job = self._queue.get(job_id)
        return schema.JobReply.model_validate({**self._reply(job), "prediction": job.prediction})

    async def events(self, job_id: str) -> Response:
        """Follow a job until it is finished."""
        job = self._queue.get(job_id)
        return StreamingResponse(self._events(job), media_type="text/event-stream")

    async def pixels(self, job_id: str) -> Response:
        """The decoded image, as soon as the job waits for the model."""
        image = self._queue.get(job_id).image
        if image is None:
            raise Refusal(404, "no_pixels", "The images are not decoded yet, or were forgotten.")
        planes = await asyncio.to_thread(plane_bytes, image.pixels)
        return Response(planes, media_type="application/octet-stream")

    async def cancel(self, job_id: str) -> Response:
        """Stop a job, also one that the model works on."""
        self._queue.close(self._queue.get(job_id))
        return Response(status_code=204)

    def _reply(self, job: Job) -> dict[str, Any]:
        image, refusal = job.image, job.refusal
        height, width = (None, None) if image is None else image.pixels.shape[:2]
        return {
            "job_id": job.job_id,
            "state": job.state,
            "position": self._queue.position(job),
            "elapsed_s": round(time.monotonic() - job.began, 2),
            "expected_s": self._queue.expected_s(job),
            "width": width,
            "height": height,
            "depth_bits": None if image is None else 8 * image.pixels.dtype.itemsize,
            "channels": [] if image is None else list(image.channels),
            "error": refusal and {"code": refusal.code, "message": refusal.message},
        }

    async def _events(self, job: Job) -> AsyncIterator[str]:
        try:
            while True:
                job.seen = time.monotonic()
                yield f"event: state\ndata: {json.dumps(self._reply(job))}\n\n"
                if job.finished:
                    return
                await job_change(job)
        finally:
            if not job.finished:  # the page was closed
                job.seen = time.monotonic() - self._queue.limits.abandon_s + _LEAVE_S


async def job_change(job: Job) -> None:
    """Wait until something happens to a job, or a moment."""
    with suppress(TimeoutError):
        await asyncio.wait_for(job.changed.wait(), _TICK_S)


def plane_bytes(pixels: NDArray[np.integer]) -> bytes:
    """(H, W, C) as C planes of rows, little-endian."""
    planes = np.ascontiguousarray(np.moveaxis(pixels, 2, 0))
    return planes.astype(planes.dtype.newbyteorder("<"), copy=False).tobytes()
