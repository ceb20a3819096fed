"""The routes that take images and give cells."""

import asyncio
import json
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Query, Request
from pydantic import ValidationError
from starlette.responses import JSONResponse, Response, StreamingResponse

from hpa_mmdet.localizations import LOCALIZATIONS
from hpa_mmdet.serve import schema
from hpa_mmdet.serve.export import KINDS
from hpa_mmdet.serve.limits import Refusal
from hpa_mmdet.serve.pictures import FIELDS, OPTIONAL
from hpa_mmdet.serve.queue import Job, JobOptions, JobQueue
from hpa_mmdet.serve.replies import ERRORS, refusal_response
from hpa_mmdet.serve.uploads import Body, receive_files

_TICK_S = 1.0
_LEAVE_S = 3.0  # a page that is loaded anew comes back within it
_UPLOAD = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "description": "One PNG, TIFF or JPEG for each channel of the model (yellow "
                    "may be left out), or one `image` that holds them all in the order red, "
                    "green, blue, yellow.",
                    "properties": {name: {"type": "string", "format": "binary"} for name in FIELDS},
                    "additionalProperties": False,
                }
            }
        },
    }
}
_JSON_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": schema.ExportRequest.model_json_schema()}},
    }
}
Instances = Annotated[
    Literal["model", "segmenter"],
    Query(description="the cells that the model finds, or those of the watershed segmenter"),
]
Masks = Annotated[Literal["rle", "polygon"], Query(description="how masks are given")]
CellScore = Annotated[
    float, Query(ge=0, le=1, allow_inf_nan=False, description="leave out cells with less p(cell)")
]


def predict_router(queue: JobQueue) -> APIRouter:
    """Make the routes of a server with a model."""
    router = APIRouter(prefix="/api", responses=ERRORS)

    @router.get("/model", summary="The model and its classes")
    async def model() -> schema.ModelReply:
        facts, limits = queue.facts, queue.limits
        optional = [name for name in facts.channels if name == OPTIONAL and len(facts.channels) > 1]
        return schema.ModelReply(
            name=facts.name,
            version=facts.version,
            checksum=facts.checksum,
            channels=list(facts.channels),
            optional_channels=optional,
            classes=localization_classes(facts.thresholds),
            max_pixels=limits.pixels,
            max_upload_bytes=limits.request_bytes,
        )

    @router.post(
        "/predict",
        summary="Images in, cells out, in one request",
        response_model=schema.Prediction,
        openapi_extra=_UPLOAD,
    )
    async def predict(
        request: Request,
        instances: Instances = "model",
        masks: Masks = "rle",
        cell_score: CellScore = 0.5,
    ) -> Response:
        job = await _receive(queue, request, JobOptions(instances, masks, cell_score))
        if isinstance(job, Response):
            return job
        try:
            while not job.finished:
                await _change(job)
                job.seen = time.monotonic()
                if await request.is_disconnected():
                    raise Refusal(499, "gone", "The client closed the connection.")
            if job.refusal is not None:
                raise job.refusal
            return JSONResponse(job.prediction)
        finally:
            queue.close(job)

    @router.post(
        "/jobs",
        status_code=202,
        summary="Images in, and a job to follow",
        response_model=schema.JobReply,
        openapi_extra=_UPLOAD,
    )
    async def begin(
        request: Request,
        instances: Instances = "model",
        masks: Masks = "rle",
        cell_score: CellScore = 0.5,
    ) -> Response:
        job = await _receive(queue, request, JobOptions(instances, masks, cell_score))
        if isinstance(job, Response):
            return job
        return JSONResponse(job_reply(queue, job), 202)

    @router.get("/jobs/{job_id}", summary="How far a job is, and its answer")
    async def job_state(job_id: str) -> schema.JobReply:
        job = queue.get(job_id)
        return schema.JobReply(**job_reply(queue, job), prediction=job.prediction)

    @router.get(
        "/jobs/{job_id}/events",
        summary="A job's progress as server-sent events",
        response_class=StreamingResponse,
        responses={200: {"content": {"text/event-stream": {}}}},
    )
    async def job_events(job_id: str) -> Response:
        job = queue.get(job_id)
        return StreamingResponse(_events(queue, job), media_type="text/event-stream")

    @router.get(
        "/jobs/{job_id}/pixels",
        summary="The decoded channels, plane by plane, 8 or 16 bit little-endian",
        response_class=Response,
        responses={200: {"content": {"application/octet-stream": {}}}},
    )
    async def job_pixels(job_id: str) -> Response:
        image = queue.get(job_id).image
        if image is None:
            raise Refusal(404, "no_pixels", "The images are not decoded yet, or were forgotten.")
        planes = await asyncio.to_thread(plane_bytes, image.pixels)
        return Response(planes, media_type="application/octet-stream")

    @router.delete("/jobs/{job_id}", status_code=204, summary="Cancel and forget a job")
    async def cancel(job_id: str) -> Response:
        queue.close(queue.get(job_id))
        return Response(status_code=204)

    @router.post(
        "/export/{kind}",
        summary="Cells as a file: table (CSV), coco (JSON) or labels (TIFF)",
        response_class=Response,
        responses={200: {"content": {kind.media_type: {} for kind in KINDS.values()}}},
        openapi_extra=_JSON_BODY,
    )
    async def export(request: Request, kind: Literal["table", "coco", "labels"]) -> Response:
        body = Body(request, queue.limits.export_bytes, queue.limits)
        try:
            content = schema.ExportRequest.model_validate_json(await body.read())
        except Refusal as refusal:
            return refusal_response(refusal, not body.complete)
        except ValidationError as error:
            raise invalid(error.errors()) from None
        if content.width * content.height > queue.limits.pixels:
            raise Refusal(413, "too_many_pixels", "The image has more pixels than this server takes.")
        written = await queue.help("export", kind, content.model_dump(), queue.facts.thresholds)
        name = KINDS[kind].file_name
        disposition = {"content-disposition": f'attachment; filename="{name}"'}
        return Response(written, media_type=KINDS[kind].media_type, headers=disposition)

    return router


