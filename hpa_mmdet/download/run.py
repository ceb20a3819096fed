"""Fetch the channels of many images: in threads, resumable, with a log of what came.

In the folder of the images afterwards:

- `<id>_<channel>.png` (grey), or the served file under `<id>_<channel>.<ending>`;
- `SHA256SUMS`: of these files, for `sha256sum -c`;
- `SOURCES.sha256`: of the served bytes, a list that another run can be checked against;
- `download.jsonl`: one line a file, written as it arrives: address, size, checksums.
"""

import json
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from PIL import Image

from hpa_mmdet.download.addresses import GENE_TEMPLATE, Wanted, fill, find_in_gene_page
from hpa_mmdet.download.checksums import file_sha256, write_checksums
from hpa_mmdet.download.limits import Budget, Limits, RateLimit
from hpa_mmdet.download.transfer import NoAnswerError, NotThereError, fetch, open_session
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.channels import ImageFiles, read_channels
from hpa_mmdet.jobs import Report, run_items

LOG_NAME = "download.jsonl"
_SILENT_FILES = 8  # so many files in a row without an answer: the rest is not tried
_MAX_GENE_PAGE_BYTES = 64 << 20


@dataclass(frozen=True)
class Options:
    """How to fetch.

    Attributes:
        out: folder of the images.
        as_served: keep the served files; else grey PNG, which every tool reads by default.
        overwrite: fetch files that are there already.
        workers: threads.
        per_second: requests a second over all threads; 0 for no limit.
        max_total_bytes: over the whole run.
        limits: of each transfer.
        checksums: SHA-256 of served files by name; those named must match.
        gene_template: page that lists a gene's images, asked for what is not at its own
            address; empty to ask none.
        optional: channels that an image may lack.
    """

    out: Path
    as_served: bool = False
    overwrite: bool = False
    workers: int = 4
    per_second: float = 4.0
    max_total_bytes: int = 50_000_000_000
    limits: Limits = field(default_factory=Limits)
    checksums: Mapping[str, str] = field(default_factory=dict)
    gene_template: str = GENE_TEMPLATE
    optional: frozenset[str] = frozenset()


class Downloader:
    """Fetches files, from any number of threads.

    Args:
        options: how.
    """

    def __init__(self, options: Options) -> None:
        self.options = options
        self.budget = Budget(options.max_total_bytes)
        self._rate = RateLimit(options.per_second)
        self._local = threading.local()
        self._pages: dict[str, str] = {}
        self._page_lock = threading.Lock()
        self._log_lock = threading.Lock()
        self._silent = 0

    def get(self, wanted: Wanted) -> dict[str, Any] | None:
        """Fetch one file.

        Returns:
            What to log of it, None where an optional channel is not there.

        Raises:
            InputError: it could not be had.
        """
        target = self.target(wanted)
        if target.is_file() and not self.options.overwrite:
            return {"file": target.name, "url": wanted.url, "kept": True}
        if self._silent >= _SILENT_FILES:
            raise InputError(
                wanted.url,
                f"no answer for {_SILENT_FILES} files in a row, so it was not tried",
                "a server that answers",
                "check the network and run again",
            )
        try:
            entry = self._get_anywhere(wanted, target)
        except NoAnswerError:
            self._silent += 1
            raise
        except NotThereError:
            self._silent = 0
            if wanted.channel in self.options.optional:
                return None
            raise
        except requests.RequestException as error:
            raise InputError(wanted.url, error, "a file", "check the address") from error
        except OSError as error:
            reason = error.strerror or str(error)
            raise InputError(target, reason, "a file that can be written", "make room") from error
        self._silent = 0
        return entry

    def target(self, wanted: Wanted) -> Path:
        """Where a file will be."""
        name = (
            wanted.served_name
            if self.options.as_served
            else f"{wanted.image_id}_{wanted.channel}.png"
        )
        return self.options.out / name

    def _get_anywhere(self, wanted: Wanted, target: Path) -> dict[str, Any]:
        try:
            return self._get_at(wanted.url, wanted, target)
        except NotThereError:
            if not (wanted.gene and self.options.gene_template):
                raise
            page = self._gene_page(wanted.gene)
            url = find_in_gene_page(page, wanted.image_id, wanted.channel)
            if url is None or url == wanted.url:
                raise
            return self._get_at(url, wanted, target)

    def _get_at(self, url: str, wanted: Wanted, target: Path) -> dict[str, Any]:
        part = target.with_name(f".{wanted.image_id}_{wanted.channel}.part{wanted.suffix}")
        want = self.options.checksums.get(wanted.served_name)

        def check(path: Path, digest: str) -> None:
            if want is not None and digest != want:
                raise InputError(
                    path, f"SHA-256 {digest}", f"{want} of the list", "see --checksums"
                )
            _read_plane(path)

        got = fetch(self._session(), url, part, check, self.options.limits, self.budget)
        entry: dict[str, Any] = {"file": target.name, "url": url, "bytes": got.size}
        entry |= {"source": wanted.served_name, "source_sha256": got.sha256}
        if self.options.as_served:
            entry["sha256"] = got.sha256
            part.replace(target)
        else:
            grey = part.with_name(f".{target.stem}.grey.png")  # a later run writes over it
            Image.fromarray(_read_plane(part)).save(grey, compress_level=1)
            entry["sha256"] = file_sha256(grey)
            grey.replace(target)
            part.unlink()
        self._log(entry)
        return entry

    def _log(self, entry: Mapping[str, Any]) -> None:
        with self._log_lock, (self.options.out / LOG_NAME).open("a", encoding="utf-8") as log:
            log.write(json.dumps(entry) + "\n")

    def _session(self) -> requests.Session:
        if not hasattr(self._local, "session"):
            self._local.session = open_session(self.options.limits, self._rate)
        session: requests.Session = self._local.session
        return session

    def _gene_page(self, gene: str) -> str:
        with self._page_lock:  # one thread asks, the others wait for the same answer
            if gene not in self._pages:
                url = fill(self.options.gene_template, {"gene": gene}, "--gene-template")
                self._pages[gene] = self._read_text(url)
            return self._pages[gene]

    def _read_text(self, url: str) -> str:
        text = bytearray()
        timeout_s = self.options.limits.timeout_s
        with self._session().get(url, stream=True, timeout=timeout_s) as response:
            if response.status_code != 200:
                return ""
            for chunk in response.iter_content(1 << 16):
                self.budget.take(len(chunk))
                text += chunk
                if len(text) > _MAX_GENE_PAGE_BYTES:
                    break
        return text.decode("utf-8", errors="replace")


