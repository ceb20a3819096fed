"""Nothing that the tool did not write is replaced or removed."""

import json
import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hpa_mmdet.errors import InputError
from hpa_mmdet.io import output_records
from hpa_mmdet.io.output_records import RECORDS, read_records
from hpa_mmdet.io.outputs import OutputFiles, claim_output


def put(outputs: OutputFiles, path: Path, text: str = "ours") -> None:
    with outputs.writing(path) as temporary:
        temporary.write_text(text)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_file_of_the_user_is_never_replaced(tmp_path: Path, overwrite: bool) -> None:
    path = tmp_path / "a.json"
    path.write_text("the user's")
    with pytest.raises(InputError, match=r"a.json: was not written by stats, so it is never repl"):
        claim_output(path, "stats", overwrite=overwrite)
    with pytest.raises(InputError, match="was not written by stats"):
        put(OutputFiles("stats", overwrite=overwrite), path)
    assert path.read_text() == "the user's"
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_its_own_file_is_replaced_only_when_told(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.json"
    put(claim_output(path, "stats"), path, "first")
    with pytest.raises(InputError, match=r"a.json: is there from an earlier run; give --overwrite"):
        claim_output(path, "stats")
    put(claim_output(path, "stats", overwrite=True), path, "second")
    assert path.read_text() == "second"


def test_a_file_of_another_tool_is_not_its_own(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    put(claim_output(path, "stats"), path)
    with pytest.raises(InputError, match="was not written by browse"):
        claim_output(path, "browse", overwrite=True)


def test_a_file_changed_by_hand_is_the_users(tmp_path: Path) -> None:
    path = tmp_path / "a_mask.png"
    outputs = OutputFiles("segment", root=tmp_path, overwrite=True)
    put(outputs, path, "cells")
    path.write_text("CELLS")  # of the same size
    os.utime(path, ns=(1, 1))
    with pytest.raises(InputError, match=r"a_mask.png: was changed since segment wrote it"):
        put(OutputFiles("segment", root=tmp_path, overwrite=True), path)
    assert OutputFiles("segment", root=tmp_path).remove_owned() == 0
    assert path.read_text() == "CELLS"


def test_a_copied_file_stays_its_tools_own_by_its_digest(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    put(OutputFiles("stats"), path)
    os.utime(path, ns=(1, 1))
    assert OutputFiles("stats").owns(path)


def test_an_earlier_version_that_was_put_back_is_the_tools_own(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    put(OutputFiles("stats"), path, "first")
    put(OutputFiles("stats", overwrite=True), path, "the second")
    path.write_text("first")
    os.utime(path, ns=(1, 1))
    assert OutputFiles("stats").owns(path)


def test_unchanged_files_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    put(OutputFiles("stats"), path)
    monkeypatch.setattr(output_records, "file_sha256", lambda path: pytest.fail("was read"))
    assert OutputFiles("stats").owns(path)


def test_a_run_of_the_same_fingerprint_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    put(OutputFiles("infer", fingerprint="one"), path, "first")
    assert OutputFiles("infer", fingerprint="one").is_current(path)
    assert not OutputFiles("infer", fingerprint="two").is_current(path)
    put(OutputFiles("infer", fingerprint="one"), path, "second")
    for other in ("two", ""):
        with pytest.raises(InputError, match="is there from an earlier run"):
            put(OutputFiles("infer", fingerprint=other), path)
    assert path.read_text() == "second"


def test_two_runs_without_fingerprint_are_not_the_same(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    put(OutputFiles("stats"), path)
    with pytest.raises(InputError, match="is there from an earlier run"):
        put(OutputFiles("stats"), path)


def test_a_run_may_write_its_own_file_again(tmp_path: Path) -> None:
    outputs = OutputFiles("infer")
    for text in ("half", "whole"):
        put(outputs, tmp_path / "report.json", text)
    assert (tmp_path / "report.json").read_text() == "whole"


@pytest.mark.parametrize("kind", ["same", "link", "hard link", "folder"])
def test_an_input_is_no_output(tmp_path: Path, kind: str) -> None:
    data = tmp_path / "data.json"
    put(OutputFiles("stats"), data)
    out = tmp_path / "out.html"
    if kind == "same":
        out = tmp_path / "x" / ".." / "data.json"
        (tmp_path / "x").mkdir()
    elif kind == "link":
        out.symlink_to(data)
    elif kind == "hard link":
        out.hardlink_to(data)
    else:
        out = tmp_path
    given = tmp_path if kind == "folder" else data
    outputs = OutputFiles("stats", inputs=[None, given], overwrite=True)
    claim = outputs.claim_folder if kind == "folder" else outputs.claim
    with pytest.raises(InputError, match="is an input of this run; choose another output"):
        claim(out)


def test_two_outputs_have_two_names(tmp_path: Path) -> None:
    outputs = OutputFiles("evaluate")
    outputs.claim(tmp_path / "a.json")
    with pytest.raises(InputError, match=r"a.json: is named for two outputs; change one"):
        outputs.claim(tmp_path / "a.json")


def test_places_that_cannot_be_written_are_found_first(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file: cannot be written \(Not a directory\)"):
        claim_output(tmp_path / "file" / "a.json", "stats")
    with pytest.raises(InputError, match=r"below: cannot be written \(Not a directory\)"):
        OutputFiles("stats").claim_folder(tmp_path / "file" / "below")
    with pytest.raises(InputError, match=r"is a folder; choose another name"):
        claim_output(tmp_path, "stats", overwrite=True)
    with pytest.raises(InputError, match="has a name of more than 255 bytes"):
        claim_output(tmp_path / ("é" * 126 + ".json"), "stats")
    claim_output(tmp_path / "not" / "yet" / "a.json", "stats")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_link_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.json").symlink_to(tmp_path / "nothing")
    with pytest.raises(InputError, match="was not written by stats"):
        claim_output(tmp_path / "a.json", "stats", overwrite=True)


def test_only_its_own_files_are_removed(tmp_path: Path) -> None:
    outputs = OutputFiles("infer", root=tmp_path)
    put(outputs, tmp_path / "labels" / "a.tif")
    put(outputs, tmp_path / "drawn" / "b.png")
    put(outputs, tmp_path / "drawn" / "deeper" / "still" / "c.png")
    put(OutputFiles("export", root=tmp_path), tmp_path / "c.pth")
    (tmp_path / "labels" / "foreign.tif").write_text("the user's")
    assert OutputFiles("infer", root=tmp_path).remove_owned() == 3
    left = {
        p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if RECORDS not in p.parts
    }
    assert left == {"labels", "labels/foreign.tif", "c.pth"}


def test_damaged_records_make_a_file_the_users(tmp_path: Path) -> None:
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    put(OutputFiles("stats"), first)
    [records] = (tmp_path / RECORDS).iterdir()
    records.write_bytes(records.read_bytes()[:-9] + b"\xff")
    put(OutputFiles("stats"), second)
    assert not OutputFiles("stats").owns(first)
    assert OutputFiles("stats").owns(second)
    records.write_text('[]\n{"name": 1}\nnull\n')
    assert not OutputFiles("stats").owns(second)


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), OutputFiles("stats").writing(tmp_path / "a.json"):
        raise RuntimeError
    assert not list(tmp_path.iterdir())


def test_workers_share_the_records(tmp_path: Path) -> None:
    outputs = OutputFiles("segment", root=tmp_path)
    names = [f"ä{number}.png" for number in range(200)]
    copies = [pickle.loads(pickle.dumps(outputs)) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda at: put(copies[at % 4], tmp_path / names[at]), range(len(names))))
    assert sorted(read_records(tmp_path)) == sorted(names)
    fresh = OutputFiles("segment", root=tmp_path)
    assert all(fresh.owns(tmp_path / name) for name in names)
    [records] = (tmp_path / RECORDS).iterdir()
    assert len([json.loads(line) for line in records.read_text().split("\n") if line]) == 200


def test_working_files_are_forgotten(tmp_path: Path) -> None:
    folder = tmp_path / "a.parts"
    outputs = OutputFiles("convert", root=folder)
    put(outputs, folder / "part.txt")
    outputs.remove_owned()
    outputs.forget(folder)
    assert not folder.exists()
