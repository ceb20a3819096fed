"""Every tool on COCO files: hostile files end in one line and status 2, inputs stay as they are."""

import json
from pathlib import Path
from typing import Any

import pytest
from test_parse import BAD, Change, plain_coco, write

from hpa_mmdet.cli import (
    browse,
    coco_to_submission,
    evaluate,
    merge_coco,
    split_coco,
    stats,
    validate_coco,
)

TOOLS = {
    "stats": (stats.main, "--out"),
    "browse": (browse.main, "--out"),
    "coco_to_submission": (coco_to_submission.main, "--out"),
    "merge_coco": (merge_coco.main, "--out"),
    "split_coco": (split_coco.main, None),
    "validate_coco": (validate_coco.main, None),
}


def run(name: str, source: Path, out: Path) -> int:
    main, option = TOOLS[name]
    return main([str(source), *([option, str(out)] if option else [])])


@pytest.mark.parametrize("name", TOOLS)
def test_hostile_files_end_in_one_line(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if name in ("stats", "browse", "split_coco"):  # these also need labels and images to work on
        shared = [case for case in BAD if "twice" not in str(case.id)]
    else:
        shared = BAD
    for number, case in enumerate(shared):
        change: Change = case.values[0]
        content = plain_coco()
        change(content)
        folder = tmp_path / str(number)
        folder.mkdir()
        status = run(name, write(folder / "t.json", content), folder / "out")
        assert status in ({1, 2} if name == "validate_coco" else {2}), case.id
        err = capsys.readouterr().err
        assert "Traceback" not in err
        assert name == "validate_coco" or err.count("\n") == 1, err
        assert sorted(path.name for path in folder.iterdir()) == ["t.json"], case.id


@pytest.mark.parametrize("name", ["stats", "browse", "coco_to_submission", "merge_coco"])
def test_an_input_is_never_an_output(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write(tmp_path / "t.json", plain_coco())
    before = source.read_bytes()
    for out in (source, tmp_path / "folder" / ".." / "t.json"):
        assert run(name, source, out) == 2
        assert "t.json: is an input of this run; choose another output" in capsys.readouterr().err
    (tmp_path / "foreign.html").write_text("mine")
    assert run(name, source, tmp_path / "foreign.html") == 2
    assert "foreign.html: was not written by" in capsys.readouterr().err
    assert (source.read_bytes(), (tmp_path / "foreign.html").read_text()) == (before, "mine")


def test_the_numbers_beside_a_page_never_replace_the_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write(tmp_path / "data.json", plain_coco())
    before = source.read_bytes()
    assert stats.main([str(source), "--out", str(tmp_path / "data.html")]) == 2
    assert "data.json: is an input of this run" in capsys.readouterr().err
    assert source.read_bytes() == before
    assert not (tmp_path / "data.html").exists()


def test_outputs_of_an_earlier_run_are_replaced_on_demand_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = write(tmp_path / "t.json", plain_coco()), tmp_path / "s.csv"
    command = [str(source), "--out", str(out)]
    assert coco_to_submission.main(command) == 0
    assert coco_to_submission.main(command) == 2
    assert "s.csv: is there from an earlier run; give --overwrite" in capsys.readouterr().err
    assert coco_to_submission.main([*command, "--overwrite"]) == 0
    out.write_text(out.read_text() + "\n")  # by hand
    assert coco_to_submission.main([*command, "--overwrite"]) == 2
    assert "s.csv: was changed since coco_to_submission wrote it" in capsys.readouterr().err


def test_scores_never_replace_the_truth_and_are_written_before_they_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    truth, submission = write(tmp_path / "truth.json", plain_coco()), tmp_path / "s.csv"
    assert coco_to_submission.main([str(truth), "--out", str(submission)]) == 0
    before = truth.read_bytes()
    for option in ("--json", "--html"):
        assert evaluate.main([str(submission), str(truth), option, str(truth)]) == 2
        assert "truth.json: is an input of this run" in capsys.readouterr().err
    assert truth.read_bytes() == before
    (tmp_path / "file").write_text("")

    def too_late(*_: Any) -> None:
        raise AssertionError("the place is checked before the work")

    with monkeypatch.context() as patch:
        patch.setattr(evaluate, "read_truth", too_late)
        for option in ("--json", "--html"):
            out = str(tmp_path / "file" / "x")
            assert evaluate.main([str(submission), str(truth), option, out]) == 2
            assert "cannot be written" in capsys.readouterr().err

    def reader_gone(report: dict[str, Any]) -> None:
        raise BrokenPipeError

    scores = tmp_path / "scores.json"
    monkeypatch.setattr(evaluate, "_show", reader_gone)
    with pytest.raises(BrokenPipeError):
        evaluate.run(
            evaluate.build_parser().parse_args([str(submission), str(truth), "--json", str(scores)])
        )
    assert json.loads(scores.read_text())["contest_map"] == 1.0


def test_the_same_truth_with_other_category_numbers_gives_the_same_score(tmp_path: Path) -> None:
    """As annotation tools export it: categories numbered by the order of their names."""
    truth, submission = write(tmp_path / "truth.json", plain_coco()), tmp_path / "s.csv"
    assert coco_to_submission.main([str(truth), "--out", str(submission)]) == 0
    content = plain_coco()
    names = sorted(category["name"] for category in content["categories"])
    number = {
        category["id"]: names.index(category["name"]) + 1 for category in content["categories"]
    }
    content["categories"] = [{"id": k, "name": name} for k, name in enumerate(names, start=1)]
    for annotation in content["annotations"]:
        annotation["category_id"] = number[annotation["category_id"]]
        if "category_ids" in annotation:
            annotation["category_ids"] = [number[k] for k in annotation["category_ids"]]
    other, scores = write(tmp_path / "other.json", content), tmp_path / "scores.json"
    assert evaluate.main([str(submission), str(other), "--json", str(scores)]) == 0
    assert json.loads(scores.read_text())["contest_map"] == 1.0
