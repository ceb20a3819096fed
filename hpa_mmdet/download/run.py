"""Fetch the channels of many images: in threads, resumable, with a log of what came.

In the folder of the images afterwards:

- `<id>_<channel>.png` (grey), or the served file under `<id>_<channel>.<ending>`;
- `SHA256SUMS`: of these files, for `sha256sum -c`;
- `SOURCES.sha256`: of the served bytes, a list that another run can be checked against;
- `download.jsonl`: one line a file: address, size, checksums;
- `download_report.json`: what failed, and why.

What has come is remembered by the records of `io.outputs`, so that a killed run goes on.
"""

import json
import shutil
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from PIL import Image

from hpa_mmdet.download.addresses import GENE_TEMPLATE, Wanted, fill, find_in_gene_page
from hpa_mmdet.download.checksums import checksum_lines
from hpa_mmdet.download.limits import Budget, Limits, RateLimit
from hpa_mmdet.download.transfer import NoAnswerError, NotThereError, fetch, open_session
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.atomic import save_image, unwritable
from hpa_mmdet.io.channels import ImageFiles, read_channels
from hpa_mmdet.io.output_records import RECORDS, file_sha256, read_records
from hpa_mmdet.io.outputs import OutputFiles
from hpa_mmdet.jobs import Report, run_items
from hpa_mmdet.jobs.fingerprint import fingerprint

