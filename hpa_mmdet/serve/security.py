"""What stands before every request: who may ask, from where, and what browsers may do."""

import hashlib
import hmac
import secrets
from http.cookies import CookieError, SimpleCookie
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hpa_mmdet.serve.limits import Refusal
from hpa_mmdet.serve.replies import refusal_response

COOKIE = "hpa_mmdet_session"
SIGN_IN = "/sign-in"
_OPEN_PATHS = (SIGN_IN, "/api/health", "/static/style.css", "/static/sign-in.js")
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


class Access:
    """Who may use a server that has a token.

    Args:
        token: the shared secret.
    """

    def __init__(self, token: str) -> None:
        self._token = token
        self._session = secrets.token_urlsafe(32)
        self._links: set[str] = set()

    def new_link(self) -> str:
        """Make the path of a link that signs one browser in, once."""
        key = secrets.token_urlsafe(24)
        self._links.add(hashlib.sha256(key.encode()).hexdigest())
        return f"/enter/{key}"

    def use_link(self, key: str) -> bool:
        """Whether the key is that of an unused link; it is used up then."""
        digest = hashlib.sha256(key.encode()).hexdigest()
        if digest in self._links:
            self._links.remove(digest)
            return True
        return False

    def is_token(self, text: str) -> bool:
        """Compare in constant time."""
        return hmac.compare_digest(text.encode(), self._token.encode())

    def allows(self, headers: Headers) -> bool:
        """Whether a request carries the token or the cookie of a signed-in browser."""
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and self.is_token(given.strip()):
            return True
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return False
        return cookie is not None and hmac.compare_digest(
            cookie.value.encode(), self._session.encode()
        )

    def sign_in(self, response: Response) -> None:
        """Give a browser the cookie."""
        response.set_cookie(COOKIE, self._session, httponly=True, samesite="lax", path="/")


class Guard:
    """ASGI middleware: hosts, origins, token, and headers of every answer.

    Args:
        app: what it stands before.
        access: None where no token is needed.
        any_host: whether the server may be called by any name; a server without a token
            must not, or a foreign page could reach it under a name of its own.
    """

    def __init__(self, app: ASGIApp, access: Access | None, any_host: bool) -> None:
        self._app, self._access, self._any_host = app, access, any_host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
            await send(message)

        answer = self._answer(scope)
        await (answer or self._app)(scope, receive, send_with_headers)

    def _answer(self, scope: Scope) -> Response | None:
        """What is said to a request that goes no further."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._any_host and not is_loopback(_host_name(host)):
            return refusal_response(
                Refusal(421, "wrong_host", "This server answers on this machine only.")
            )
        if scope["method"] not in _SAFE_METHODS and not _same_origin(headers, host):
            return refusal_response(
                Refusal(403, "foreign_page", "Requests from pages of other servers are refused.")
            )
        path = scope["path"]
        if self._access is None or path in _OPEN_PATHS or path.startswith("/enter/"):
            return None
        if self._access.allows(headers):
            return None
        if scope["method"] == "GET" and "text/html" in headers.get("accept", ""):
            return RedirectResponse(SIGN_IN, 303)
        return refusal_response(
            Refusal(
                401, "no_token", "This server needs its token: send 'Authorization: Bearer TOKEN'."
            )
        )


def _host_name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _same_origin(headers: Headers, host: str) -> bool:
    if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        return False
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc == host
