"""What fetching may cost: tries and time of one file, requests a second, bytes in all."""

import threading
import time
from dataclasses import dataclass

from hpa_mmdet.errors import InputError


@dataclass(frozen=True)
class Limits:
    """What one transfer may cost.

    Attributes:
        retries: further tries after the first.
        backoff_s: pause before the second try; doubles each time, at most 30 s.
        timeout_s: for a connection, and between two pieces of a file.
        file_s: for a whole try of one file; stops a server that drips.
        max_file_bytes: a larger file is refused.
    """

    retries: int = 5
    backoff_s: float = 1.0
    timeout_s: float = 30.0
    file_s: float = 600.0
    max_file_bytes: int = 64 << 20


class RateLimit:
    """Spaces requests over all threads.

    Args:
        per_second: requests a second; 0 for no limit.
    """

    def __init__(self, per_second: float) -> None:
        self._gap_s = 1 / per_second if per_second > 0 else 0.0
        self._lock = threading.Lock()
        self._next = 0.0

    def wait(self) -> None:
        """Sleep until it is this request's turn."""
        with self._lock:
            now = time.monotonic()
            start = max(now, self._next)
            self._next = start + self._gap_s
        time.sleep(start - now)


class Budget:
    """Bytes that all files together may take.

    Args:
        max_bytes: over all threads.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.used = 0
        self._lock = threading.Lock()

    def take(self, size: int) -> None:
        """Count `size` more bytes.

        Raises:
            InputError: they are more than is left.
        """
        with self._lock:
            if self.used + size > self.max_bytes:
                raise InputError(
                    "size cap",
                    f"{self.used / 1e9:.3f} GB fetched",
                    f"at most {self.max_bytes / 1e9:.3f} GB",
                    "raise --max-total-gb and run again: it goes on where it stopped",
                )
            self.used += size
