"""The application: pages, routes and what stands before them."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from hpa_mmdet.serve import schema
from hpa_mmdet.serve.job_routes import JobRoutes
from hpa_mmdet.serve.limits import Refusal, ServerLimits
from hpa_mmdet.serve.predict_routes import PredictRoutes
from hpa_mmdet.serve.queue import JobQueue
from hpa_mmdet.serve.replies import invalid_request, refusal_response
from hpa_mmdet.serve.security import SIGN_IN, Access, Guard
from hpa_mmdet.serve.uploads import Body

_LOG = logging.getLogger(__name__)
STATIC = Path(__file__).parent / "static"
_WATCH_S = 2.0
_DESCRIPTION = (
    "Finds the cells of fluorescence images and names what each shows: 19 localizations. "
    "Every error has the form {error: {code, message}}."
)


def create_app(
    queue: JobQueue | None,
    review: APIRouter | None = None,
    *,
    access: Access | None = None,
    any_host: bool = False,
    limits: ServerLimits = ServerLimits(),  # noqa: B008 (immutable)
) -> Guard:
    """Put the server together.

    Args:
        queue: takes images; None for a server that only reviews.
        review: the routes of the review page; None for a server without it.
        access: who may use it; None where no token is needed.
        any_host: whether it may be called by any name; see `Guard`.
        limits: what it accepts.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        watch = None if queue is None else asyncio.create_task(queue.watch(_WATCH_S))
        yield
        if watch is not None and queue is not None:
            watch.cancel()
            queue.shut_down()

    app = FastAPI(
        title="hpa-mmdet",
        version="1",
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
        lifespan=lifespan,
    )
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _failed)

    @app.get("/api/health", tags=["server"], summary="Whether the server answers")
    async def health() -> schema.Health:
        busy = 0 if queue is None else queue.unfinished()
        return schema.Health(status="ok", jobs=busy, queue_length=limits.queue_length)

    if queue is not None:
        app.include_router(PredictRoutes(queue).router(), tags=["cells"])
        app.include_router(JobRoutes(queue).router(), tags=["jobs"])
        _describe(app, schema.ExportRequest)
    if review is not None:
        app.include_router(review, tags=["review"])
        _describe(app, schema.DecisionsRequest)
        _describe(app, schema.UndoRequest)
    if access is not None:
        app.include_router(_sign_in_router(access, limits))
    _add_pages(app, queue is not None, review is not None)
    return Guard(app, access, any_host)  # outermost: also around answers to failures


def _add_pages(app: FastAPI, looks: bool, reviews: bool) -> None:
    app.mount("/static", StaticFiles(directory=STATIC), name="static")

    @app.get("/", include_in_schema=False)
    async def first_page() -> Response:
        return FileResponse(STATIC / "index.html") if looks else RedirectResponse("/review", 303)

    @app.get("/api", include_in_schema=False)
    async def api_page() -> Response:
        return FileResponse(STATIC / "api.html")

    @app.get("/api/pages", include_in_schema=False)
    async def pages() -> dict[str, bool]:
        return {"look": looks, "review": reviews}

    if reviews:

        @app.get("/review", include_in_schema=False)
        async def review_page() -> Response:
            return FileResponse(STATIC / "review.html")


def _describe(app: FastAPI, model: type[BaseModel]) -> None:
    """Add a model that is read from the stream, not by FastAPI, to the description."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        description = made()
        schemas = description["components"]["schemas"]
        extra = model.model_json_schema(ref_template="#/components/schemas/{model}")
        for name, part in extra.pop("$defs", {}).items():
            schemas.setdefault(name, part)
        schemas[model.__name__] = extra
        return description

    app.openapi = openapi  # type: ignore[method-assign]


def _sign_in_router(access: Access, limits: ServerLimits) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/enter/{key}")
    async def enter(key: str) -> Response:
        if not access.use_link(key):
            return RedirectResponse(SIGN_IN, 303)
        response = RedirectResponse("/", 303)
        access.sign_in(response)
        return response

    @router.get(SIGN_IN)
    async def sign_in_page() -> Response:
        return FileResponse(STATIC / "sign-in.html")

    @router.post(SIGN_IN)
    async def sign_in(request: Request) -> Response:
        body = await Body(request, 4096, limits).read()
        if not access.is_token(body.decode("utf-8", "replace").strip()):
            await asyncio.sleep(0.5)  # guessing is slow
            raise Refusal(401, "wrong_token", "This is not the server's token.")
        response = Response(status_code=204)
        access.sign_in(response)
        return response

    return router


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)
    return refusal_response(error)


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return refusal_response(invalid_request(error.errors()))


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    texts = {404: "There is nothing at this address.", 405: "This address takes another method."}
    message = texts.get(error.status_code, "The request cannot be served.")
    response = refusal_response(Refusal(error.status_code, "http", message))
    with suppress(KeyError, TypeError):
        response.headers["allow"] = (error.headers or {})["Allow"]
    return response


async def _failed(_: Request, error: Exception) -> Response:
    _LOG.error("a request failed", exc_info=error)
    return refusal_response(Refusal(500, "failed", "The server failed; its log says more."))