def _read_plane(path: Path) -> Any:
    """Read a served picture as one grey plane, (H, W); it may be drawn in colour."""
    return read_channels(ImageFiles(path.name, {"green": path}), ("green",))[..., 0]


def download(wanted: Sequence[Wanted], options: Options, report: Report) -> int:
    """Fetch files, keep going past what fails, and write the lists beside them.

    Args:
        wanted: the files.
        options: how.
        report: failures and counts are added here.

    Returns:
        How many bytes were fetched.

    Raises:
        InputError: the folder or its lists cannot be written.
    """
    try:
        options.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or str(error)
        raise InputError(options.out, reason, "a folder", "choose another --out") from error
    downloader = Downloader(options)
    kept = absent = 0
    with ThreadPoolExecutor(options.workers) as pool:
        futures = [pool.submit(downloader.get, each) for each in wanted]
        ids = {id(future): each for future, each in zip(futures, wanted, strict=True)}

        def name(future: Future[Any]) -> str:
            return f"{ids[id(future)].image_id}_{ids[id(future)].channel}"

        try:
            for _, entry in run_items(
                Future.result, futures, report, item_id=name, description="download"
            ):
                absent += entry is None
                kept += bool(entry and entry.get("kept"))
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    if kept:
        report.notes.append(f"{kept} files were there already")
    if absent:
        report.notes.append(f"{absent} files of optional channels are not on the server")
    _write_lists(options.out, [downloader.target(each) for each in wanted])
    return downloader.budget.used


def _read_log(path: Path) -> dict[str, Any]:
    known: dict[str, Any] = {}
    if path.is_file():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                entry = json.loads(line)
                known[entry["file"]] = entry
            except (ValueError, KeyError, TypeError):
                continue  # a line cut off by a killed run; its file is hashed below
    return known


def _write_lists(out: Path, targets: Sequence[Path]) -> None:
    known = _read_log(out / LOG_NAME)
    stored: dict[str, str] = {}
    served: dict[str, str] = {}
    names = {*known, *(target.name for target in targets)}
    for name in sorted(names):
        if not (out / name).is_file():
            continue
        entry = known.get(name)
        stored[name] = entry["sha256"] if entry else file_sha256(out / name)
        if entry:
            served[entry["source"]] = entry["source_sha256"]
    write_checksums(out / "SHA256SUMS", stored)
    write_checksums(out / "SOURCES.sha256", served)
