"""From a request to a job: room in the queue, then the files."""

import shutil
import tempfile
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import Depends, Query, Request
from starlette.responses import Response

from hpa_mmdet.serve.limits import Refusal
from hpa_mmdet.serve.pictures import FIELDS
from hpa_mmdet.serve.queue import Job, JobOptions, JobQueue
from hpa_mmdet.serve.replies import refusal_response
from hpa_mmdet.serve.uploads import Body, receive_files

UPLOAD_DESCRIPTION: dict[str, Any] = {
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


def read_options(
    instances: Annotated[
        Literal["model", "segmenter"],
        Query(description="the cells that the model finds, or those of the watershed segmenter"),
    ] = "model",
    masks: Annotated[Literal["rle", "polygon"], Query(description="how masks are given")] = "rle",
    cell_score: Annotated[
        float,
        Query(ge=0, le=1, allow_inf_nan=False, description="leave out cells with less p(cell)"),
    ] = 0.5,
) -> JobOptions:
    """Read what is asked for an image from the address."""
    return JobOptions(instances, masks, cell_score)


AskedOptions = Annotated[JobOptions, Depends(read_options)]


async def receive_job(queue: JobQueue, request: Request, options: JobOptions) -> Job | Response:
    """Take an upload into the queue and start it, or answer why not."""
    body = Body(request, queue.limits.request_bytes, queue.limits)
    # a client that waits for permission to send has sent nothing that must be read
    waits = "expect" in request.headers
    try:
        job = queue.open(options)
    except Refusal as refusal:
        return refusal_response(refusal, unread=not waits)
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
        return refusal_response(error, unread=not (body.complete or waits))
    queue.start(job, paths, folder)
    return job
