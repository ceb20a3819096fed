"""The routes that tell of the model, take images and give cells or files of cells."""

import time
from typing import Literal

from fastapi import APIRouter, Request
from pydantic import ValidationError
from starlette.responses import JSONResponse, Response

from hpa_mmdet.localizations import LOCALIZATIONS
from hpa_mmdet.serve import schema
from hpa_mmdet.serve.export import EXPORTS
from hpa_mmdet.serve.job_routes import job_change
from hpa_mmdet.serve.limits import Refusal
from hpa_mmdet.serve.pictures import OPTIONAL
from hpa_mmdet.serve.queue import JobQueue
from hpa_mmdet.serve.receive import UPLOAD_DESCRIPTION, AskedOptions, receive_job
from hpa_mmdet.serve.replies import ERRORS, invalid_request, refusal_response
from hpa_mmdet.serve.uploads import Body

_EXPORT_DESCRIPTION = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ExportRequest"}}},
    }
}


class PredictRoutes:
    """Handlers of a server with a model.

    Args:
        queue: takes the images.
    """

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue

    def router(self) -> APIRouter:
        """Make the routes."""
        router = APIRouter(prefix="/api", responses=ERRORS)
        router.get("/model", summary="The model and its classes")(self.model)
        router.post(
            "/predict",
            summary="Images in, cells out, in one request",
            response_model=schema.PredictionReply,
            openapi_extra=UPLOAD_DESCRIPTION,
        )(self.predict)
        router.post(
            "/export/{kind}",
            summary="Cells as a file: table (CSV), coco (JSON) or labels (TIFF)",
            response_class=Response,
            responses={200: {"content": {kind.media_type: {} for kind in EXPORTS.values()}}},
            openapi_extra=_EXPORT_DESCRIPTION,
        )(self.export)
        return router

    async def model(self) -> schema.ModelReply:
        """What the model takes and gives."""
        facts, limits = self._queue.facts, self._queue.limits
        several = len(facts.channels) > 1
        return schema.ModelReply(
            name=facts.name,
            version=facts.version,
            checksum=facts.checksum,
            channels=list(facts.channels),
            optional_channels=[name for name in facts.channels if name == OPTIONAL and several],
            classes=localization_classes(facts.thresholds),
            max_pixels=limits.pixels,
            max_upload_bytes=limits.request_bytes,
        )

    async def predict(self, request: Request, options: AskedOptions) -> Response:
        """Receive an upload and answer with its cells."""
        job = await receive_job(self._queue, request, options)
        if isinstance(job, Response):
            return job
        try:
            while not job.finished:
                await job_change(job)
                job.seen = time.monotonic()
                if await request.is_disconnected():
                    raise Refusal(499, "gone", "The client closed the connection.")
            if job.refusal is not None:
                raise job.refusal
            return JSONResponse(job.prediction)
        finally:
            self._queue.close(job)

    async def export(self, request: Request, kind: Literal["table", "coco", "labels"]) -> Response:
        """Write cells into a file."""
        limits = self._queue.limits
        body = Body(request, limits.export_bytes, limits)
        try:
            content = schema.ExportRequest.model_validate_json(await body.read())
        except Refusal as refusal:
            return refusal_response(refusal, unread=not body.complete)
        except ValidationError as error:
            raise invalid_request(error.errors()) from None
        if content.width * content.height > limits.pixels:
            raise Refusal(
                413, "too_many_pixels", "The image has more pixels than this server takes."
            )
        written = await self._queue.help(
            "export", kind, content.model_dump(), self._queue.facts.thresholds
        )
        chosen = EXPORTS[kind]
        disposition = {"content-disposition": f'attachment; filename="{chosen.name}"'}
        return Response(written, media_type=chosen.media_type, headers=disposition)


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
