"""One file over HTTP, by requests: resumed, retried, bounded, and checked before it counts.

urllib3 (under requests) repeats refused connections and busy answers; a transfer that
breaks in the middle goes on where it stopped, if the server can do that and the file is
still the same one.
"""

import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError
from urllib3.util import Retry

from hpa_mmdet import __version__
from hpa_mmdet.download.limits import Budget, Limits, RateLimit
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.output_records import file_sha256

_CHUNK = 1 << 16
_BUSY = (429, 500, 502, 503, 504)


class NotThereError(InputError):
    """The server says that it has no such file."""


class NoAnswerError(InputError):
    """The server cannot be reached, or does not answer in time, at every try."""


class _BrokenError(Exception):
    """A transfer that ended early or brought something else; worth another try."""


class Fetched(NamedTuple):
    """A file that was fetched and checked."""

    path: Path
    size: int
    sha256: str


class _LimitedAdapter(HTTPAdapter):
    def __init__(self, rate: RateLimit, retry: Retry) -> None:
        self._rate = rate
        super().__init__(max_retries=retry)

    def send(self, *args: Any, **kwargs: Any) -> requests.Response:
        self._rate.wait()
        return super().send(*args, **kwargs)


def open_session(limits: Limits, rate: RateLimit) -> requests.Session:
    """Open a session for one thread."""
    retry = Retry(
        total=limits.retries,
        backoff_factor=limits.backoff_s,
        backoff_max=30,
        backoff_jitter=limits.backoff_s / 2,
        status_forcelist=_BUSY,
        raise_on_status=False,
        retry_after_max=60,
    )
    session = requests.Session()
    session.headers["User-Agent"] = f"hpa-mmdet/{__version__} (python-requests)"
    session.headers["Accept-Encoding"] = "identity"  # bytes as stored, so that ranges fit
    for scheme in ("http://", "https://"):
        session.mount(scheme, _LimitedAdapter(rate, retry))
    return session


def fetch(
    session: requests.Session,
    url: str,
    part: Path,
    check: Callable[[Path, str], None],
    limits: Limits,
    budget: Budget,
) -> Fetched:
    """Fetch one file into `part`, going on with what an earlier run left there.

    Args:
        session: of this thread.
        url: address.
        part: where to; its folder exists. A small file beside it remembers which version
            of the address it belongs to.
        check: given the whole file and its SHA-256, raises InputError if it is not what
            it should be; the file is then fetched once more.
        limits: of this transfer.
        budget: over all transfers.

    Raises:
        NotThereError: the server has no such file.
        InputError: every try failed, or a limit was hit.
    """
    problem: Exception | None = None
    bad_files = 0
    for attempt in range(limits.retries + 1):
        if attempt:
            pause_s = min(limits.backoff_s * 2 ** (attempt - 1), 30.0)
            time.sleep(pause_s * random.uniform(1.0, 1.5))
        try:
            _receive(session, url, part, limits, budget)
        except (HTTPError, _BrokenError) as error:
            problem = error
            continue
        digest = file_sha256(part)
        try:
            check(part, digest)
        except InputError as error:
            problem = error
            forget(part)
            bad_files += 1
            if bad_files == 2:  # whole, but wrong in the same way: so it is served
                break
            continue
        _tag_path(part).unlink(missing_ok=True)
        return Fetched(part, part.stat().st_size, digest)
    raise InputError(
        url, f"a transfer that failed ({_short(problem)})", "a whole file", "run again later"
    ) from problem


def forget(part: Path) -> None:
    """Remove a partial file and what is remembered of it."""
    part.unlink(missing_ok=True)
    _tag_path(part).unlink(missing_ok=True)


def _short(problem: Exception | None) -> str:
    text = str(problem)
    return text if len(text) < 300 else f"{text[:300]}..."


def _receive(
    session: requests.Session, url: str, part: Path, limits: Limits, budget: Budget
) -> None:
    started = time.monotonic()
    have, tag = _left_over(part, url)
    headers = {"Range": f"bytes={have}-", "If-Range": tag} if have else {}
    with _ask(session, url, headers, limits) as response:
        if response.status_code == 416:  # what was left is longer than the file now is
            forget(part)
            raise _BrokenError("the file became shorter")
        _check_status(response, url)
        resumed = response.status_code == 206 and _starts_at(response, have)
        if not resumed:
            if response.status_code == 206:
                forget(part)
                raise _BrokenError("another range than was asked for")
            have = 0
        length = response.headers.get("Content-Length", "")
        _check_size(have + (int(length) if length.isdecimal() else 0), url, limits)
        _remember(part, url, response)
        with part.open("ab" if resumed else "wb") as out:
            # read1 gives what has come, so that nothing of a broken transfer is lost
            while chunk := response.raw.read1(_CHUNK):
                have += len(chunk)
                _check_size(have, url, limits)
                budget.take(len(chunk))
                out.write(chunk)
                if time.monotonic() - started > limits.file_s:
                    raise _BrokenError(f"not whole after {limits.file_s:.0f} s")


def _ask(
    session: requests.Session, url: str, headers: dict[str, str], limits: Limits
) -> requests.Response:
    try:
        return session.get(url, headers=headers, stream=True, timeout=limits.timeout_s)
    except requests.RequestException as error:  # urllib3 has tried again already
        raise NoAnswerError(
            url, f"no answer ({_short(error)})", "the file", "check the network and run again"
        ) from error


def _check_status(response: requests.Response, url: str) -> None:
    if response.status_code in (404, 410):
        raise NotThereError(url, f"status {response.status_code}", "the file", "check the address")
    if response.status_code in _BUSY:  # urllib3 has tried again already
        raise InputError(
            url, f"status {response.status_code} at every try", "the file", "run again later"
        )
    if response.status_code not in (200, 206):
        raise InputError(url, f"status {response.status_code}", "the file", "check the address")


def _check_size(size: int, url: str, limits: Limits) -> None:
    if size > limits.max_file_bytes:
        raise InputError(
            url,
            f"{size:,} bytes or more",
            f"at most {limits.max_file_bytes:,}",
            "raise --max-file-mb if such a large picture is right",
        )


def _starts_at(response: requests.Response, have: int) -> bool:
    return response.headers.get("Content-Range", "").startswith(f"bytes {have}-")


def _tag_path(part: Path) -> Path:
    return part.with_name(part.name + ".tag")


def _left_over(part: Path, url: str) -> tuple[int, str]:
    """Give the size of a partial file and the version it belongs to; 0 if not to go on with."""
    try:
        remembered = json.loads(_tag_path(part).read_text(encoding="utf-8"))
        if remembered["url"] == url and remembered["tag"]:
            return part.stat().st_size, str(remembered["tag"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    forget(part)
    return 0, ""


def _remember(part: Path, url: str, response: requests.Response) -> None:
    etag = response.headers.get("ETag", "")
    tag = response.headers.get("Last-Modified", "") if etag.startswith("W/") or not etag else etag
    _tag_path(part).write_text(json.dumps({"url": url, "tag": tag}), encoding="utf-8")