SUMS_NAME, SOURCES_NAME, LOG_NAME = "SHA256SUMS", "SOURCES.sha256", "download.jsonl"
_REPORT = "download_report.json"
_NOTES = {
    "kept": "were there already",
    "users": "are not as download_hpa wrote them and are kept",
    "absent": "of optional channels are not on the server",
}
WEIGHTS_SUFFIX = ".pth"
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
        gene_template: page that lists a gene's images; empty to ask none.
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
        outputs: of the run.
    """

    def __init__(self, options: Options, outputs: OutputFiles) -> None:
        self.options, self.outputs = options, outputs
        self.budget = Budget(options.max_total_bytes)
        self._rate = RateLimit(options.per_second)
        self._local = threading.local()
        self._pages: dict[str, str] = {}
        self._page_lock = threading.Lock()
        self._silent = 0

    def get(self, wanted: Wanted) -> str:
        """Fetch one file.

        Returns:
            `fetched`; `kept`, where it was there already; `users`, where a file of the user's is
            in its place; `absent`, where an optional channel is not on the server.

        Raises:
            InputError: it could not be had.
            OutputError: it cannot be written.
        """
        target = self.target(wanted)
        outputs = self.outputs.of_fingerprint(fingerprint(wanted.url))
        if target.exists() and (earlier := self._earlier(outputs, target, wanted)) is not None:
            return earlier
        if self._silent >= _SILENT_FILES:
            raise InputError(
                wanted.url,
                f"no answer for {_SILENT_FILES} files in a row, so it was not tried",
                "a server that answers",
                "check the network and run again",
            )
        try:
            self._get_anywhere(wanted, target, outputs)
        except NoAnswerError:
            self._silent += 1
            raise
        except NotThereError:
            self._silent = 0
            if wanted.channel in self.options.optional:
                return "absent"
            raise
        except requests.RequestException as error:
            raise InputError(wanted.url, error, "a file", "check the address") from error
        except OSError as error:
            raise unwritable(target, error) from error
        self._silent = 0
        return "fetched"

    def target(self, wanted: Wanted) -> Path:
        """Where a file will be."""
        name = (
            wanted.served_name
            if self.options.as_served
            else f"{wanted.image_id}_{wanted.channel}.png"
        )
        return self.options.out / name

    def _earlier(self, outputs: OutputFiles, target: Path, wanted: Wanted) -> str | None:
        """Say what a file is that is there already; None for one to be fetched anew."""
        record = outputs.record_of(target)
        if record is None:
            return "users"
        if self.options.overwrite:
            return None
        want = self.options.checksums.get(wanted.served_name)
        if record.fingerprint != outputs.fingerprint:
            problem = f"was fetched from another address ({record.note.get('url')})"
        elif want is not None and record.note.get("source_sha256") != want:
            problem = "is not what the list of --checksums names"
        else:
            return "kept"
        raise InputError(target, problem=problem, remedy="give --overwrite to fetch it anew")

    def _get_anywhere(self, wanted: Wanted, target: Path, outputs: OutputFiles) -> None:
        try:
            return self._get_at(wanted.url, wanted, target, outputs)
        except NotThereError:
            if not (wanted.gene and self.options.gene_template):
                raise
            page = self._gene_page(wanted.gene)
            url = find_in_gene_page(page, wanted.image_id, wanted.channel)
            if url is None or url == wanted.url:
                raise
            return self._get_at(url, wanted, target, outputs)

    def _get_at(self, url: str, wanted: Wanted, target: Path, outputs: OutputFiles) -> None:
        part = self.options.out / RECORDS / f"{target.stem}.part{wanted.suffix}"
        want = self.options.checksums.get(wanted.served_name)

        def check(path: Path, digest: str) -> None:
            if want is not None and digest != want:
                raise InputError(
                    path, f"SHA-256 {digest}", f"{want} of the list", "see --checksums"
                )
            if wanted.suffix != WEIGHTS_SUFFIX:
                _read_plane(path)

        part.parent.mkdir(exist_ok=True)
        got = fetch(self._session(), url, part, check, self.options.limits, self.budget)
        note = {"url": url, "bytes": got.size}
        note |= {"source": wanted.served_name, "source_sha256": got.sha256}
        with outputs.writing(target, note) as temporary:
            if self.options.as_served:
                shutil.copyfile(part, temporary)
            else:
                save_image(Image.fromarray(_read_plane(part)), temporary, compress_level=1)
        part.unlink()

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


def download(
    wanted: Sequence[Wanted], options: Options, report: Report, inputs: Sequence[Path | None] = ()
) -> int:
    """Fetch files, keep going past what fails, and write the lists and the report.

    Args:
        wanted: the files.
        options: how.
        report: failures and counts are added here.
        inputs: files that the run reads, so none of its outputs may be.

    Returns:
        How many bytes were fetched.

    Raises:
        InputError: the folder cannot be written, or a file of the user's is in the place of
            a list.
    """
    outputs = OutputFiles(
        "download_hpa", inputs=inputs, overwrite=options.overwrite, root=options.out
    )
    outputs.claim_folder(options.out)
    lists = outputs.of_fingerprint("lists")  # made anew by each run, of all files in the folder
    for name in (SUMS_NAME, SOURCES_NAME, LOG_NAME, _REPORT):
        lists.claim(options.out / name)
    options.out.mkdir(parents=True, exist_ok=True)
    downloader = Downloader(options, outputs)
    counts: Counter[str] = Counter()
    with ThreadPoolExecutor(options.workers) as pool:
        futures = [pool.submit(downloader.get, file) for file in wanted]
        ids = {id(future): file for future, file in zip(futures, wanted, strict=True)}

        def name_of(future: Future[Any]) -> str:
            return f"{ids[id(future)].image_id}_{ids[id(future)].channel}"

        try:
            results = run_items(
                Future.result, futures, report, item_id=name_of, description="download"
            )
            counts.update(outcome for _, outcome in results)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
    for outcome, text in _NOTES.items():
        if counts[outcome]:
            report.notes.append(f"{counts[outcome]} files {text}")
    fetched = downloader.budget.used
    report.notes.append(f"{fetched / 1e6:.1f} MB fetched into {options.out}")
    _write_lists(lists, [downloader.target(file) for file in wanted])
    report.write(options.out / _REPORT, lists)
    return fetched


def _write_lists(outputs: OutputFiles, targets: Sequence[Path]) -> None:
    """List all files of the folder that a run of this tool wrote, and those asked for."""
    assert outputs.root is not None
    stored: dict[str, str] = {}
    served: dict[str, str] = {}
    log: list[str] = []
    for name in sorted({*read_records(outputs.root), *(target.name for target in targets)}):
        record = outputs.record_of(outputs.root / name)
        if record is not None and "source" in record.note:
            stored[name] = record.sha256
            served[record.note["source"]] = record.note["source_sha256"]
            log.append(json.dumps({"file": name, **record.note, "sha256": record.sha256}) + "\n")
        elif record is None and (outputs.root / name).is_file():
            stored[name] = file_sha256(outputs.root / name)
    for name, text in (
        (SUMS_NAME, checksum_lines(stored)),
        (SOURCES_NAME, checksum_lines(served)),
        (LOG_NAME, "".join(log)),
    ):
        with outputs.writing(outputs.root / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
