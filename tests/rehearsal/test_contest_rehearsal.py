"""The contest's recipe runs as its page has it, killed on the way."""

import csv
import json
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))
import rehearse_contest  # noqa: E402
from rehearsal_process import run_step  # noqa: E402

IDS = 30
WORKS = """
import pathlib, sys, time
done = pathlib.Path("done")
print("begins at", len(list(done.iterdir())), *sys.argv[1:], flush=True)
for number in range(4):
    (done / str(number)).touch()
    time.sleep(0.5)
"""


def test_the_page_holds_every_command_of_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8").split("## The contest's data")[1]
    page = rehearse_contest.recipe(rehearse_contest.PAGE.read_text(encoding="utf-8"))
    for words in rehearse_contest.recipe(readme):
        assert any(words == of_page[: len(words)] for of_page in page), words


def test_a_step_is_killed_when_it_is_half_done_and_goes_on(tmp_path: Path) -> None:
    (tmp_path / "done").mkdir()
    words = [sys.executable, "-c", WORKS]
    half_done = [lambda seconds: (tmp_path / "done/1").exists()]
    measured = run_step("work", words, tmp_path, half_done, ["--resume"])
    assert (measured.killed, len(measured.seconds)) == (1, 2)
    assert measured.peak_mb > 1
    assert 0.4 < measured.silent_s < sum(measured.seconds)
    log = (tmp_path / "logs/work.log").read_text().splitlines()
    begun = [line for line in log if line.startswith("begins at")]
    assert begun[0] == "begins at 0"
    assert begun[1] in ("begins at 2 --resume", "begins at 3 --resume")


def test_a_step_that_fails_ends_the_rehearsal(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="work ended with status 3"):
        run_step("work", [sys.executable, "-c", "raise SystemExit(3)"], tmp_path)


def test_the_recipe_runs_on_a_small_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tables = tmp_path / "tables"
    tables.mkdir()
    for name in ("train.csv", "sample_submission.csv"):
        with (tables / name).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            if name == "train.csv":
                rows = [[f"train-{number}", f"{number % 18}|16"] for number in range(2 * IDS)]
                writer.writerows([["ID", "Label"], *rows])
            else:
                header = ["ID", "ImageWidth", "ImageHeight", "PredictionString"]
                rows = [[f"test-{number}", "2048", "2048", ""] for number in range(3)]
                writer.writerows([header, *rows])
    work_dir = tmp_path / "work"
    words = ["--data", str(tables), "--work-dir", str(work_dir), "--ids", str(IDS)]
    words += ["--drawn", "4", "--size", "96", "--workers", "1", "--kill", "segment"]
    assert rehearse_contest.main(words) == 0
    rows = {row["name"]: row for row in json.loads((work_dir / "rehearsal.json").read_text())}
    assert list(rows) == [
        *("segment", "convert_coco", "validate_coco", "stats", "browse", "split_coco"),
        *("cache_images", "train", "infer"),
    ]
    assert rows["segment"]["images"] == IDS
    assert rows["infer"]["images"] == 3
    assert "submission read back: 3 images" in capsys.readouterr().out


def test_a_step_ends_with_the_rehearsal(tmp_path: Path) -> None:
    def interrupted(seconds: float) -> bool:
        raise KeyboardInterrupt

    words = [sys.executable, "-c", "import time; time.sleep(60)", str(tmp_path)]
    with pytest.raises(KeyboardInterrupt):
        run_step("work", words, tmp_path, [interrupted])
    commands = (path / "cmdline" for path in Path("/proc").iterdir() if path.name.isdigit())
    left = [path for path in commands if str(tmp_path) in _read(path)]
    assert not left


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
