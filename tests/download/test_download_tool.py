"""tools/download_hpa.py: a folder that the converter reads, whatever the server does."""

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from web_server import SHAPE_HW, WebServer, jpeg

from hpa_mmdet.cli.download_hpa import main
from hpa_mmdet.download import subcell
from hpa_mmdet.download.checksums import read_checksums
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.channels import find_images, read_channels

_NO_ROOM = "a_red.png: found a full disk, expected room for the output; free space and run the"
FAST = ["--rate", "0", "--retries", "1", "--timeout", "5"]


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpa_mmdet.download.transfer.time.sleep", lambda seconds: None)


def _table(folder: Path, *lines: str) -> str:
    path = folder / "table.csv"
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def _run(web: WebServer, folder: Path, *lines: str, options: tuple[str, ...] = ()) -> int:
    template = f"{web.url}/{{how}}/{{id}}_{{channel}}.jpg"
    arguments = [_table(folder, "ID,how,gene", *lines), "--out", str(folder / "out")]
    defaults = ["--url-template", template, "--gene-template", ""]
    return main([*arguments, *defaults, *FAST, *options])


def _report(folder: Path) -> dict:
    return json.loads((folder / "out" / "download_report.json").read_text())


def test_all_channels_become_grey_files_that_are_read_by_default(
    web: WebServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(web, tmp_path, "a,ok,", "b,cut,") == 0
    images = find_images(tmp_path / "out")
    assert [image.image_id for image in images] == ["a", "b"]
    pixels = read_channels(images[1])
    assert pixels.shape == (*SHAPE_HW, 4)
    grey = np.random.default_rng(0).integers(0, 255, SHAPE_HW)
    assert np.abs(pixels[..., 3].astype(int) - grey).mean() < 8  # JPEG's loss
    assert "8 done, 0 failed" in capsys.readouterr().out
    left = {path.name for path in (tmp_path / "out").iterdir() if path.name.startswith(".")}
    assert left == {".hpa-mmdet"}
    assert not list((tmp_path / "out").rglob("*.part*"))


def test_the_served_bytes_can_be_kept(web: WebServer, tmp_path: Path) -> None:
    assert _run(web, tmp_path, "a,ok,", options=("--format", "served", "--channels", "red")) == 0
    assert (tmp_path / "out" / "a_red.jpg").read_bytes() == jpeg("red")


def test_the_lists_of_checksums_fit(web: WebServer, tmp_path: Path) -> None:
    assert _run(web, tmp_path, "a,ok,", options=("--channels", "red", "blue")) == 0
    out = tmp_path / "out"
    done = subprocess.run(
        ["sha256sum", "-c", "SHA256SUMS"], cwd=out, check=True, text=True, capture_output=True
    )
    assert done.stdout == "a_blue.png: OK\na_red.png: OK\n"
    served = read_checksums(out / "SOURCES.sha256")
    assert served["a_red.jpg"] == hashlib.sha256(jpeg("red")).hexdigest()
    # and the list serves to check another run, which may not replace it
    again = ("--overwrite", "--channels", "red", "blue", "--checksums")
    assert _run(web, tmp_path, "a,ok,", options=(*again, str(out / "SOURCES.sha256"))) == 2
    theirs = shutil.copy(out / "SOURCES.sha256", tmp_path / "theirs")
    assert _run(web, tmp_path, "a,ok,", options=(*again, str(theirs))) == 0


def test_a_file_that_differs_from_the_list_is_refused(
    web: WebServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sums = tmp_path / "sums"
    sums.write_text(f"{'0' * 64}  a_red.jpg\n")
    options = ("--channels", "red", "green", "--checksums", str(sums))
    assert _run(web, tmp_path, "a,ok,", options=options) == 1
    assert f"expected {'0' * 64} of the list; see --checksums" in capsys.readouterr().out
    assert [path.name for path in (tmp_path / "out").glob("*.png")] == ["a_green.png"]


def test_what_is_there_is_not_fetched_again(
    web: WebServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(web, tmp_path, "a,ok,", options=("--channels", "red")) == 0
    before = (tmp_path / "out" / "a_red.png").read_bytes()
    assert _run(web, tmp_path, "a,ok,", "b,ok,", options=("--channels", "red")) == 0
    assert len(web.requests["/ok/a_red.jpg"]) == 1
    assert "1 files were there already" in capsys.readouterr().out
    assert (tmp_path / "out" / "a_red.png").read_bytes() == before
    assert list(read_checksums(tmp_path / "out" / "SHA256SUMS")) == ["a_red.png", "b_red.png"]


def test_files_of_the_user_are_kept_and_hashed(
    web: WebServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "a_red.png").write_bytes(b"the user's")
    for extra in ((), ("--overwrite",)):
        assert _run(web, tmp_path, "a,ok,", options=("--channels", "red", "blue", *extra)) == 0
        assert (out / "a_red.png").read_bytes() == b"the user's"
        assert "1 files are not as download_hpa wrote them and are kept" in capsys.readouterr().out
    assert list(read_checksums(out / "SHA256SUMS")) == ["a_blue.png", "a_red.png"]
    assert list(read_checksums(out / "SOURCES.sha256")) == ["a_blue.jpg"]
    assert [
        json.loads(line)["file"] for line in (out / "download.jsonl").read_text().splitlines()
    ] == ["a_blue.png"]


@pytest.mark.parametrize(
    "name", ["SHA256SUMS", "SOURCES.sha256", "download.jsonl", "download_report.json"]
)
def test_a_list_of_the_users_stops_the_run(
    web: WebServer, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("the user's")
    assert _run(web, tmp_path, "a,ok,", options=("--overwrite",)) == 2
    assert f"{name}: was not written by download_hpa" in capsys.readouterr().err
    assert (tmp_path / "out" / name).read_text() == "the user's"
    assert not web.requests


def test_files_of_another_address_or_list_are_not_taken(web: WebServer, tmp_path: Path) -> None:
    red = ("--channels", "red")
    assert _run(web, tmp_path, "a,ok,", "b,ok,", options=red) == 0
    assert _run(web, tmp_path, "a,cut,", "b,ok,", options=red) == 1
    [failure] = _report(tmp_path)["failed"]
    assert "a_red.png: was fetched from another address (" in failure["message"]
    sums = tmp_path / "sums"
    sums.write_text(f"{'0' * 64}  b_red.jpg\n")
    assert _run(web, tmp_path, "b,ok,", options=(*red, "--checksums", str(sums))) == 2
    [failure] = _report(tmp_path)["failed"]
    assert "b_red.png: is not what the list of --checksums names" in failure["message"]


def test_bad_files_and_rows_do_not_stop_the_others(
    web: WebServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = ("a,ok,", "b,html,", "../c,ok,", "d,none,", "e,promises_less,", "f,broken,")
    assert _run(web, tmp_path, *lines, options=("--channels", "red")) == 1
    failed = {failure["id"]: failure["message"] for failure in _report(tmp_path)["failed"]}
    assert sorted(failed)[1:] == ["b_red", "d_red", "e_red", "f_red"]
    assert "image id '../c'" in failed[sorted(failed)[0]]
    assert "status 404" in failed["d_red"]
    assert [path.name for path in (tmp_path / "out").glob("*.png")] == ["a_red.png"]
    assert "1 done, 5 failed" in capsys.readouterr().out


def test_nothing_at_all_is_status_2(web: WebServer, tmp_path: Path) -> None:
    assert _run(web, tmp_path, "a,none,") == 2
    assert _run(web, tmp_path, "../a,ok,") == 2


def test_a_channel_may_be_said_to_be_optional(
    web: WebServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--channels", "red", "--optional", "red")
    assert _run(web, tmp_path, "a,none,", "b,ok,", options=options) == 0
    assert "1 files of optional channels are not on the server" in capsys.readouterr().out


def test_an_image_with_a_crops_mark_is_found_by_its_gene(web: WebServer, tmp_path: Path) -> None:
    mixed = f"{web.url}/ok/7_C5_1_cr5af971a_blue_red_green.jpg"
    web.pages["/genes/ENSG1.xml"] = f"<a><imageUrl>{mixed}</imageUrl></a>".encode()
    gene_page = ("--gene-template", f"{web.url}/genes/{{gene}}.xml")
    assert _run(web, tmp_path, "7_C5_1,none,ENSG1", "7_C5_2,none,ENSG1", options=gene_page) == 1
    assert len(find_images(tmp_path / "out")) == 1
    assert len(web.requests["/genes/ENSG1.xml"]) == 1  # asked once for all its files
    assert {failure["id"] for failure in _report(tmp_path)["failed"]} == {
        f"7_C5_2_{channel}" for channel in ("red", "green", "blue", "yellow")
    }


def test_a_gene_without_a_page(web: WebServer, tmp_path: Path) -> None:
    gene_page = ("--gene-template", f"{web.url}/genes/{{gene}}.xml", "--channels", "red")
    assert _run(web, tmp_path, "a,none,ENSG1", "b,ok,ENSG1", options=gene_page) == 1
    assert "status 404" in _report(tmp_path)["failed"][0]["message"]


def test_the_size_cap_stops_the_run_and_a_later_one_goes_on(
    web: WebServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    size = len(jpeg("red"))
    options = ("--channels", "red", "--workers", "1")
    cap = (*options, "--max-total-gb", str(2.5 * size / 1e9))
    lines = ("a,ok,", "b,ok,", "c,ok,")
    assert _run(web, tmp_path, *lines, options=cap) == 1
    assert "raise --max-total-gb and run again" in capsys.readouterr().out
    assert len(list((tmp_path / "out").glob("*.png"))) == 2
    assert _run(web, tmp_path, *lines, options=options) == 0
    assert len(list((tmp_path / "out").glob("*.png"))) == 3


def test_a_silent_server_is_given_up(web: WebServer, tmp_path: Path) -> None:
    lines = [f"ID{n},x," for n in range(12)]
    table = _table(tmp_path, "ID,how,gene", *lines)
    out = ["--out", str(tmp_path / "out"), "--channels", "red", "--workers", "1"]
    template = ["--url-template", "http://127.0.0.1:9/{id}_{channel}.jpg"]
    assert main([table, *out, *template, *FAST, "--timeout", "0.5"]) == 2
    messages = [failure["message"] for failure in _report(tmp_path)["failed"]]
    assert sum("so it was not tried" in message for message in messages) == 4


def test_a_server_that_is_silent_now_and_then_is_not_given_up(
    web: WebServer, tmp_path: Path
) -> None:
    bad, good = "http://127.0.0.1:9", f"{web.url}/ok"
    rows = [f"{'bg'[n % 2]}{n},{(bad, good)[n % 2]}/{n}_red.jpg" for n in range(20)]
    table = _table(tmp_path, "ID,url", *rows)
    options = ["--out", str(tmp_path / "out"), "--channels", "red", "--workers", "1"]
    assert main([table, *options, *FAST]) == 1
    assert len(list((tmp_path / "out").glob("*.png"))) == 10
    messages = [failure["message"] for failure in _report(tmp_path)["failed"]]
    assert not any("not tried" in message for message in messages)


@pytest.mark.parametrize(
    ("place", "message"),
    [
        pytest.param("hpa_mmdet.download.run.save_image", _NO_ROOM, id="while converting"),
        pytest.param("hpa_mmdet.download.limits.Budget.take", _NO_ROOM, id="while receiving"),
    ],
)
def test_no_room_on_the_disk_ends_the_run(
    web: WebServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    place: str,
    message: str,
) -> None:
    def full(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    jpeg("red")  # the server's own picture is made before
    with monkeypatch.context() as patch:
        patch.setattr(place, full)
        assert _run(web, tmp_path, "a,ok,", options=("--channels", "red")) == 2
    assert message in capsys.readouterr().err
    assert list((tmp_path / "out").glob("*.png")) == []
    assert _run(web, tmp_path, "a,ok,", options=("--channels", "red")) == 0


def test_a_dry_run_prints_the_addresses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = _table(tmp_path, "ID,antibody", "7_C5_1,HPA005910", "../x,HPA005910")
    out = tmp_path / "out"
    assert main([table, "--out", str(out), "--channels", "blue", "--dry-run"]) == 1
    printed = capsys.readouterr()
    want = "https://images.proteinatlas.org/5910/7_C5_1_blue.jpg\t7_C5_1_blue\n"
    assert printed.out == want
    assert "'../x'" in printed.err
    assert not out.exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param("xyz", "found xyz, expected 64 hexadecimal digits", id="no list"),
        pytest.param(None, "expected a list of sha256sum; check the path", id="no file"),
    ],
)
def test_a_bad_list_of_checksums(tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "sums"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=message):
        read_checksums(path)


def test_bad_arguments(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none.csv"), "--out", str(tmp_path / "out")]) == 2
    assert "expected a CSV table" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_file_where_the_folder_should_be(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").write_text("")
    table = _table(tmp_path, "ID,antibody", "7_C5_1,HPA005910")
    assert main([table, "--out", str(tmp_path / "out")]) == 2
    assert "out: cannot be written (Not a directory)" in capsys.readouterr().err


def test_without_the_extra(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hpa_mmdet.cli.download_hpa.importlib.util.find_spec", lambda name: None)
    table = _table(tmp_path, "ID,antibody", "7_C5_1,HPA005910")
    assert main([table, "--out", str(tmp_path / "out")]) == 2
    assert "run pip install 'hpa-mmdet[download]'" in capsys.readouterr().err


def test_the_weights_of_subcell_are_fetched_as_they_are(
    web: WebServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hpa_mmdet.download.subcell.BUCKET", web.url)
    served = {}
    for file in subcell.files_of_set("DNA-Protein")[:3]:
        served[file.name] = file.name.encode() * 99
        web.pages[file.url.removeprefix(web.url)] = served[file.name]
    assert (
        main(["--subcell", "DNA-Protein", "--out", str(tmp_path / "weights"), "--rate", "0"]) == 0
    )
    found = {path.name: path.read_bytes() for path in (tmp_path / "weights").glob("*.pth")}
    assert found == served


def test_a_table_or_subcell_not_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--out", str(tmp_path)]) == 2
    assert main(["t.csv", "--subcell", "DNA-Protein", "--out", str(tmp_path)]) == 2
    message = "download_hpa: arguments: are a table of images or --subcell SET; give one of them"
    assert capsys.readouterr().err.count(message) == 2
