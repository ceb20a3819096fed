"""Answers that several routes give."""

import asyncio
from contextlib import suppress
from typing import Any

from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from hpa_mmdet.serve.limits import Refusal
from hpa_mmdet.serve.schema import ErrorReply

_LINGER_S = 5.0
ERRORS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": ErrorReply, "description": "what is wrong with the request"},
    "5XX": {"model": ErrorReply, "description": "busy (503, with Retry-After) or failed"},
}


class _LingeringResponse(JSONResponse):
    """Answers a client that is still sending, and lets it finish its sentence.

    A connection that is closed while bytes arrive is reset, and the client would see that
    in place of the answer. What still comes is thrown away, for a few seconds at most.
    """

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer, then read on."""
        start = {
            "type": "http.response.start",
            "status": self.status_code,
            "headers": [*self.raw_headers, (b"connection", b"close")],
        }
        await send(start)
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        with suppress(TimeoutError):
            async with asyncio.timeout(_LINGER_S):
                message = await receive()
                while message["type"] == "http.request" and message.get("more_body"):
                    message = await receive()
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def refusal_response(refusal: Refusal, unread: bool = False) -> JSONResponse:
    """Make the answer of a request that is not served.

    Args:
        refusal: why.
        unread: whether the client may still be sending the body.
    """
    headers = {}
    if refusal.retry_after_s is not None:
        headers["retry-after"] = str(refusal.retry_after_s)
    content = {"error": {"code": refusal.code, "message": refusal.message}}
    kind = _LingeringResponse if unread else JSONResponse
    return kind(content, refusal.status, headers)


def invalid_request(errors: Any) -> Refusal:
    """Say what is wrong with a request's values, without repeating them.

    Args:
        errors: as pydantic and FastAPI list them; the first is told.
    """
    first = errors[0]
    steps = [str(step) for step in first["loc"] if step not in ("body", "query", "path")]
    where = f"The value of {'.'.join(steps)[:80]}" if steps else "The request"
    return Refusal(422, "invalid", f"{where} is not valid: {first['msg']}."[:300])
