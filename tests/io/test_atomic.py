"""Files appear whole or not at all, and a full disk is said."""

import errno
import os
import resource
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hpa_mmdet.errors import InputError
from hpa_mmdet.io import atomic
from hpa_mmdet.io.atomic import atomic_path, remove_temporary_files, save_image


def write_half(path: Path, error: Exception) -> None:
    with atomic_path(path) as temporary:
        temporary.write_text("half")
        raise error


def test_a_failed_write_leaves_the_older_file(tmp_path: Path) -> None:
    out = tmp_path / "new folder" / "a.txt"
    with atomic_path(out) as temporary:
        temporary.write_text("old")
    with pytest.raises(ZeroDivisionError):
        write_half(out, ZeroDivisionError())
    assert out.read_text() == "old"
    assert [path.name for path in out.parent.iterdir()] == ["a.txt"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path, number: int) -> None:
    out = tmp_path / "a.json"
    with pytest.raises(InputError, match=r"a.json: found a full disk.*free space and run the same"):
        write_half(out, OSError(number, "as a write on a full disk raises"))
    assert not list(tmp_path.iterdir())


def test_other_errors_of_the_system_are_left_alone(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "a.json"):
        (tmp_path / "another file").read_text()


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(
            InputError, match=r"a.txt: cannot be written .File exists.; choose another path"
        ),
        atomic_path(tmp_path / "file" / "a.txt"),
    ):
        pass
    (tmp_path / "folder").mkdir()
    with (
        pytest.raises(InputError, match=r"folder: cannot be written .Is a directory"),
        atomic_path(tmp_path / "folder") as temporary,
    ):
        temporary.write_text("x")


def test_an_array_that_does_not_fit_is_a_full_disk(tmp_path: Path) -> None:
    out = tmp_path / "a.npy"
    with pytest.raises(InputError, match=r"a.npy: found a full disk"):
        write_half(out, OSError("5280 requested and 872 written"))  # as numpy says it
    assert not list(tmp_path.iterdir())


def test_a_name_may_have_255_bytes(tmp_path: Path) -> None:
    out = tmp_path / ("é" * 125 + ".txt")
    with atomic_path(out) as temporary:
        temporary.write_text("whole")
    assert out.read_text() == "whole"
    with (
        pytest.raises(InputError, match=r"txt: has too long a name; use a shorter image id"),
        atomic_path(tmp_path / ("é" * 126 + ".txt")) as temporary,
    ):
        temporary.write_text("whole")
    assert len(list(tmp_path.iterdir())) == 1


def test_only_old_temporary_files_of_ours_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [".0123456789abcdef.tmp.npy", ".0123456789abcdef.tmp", ".notes.tmp", "a.tmp.npy"]
    for name in names:
        (tmp_path / name).touch()
    os.utime(tmp_path / names[0], (0, 1000))
    os.utime(tmp_path / names[1], (0, 1001))
    monkeypatch.setattr(atomic.time, "time", lambda: 4600.0)
    assert remove_temporary_files(tmp_path, 3601) == 0
    assert remove_temporary_files(tmp_path, 3600) == 1
    assert not (tmp_path / names[0]).exists()
    assert remove_temporary_files(tmp_path) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names[2:])


@pytest.mark.parametrize("step", ["stat", "unlink"])
def test_a_temporary_file_may_be_gone_at_any_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    (tmp_path / ".0123456789abcdef.tmp").touch()
    (tmp_path / ".fedcba9876543210.tmp").touch()
    original, unlink, gone = getattr(Path, step), Path.unlink, []

    def at_the_last_moment(path: Path, **options: object) -> object:
        if path.name.startswith(".0") and not gone:
            gone.append(path)
            unlink(path)
        return original(path, **options)

    monkeypatch.setattr(Path, step, at_the_last_moment)
    assert remove_temporary_files(tmp_path) == 1
    assert gone
    assert not list(tmp_path.iterdir())


def test_an_image_that_a_full_disk_cuts_off_gets_no_name(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (60, 90, 3), np.uint8)
    image, out = Image.fromarray(pixels), tmp_path / "a.jpg"
    save_image(image, tmp_path / "whole.jpg", quality=85)
    size = (tmp_path / "whole.jpg").stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size - 5, hard))  # Pillow would not notice
    try:
        with (
            pytest.raises(InputError, match=r"a.jpg: found a full disk"),
            atomic_path(out) as temporary,
        ):
            save_image(image, temporary, quality=85)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not out.exists()


@pytest.mark.parametrize(
    "error",
    [OSError("a decoder's own error"), OSError(errno.EIO, "5 requested and 3 written")],
    ids=["no number", "another number"],
)
def test_only_numpys_short_write_is_taken_for_a_full_disk(tmp_path: Path, error: OSError) -> None:
    with pytest.raises(OSError, match=r"own error|requested and") as raised:
        write_half(tmp_path / "a.npy", error)
    assert raised.value is error
