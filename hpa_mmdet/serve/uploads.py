"""Files of a multipart request, streamed to a folder under names of ours.

What a client says of itself is never trusted: bytes are counted as they arrive, names of
files are not used, and every pause and the whole upload have a time limit.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from email.message import Message
from pathlib import Path
from typing import IO, Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from hpa_mmdet.serve.limits import Refusal, ServerLimits, megabytes

_BOUNDARY_LENGTH = 200


async def receive_files(
    body: "Body", folder: Path, names: tuple[str, ...], limits: ServerLimits
) -> dict[str, Path]:
    """Store the files of a multipart/form-data request.

    Args:
        body: of the request.
        folder: an empty one.
        names: the form fields that may come.
        limits: of the server.

    Returns:
        For each field that came, its file in `folder`, named like the field.

    Raises:
        Refusal: the body is too large, too slow, no multipart form, or has other fields.
    """
    parser = _Parser(_boundary(body.request), folder, names, limits)
    try:
        async for chunk in body:
            parser.write(chunk)
        return parser.finish()
    finally:
        parser.close()


class Body:
    """The body of a request in pieces, within limits of bytes and time.

    Args:
        request: its body has not been read yet.
        most_bytes: of the whole body.
        limits: for the time.

    Raises:
        Refusal: while it is read, where it is too large, pauses too long or takes too long.
    """

    def __init__(self, request: Request, most_bytes: int, limits: ServerLimits) -> None:
        self.request, self.complete = request, False
        self._most_bytes, self._limits = most_bytes, limits

    async def __aiter__(self) -> AsyncIterator[bytes]:
        declared = self.request.headers.get("content-length", "")
        if declared.isdecimal() and int(declared[:20]) > self._most_bytes:
            raise self._too_large()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._limits.upload_s
        stream = self.request.stream()
        received = 0
        while True:
            try:
                patience = min(self._limits.idle_s, deadline - loop.time())
                chunk = await asyncio.wait_for(anext(stream, b""), max(patience, 0.001))
            except TimeoutError:
                raise Refusal(
                    408, "too_slow", "The upload took too long. Check the connection and try again."
                ) from None
            except ClientDisconnect:
                raise Refusal(499, "gone", "The client closed the connection.") from None
            if not chunk:
                self.complete = True
                return
            received += len(chunk)
            if received > self._most_bytes:
                raise self._too_large()
            yield chunk

    async def read(self) -> bytes:
        """The whole body at once."""
        return b"".join([chunk async for chunk in self])

    def _too_large(self) -> Refusal:
        return Refusal(
            413,
            "too_large",
            f"The upload is larger than {megabytes(self._most_bytes)}. Send smaller images, or "
            "start the server with a larger --max-upload-mb.",
        )


def _boundary(request: Request) -> bytes:
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not 0 < len(boundary) <= _BOUNDARY_LENGTH:
        raise Refusal(
            415,
            "no_form",
            "Expected a multipart/form-data upload with one file for each channel.",
        )
    return boundary


class _Parser:
    """Feeds the pieces of a form into files."""

    def __init__(
        self, boundary: bytes, folder: Path, names: tuple[str, ...], limits: ServerLimits
    ) -> None:
        self.paths: dict[str, Path] = {}
        self._folder, self._names, self._limits = folder, names, limits
        self._file: IO[bytes] | None = None
        self._size, self._ended = 0, False
        self._field, self._value, self._headers = b"", b"", Message()
        callbacks: dict[str, Any] = {
            "on_part_begin": self._begin,
            "on_header_field": self._header_field,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._open,
            "on_part_data": self._data,
            "on_part_end": self.close,
            "on_end": self._end,
        }
        self._parser = MultipartParser(boundary, callbacks)  # type: ignore[arg-type]

    def write(self, chunk: bytes) -> None:
        try:
            self._parser.write(chunk)
        except FormParserError:
            raise _damaged() from None

    def finish(self) -> dict[str, Path]:
        if not self._ended:
            raise _damaged()
        return self.paths

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _end(self) -> None:
        self._ended = True

    def _begin(self) -> None:
        if len(self.paths) >= self._limits.parts:
            raise Refusal(
                413, "too_many_files", f"Send at most {self._limits.parts} files at once."
            )
        self._headers = Message()
        self._size = 0

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        if self._field.lower() == b"content-disposition":
            _, options = parse_options_header(self._value)
            self._headers["name"] = options.get(b"name", b"").decode("ascii", "replace")
        self._field = self._value = b""

    def _open(self) -> None:
        name = self._headers.get("name", "")
        if name not in self._names:
            shown = re.sub(r"[^A-Za-z0-9_-]", "?", name)[:40]
            raise Refusal(
                422,
                "unknown_field",
                f"The upload has a field {shown!r}. Name the fields {', '.join(self._names)}.",
            )
        if name in self.paths:
            raise Refusal(422, "channel_twice", f"The upload has two files for {name}. Send one.")
        self.paths[name] = self._folder / name
        self._file = self.paths[name].open("xb")

    def _data(self, data: bytes, start: int, end: int) -> None:
        assert self._file is not None
        self._size += end - start
        if self._size > self._limits.file_bytes:
            raise Refusal(
                413,
                "file_too_large",
                f"A file is larger than {megabytes(self._limits.file_bytes)}. Send a smaller one, "
                "or start the server with a larger --max-file-mb.",
            )
        self._file.write(data[start:end])


def _damaged() -> Refusal:
    return Refusal(
        400, "damaged_upload", "The upload broke off or is no valid form. Send the files again."
    )
