"""Runs: failures kept apart, order kept, parts taken up again, shards joined."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.output_records import RECORDS
from hpa_mmdet.jobs import Failure, Report, read_report, run_items
from hpa_mmdet.jobs.engines import map_in_order
from hpa_mmdet.jobs.parts import ItemResult, PartFolder, PartJob, PartSummary, read_lines, run_parts
from hpa_mmdet.jobs.progress import describe
from hpa_mmdet.jobs.shards import Shard, parse_shard


def double(item: int) -> int:
    if item == 3:
        raise InputError("item 3", "a three", "another number", "leave it out")
    return 2 * item


def die(item: int) -> int:
    if item == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return item


@pytest.mark.parametrize("workers", [1, 2])
def test_a_bad_item_is_reported_and_the_rest_comes_in_order(workers: int) -> None:
    report = Report("test")
    results = list(run_items(double, range(12), report, workers=workers))
    assert results == [(item, 2 * item) for item in range(12) if item != 3]
    assert (report.done, report.exit_status) == (11, 1)
    assert [failure.item_id for failure in report.failures] == ["3"]
    assert "failed 3: item 3: found a three" in report.summary()


def test_the_exit_status_tells() -> None:
    for items, status in ((range(0), 0), (range(3), 0), (range(2, 5), 1), ([3], 2)):
        report = Report("test")
        list(run_items(double, list(items), report))
        assert report.exit_status == status


def test_a_killed_worker_is_said() -> None:
    with pytest.raises(InputError, match=r"--workers: found a worker that was killed.*use fewer"):
        list(map_in_order(die, range(12), workers=2))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 0}, "--workers: found 0, expected 1 or more"),
        ({"engine": "slurm"}, "--engine: found slurm, expected one of local, ray"),
    ],
)
def test_an_engine_that_cannot_be_is_refused(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        map_in_order(double, [1], **options)


def test_without_ray_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"pip install 'hpa-mmdet\[cluster\]'"):
        list(map_in_order(double, [1], engine="ray"))


def test_a_report_reads_back(tmp_path: Path) -> None:
    report = Report("test", notes=["a note"])
    list(run_items(double, range(5), report))
    report.write(tmp_path / "report.json")
    assert read_report(tmp_path / "report.json") == report
    (tmp_path / "report.json").write_text("[]")
    with pytest.raises(
        InputError, match=r"report.json: found the entry \[\], expected a JSON object"
    ):
        read_report(tmp_path / "report.json")


def test_shards_cover_every_item_once() -> None:
    items = list(range(23))
    for count in (1, 2, 7, 23, 40):
        shards = [Shard(index, count).take(items) for index in range(1, count + 1)]
        assert [item for shard in shards for item in shard] == items
        assert max(map(len, shards)) - min(map(len, shards)) <= 1


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "a/b", "-1/4", "1/0", "1/4/2", "", "²/4"])
def test_a_shard_is_one_of_its_number(text: str) -> None:
    with pytest.raises(InputError, match=r"--shard: found .*expected i/n with i from 1 to n"):
        parse_shard(text)


def test_a_log_says_rate_and_time_left() -> None:
    assert describe("convert", 0, 10, 1.0) == "convert: 0 of 10, 0.0/s, 0 s left"
    assert describe("convert", 5, 10, 1.0) == "convert: 5 of 10, 5.0/s, 1 s left"


def note_call(item: str, log: Path, delay_s: float = 0.0) -> ItemResult:
    with log.open("a") as handle:
        handle.write(item + "\n")
    time.sleep(delay_s)
    if item == "bad":
        raise InputError("bad", "nothing", "something", "mend it")
    return ItemResult([f"{item} first", f"{item} ünd second"], [f"note on {item}"])


def job_of(folder: Path, options: str = "", delay_s: float = 0.0) -> PartJob[str]:
    return PartJob(
        partial(note_call, log=folder / "log", delay_s=delay_s),
        str,
        partial(one_file, folder=folder),
        PartFolder(folder / "parts", "test"),
        options,
    )


def one_file(item: str, folder: Path) -> list[Path]:
    return [folder / item]


ITEMS = ["a", "b", "bad", "c", "d"]


def run(folder: Path, options: str = "", workers: int = 1) -> tuple[list[str], Report]:
    report = Report("test")
    parts = run_parts(job_of(folder, options), ITEMS, report, part_size=2, workers=workers)
    return list(read_lines(parts)), report


def test_parts_that_are_done_are_not_done_again(tmp_path: Path) -> None:
    lines, report = run(tmp_path)
    assert lines == [f"{item} {end}" for item in "abcd" for end in ("first", "ünd second")]
    assert (report.done, [failure.item_id for failure in report.failures]) == (4, ["bad"])
    assert report.notes == [f"note on {item}" for item in "abcd"]

    again = run(tmp_path)
    assert again == (lines, report)
    assert (tmp_path / "log").read_text().split() == ITEMS

    (tmp_path / "parts" / "part-000001.txt").unlink()
    assert run(tmp_path) == (lines, report)
    assert (tmp_path / "log").read_text().split() == [*ITEMS, "bad", "c"]


def test_a_changed_file_or_option_redoes_its_parts(tmp_path: Path) -> None:
    run(tmp_path)
    (tmp_path / "d").write_text("changed")
    run(tmp_path)
    assert (tmp_path / "log").read_text().split() == [*ITEMS, "d"]
    run(tmp_path, options="other")
    assert (tmp_path / "log").read_text().split() == [*ITEMS, "d", *ITEMS]


@pytest.mark.parametrize("content", ["", "b first\n", "a first\na ünd second\nb other\n"])
def test_a_part_that_was_changed_is_named(tmp_path: Path, content: str) -> None:
    lines, _ = run(tmp_path)
    part = tmp_path / "parts" / "part-000000.txt"
    part.write_text(content)
    with pytest.raises(InputError, match=r"part-000000.txt: is not as test wrote it; remove it"):
        run(tmp_path)
    assert part.read_text() == content
    part.unlink()
    assert run(tmp_path)[0] == lines


def test_a_part_whose_record_is_lost_is_not_replaced(tmp_path: Path) -> None:
    run(tmp_path)
    [records] = (tmp_path / "parts" / RECORDS).iterdir()
    records.write_text("cut")
    with pytest.raises(InputError, match=r"part-000000.txt: is not as test wrote it"):
        run(tmp_path)


def test_only_parts_are_removed(tmp_path: Path) -> None:
    run(tmp_path)
    parts = PartFolder(tmp_path / "parts", "test")
    (parts.folder / ".0123456789abcdef.tmp.txt").touch()  # as a killed writer leaves it
    parts.remove()
    assert not parts.folder.exists()
    run(tmp_path)
    for name in ("part-000009.txt", "notes.txt"):
        (parts.folder / name).write_text("the user's")
    parts.remove()
    assert sorted(path.name for path in parts.folder.iterdir()) == ["notes.txt", "part-000009.txt"]
    parts.remove()
    assert len(list(parts.folder.iterdir())) == 2


def square(item: int) -> ItemResult:
    return ItemResult(np.full((2, 3), item**2, np.float32), [])


def no_files(item: int) -> list[Path]:
    return []


def write_array(path: Path, values: Sequence[np.ndarray]) -> None:
    with path.open("wb") as handle:
        np.save(handle, np.concatenate(values))


def test_parts_may_be_arrays(tmp_path: Path) -> None:
    folder = PartFolder(tmp_path, "test", name="features-", ending=".npy")
    job = PartJob(square, str, no_files, folder, "", write_array)
    paths = run_parts(job, range(5), Report("test"), part_size=2)
    assert [path.name for path in paths] == [f"features-00000{at}.npy" for at in range(3)]
    assert np.load(paths[1]).tolist() == [[4.0] * 3] * 2 + [[9.0] * 3] * 2


def test_a_part_folder_serves_work_of_another_kind(tmp_path: Path) -> None:
    folder = PartFolder(tmp_path, "infer", name="chunk-", ending=".jsonl")
    summary = PartSummary(15, [Failure("x", "bad")], ["a note"])
    assert folder.summary_of(3, "mark") is None
    with folder.writing(3, "mark", summary) as temporary:
        temporary.write_text("{}\n")
    assert folder.path_of(3).read_text() == "{}\n"
    assert folder.summary_of(3, "mark") == summary
    assert folder.summary_of(3, "another") is None


def test_workers_give_the_same_bytes(tmp_path: Path) -> None:
    one, many = tmp_path / "one", tmp_path / "many"
    for folder in (one, many):
        folder.mkdir()
    assert run(one)[0] == run(many, workers=2)[0]


def test_a_full_disk_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(self: Path, *_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "touch", no_room)
    with pytest.raises(InputError, match=r"part-000000.txt: found a full disk"):
        run(tmp_path)


SLOW_RUN = """
import sys
from pathlib import Path
sys.path.insert(0, {here!r})
from test_jobs import job_of
from hpa_mmdet.jobs import Report
from hpa_mmdet.jobs.parts import run_parts
folder = Path({folder!r})
run_parts(job_of(folder, delay_s=0.05), [str(item) for item in range(30)], Report("t"), part_size=3)
"""


def test_a_killed_run_goes_on_without_loss_or_doubles(tmp_path: Path) -> None:
    code = SLOW_RUN.format(here=str(Path(__file__).parent), folder=str(tmp_path))
    process = subprocess.Popen([sys.executable, "-c", code])
    parts = tmp_path / "parts"
    while process.poll() is None and len(list(parts.glob("part-*.txt"))) < 3:
        time.sleep(0.02)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    before = {path.name: path.stat().st_mtime_ns for path in parts.glob("part-*.txt")}
    assert 3 <= len(before) < 10

    report = Report("t")
    # the delay is no option that results depend on, so the earlier parts count
    done = run_parts(job_of(tmp_path), [str(item) for item in range(30)], report, part_size=3)
    lines = list(read_lines(done))
    assert lines[::2] == [f"{item} first" for item in range(30)]
    assert report.done == 30
    after = {path.name: path.stat().st_mtime_ns for path in parts.glob("part-*.txt")}
    assert before.items() <= after.items()
