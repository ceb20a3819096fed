"""What the server accepts, and how it says no."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ServerLimits:
    """Bounds of one server; each is an option of tools/serve.py.

    Args:
        request_bytes: of one upload, counted while it arrives.
        file_bytes: of one file of an upload.
        parts: files of an upload.
        pixels: rows times columns of an image, read from its header.
        upload_s: time for a whole upload.
        idle_s: longest pause while a request arrives.
        decode_s: time to decode the files of an upload.
        decode_bytes: memory for it, beyond what the decoding process needs to start.
        predict_s: time of the model for one image.
        queue_length: uploads that are received, decoded or predicted at once; later ones
            are told to come back.
        abandon_s: a job that nobody asks about for so long is cancelled and forgotten.
        review_bytes: of a request body of the review page.
    """

    request_bytes: int = 256 * 2**20
    file_bytes: int = 128 * 2**20
    parts: int = 4
    pixels: int = 16 * 2**20
    upload_s: float = 120.0
    idle_s: float = 15.0
    decode_s: float = 60.0
    decode_bytes: int = 2 * 2**30
    predict_s: float = 300.0
    queue_length: int = 8
    abandon_s: float = 20.0
    review_bytes: int = 64 * 2**10

    @property
    def export_bytes(self) -> int:
        """Of a request that asks for a file: cells as JSON, without their pixels."""
        return min(self.request_bytes, 32 * 2**20)


class Refusal(Exception):
    """A request that is not served, with what its sender can do about it.

    Args:
        status: HTTP status code, 4xx or 503.
        code: a short name for programs.
        message: one or two sentences for people.
        retry_after_s: when it is worth trying again, for 503.
    """

    def __init__(
        self, status: int, code: str, message: str, retry_after_s: int | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message
        self.retry_after_s = retry_after_s

    def __reduce__(self) -> tuple[object, ...]:
        return (Refusal, (self.status, self.code, self.message, self.retry_after_s))


def megabytes(count: int) -> str:
    """Say a number of bytes for people.

    Examples:
        >>> megabytes(256 * 2**20)
        '256 MB'
        >>> megabytes(100_000)
        '0.1 MB'
    """
    value = count / 2**20
    return f"{value:.0f} MB" if value >= 10 or value == int(value) else f"{value:.1f} MB"