def localization_classes(thresholds: tuple[float, ...]) -> list[schema.LocalizationClass]:
    """Describe the 19 classes for a page."""
    return [
        schema.LocalizationClass(
            index=localization.hpa_index,
            name=localization.name,
            short_name=localization.short_name,
            colour="#{:02x}{:02x}{:02x}".format(*localization.colour_rgb),
            threshold=threshold,
        )
        for localization, threshold in zip(LOCALIZATIONS, thresholds, strict=True)
    ]


def invalid(errors: Any) -> Refusal:
    """Say what is wrong with a request's values, without repeating them."""
    first = errors[0]
    where = ".".join(str(step) for step in first["loc"] if step not in ("body", "query", "path"))
    return Refusal(422, "invalid", f"{where[:80] or 'The request'}: {first['msg']}."[:300])


def plane_bytes(pixels: "np.ndarray[Any, Any]") -> bytes:
    """(H, W, C) as C planes of rows, little-endian."""
    planes = np.ascontiguousarray(np.moveaxis(pixels, 2, 0))
    return planes.astype(planes.dtype.newbyteorder("<"), copy=False).tobytes()


def job_reply(queue: JobQueue, job: Job) -> dict[str, Any]:
    """How far a job is, as `JobReply` has it, without the answer."""
    shape = None if job.image is None else job.image.pixels.shape
    error = None
    if job.refusal is not None:
        error = {"code": job.refusal.code, "message": job.refusal.message}
    return {
        "job_id": job.job_id,
        "state": job.state,
        "position": queue.position(job),
        "elapsed_s": round(time.monotonic() - job.began, 2),
        "expected_s": queue.expected_s(job),
        "width": None if shape is None else shape[1],
        "height": None if shape is None else shape[0],
        "depth_bits": None if job.image is None else 8 * job.image.pixels.dtype.itemsize,
        "channels": [] if job.image is None else list(job.image.channels),
        "error": error,
    }


async def _receive(queue: JobQueue, request: Request, options: JobOptions) -> Job | Response:
    """Take an upload into the queue, or answer why not."""
    body = Body(request, queue.limits.request_bytes, queue.limits)
    try:
        job = queue.open(options)
    except Refusal as refusal:
        return refusal_response(refusal, unread="expect" not in request.headers)
    folder = Path(tempfile.mkdtemp(prefix="hpa-mmdet-upload-"))
    try:
        paths = await receive_files(body, folder, FIELDS, queue.limits)
        if not paths:
            raise Refusal(422, "no_files", "The upload holds no files.")
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        queue.close(job)
        if not isinstance(error, Refusal):
            raise
        unread = not body.complete and "expect" not in request.headers
        return refusal_response(error, unread)
    queue.start(job, paths, folder)
    return job


async def _events(queue: JobQueue, job: Job) -> AsyncIterator[str]:
    try:
        while True:
            job.seen = time.monotonic()
            yield f"event: state\ndata: {json.dumps(job_reply(queue, job))}\n\n"
            if job.finished:
                return
            await _change(job)
    finally:
        if not job.finished:  # the page was closed
            job.seen = time.monotonic() - queue.limits.abandon_s + _LEAVE_S


async def _change(job: Job) -> None:
    """Wait until something happens to a job, or a moment."""
    try:
        await asyncio.wait_for(job.changed.wait(), _TICK_S)
    except TimeoutError:
        pass
