"""Strict JSON: what is refused, and in which words; file names stay below their folder."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.json_files import (
    dump_json,
    parse_json,
    read_json,
    read_json_object,
    resolve_below,
    shorten,
)

BOM = b"\xef\xbb\xbf"


@pytest.mark.parametrize(
    ("data", "value"),
    [
        pytest.param(b'{"a": [1, -2.5e3, null, true]}', {"a": [1, -2500.0, None, True]}, id="all"),
        pytest.param(BOM + b"[]", [], id="byte order mark"),
        pytest.param(
            b"[9223372036854775807, -9223372036854775808]", [2**63 - 1, -(2**63)], id="64"
        ),
        pytest.param(b"[1]\n\n\n", [1], id="line breaks at the end"),
        pytest.param('["\u00e9 \\ud83d\\ude00"]'.encode(), ["\u00e9 \U0001f600"], id="pair"),
        pytest.param(b"[" * 200 + b"]" * 200, None, id="nested 200 deep"),
    ],
)
def test_json_is_read(data: bytes, value: object) -> None:
    parsed = parse_json(data, "a.json")
    assert value is None or parsed == value


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(b"[NaN]", "NaN is no number", id="NaN"),
        pytest.param(b"[-Infinity]", "-Infinity is no number", id="infinity"),
        pytest.param(b"[1e999]", "the number 1e999", id="overflow"),
        pytest.param(b"[9223372036854775808]", "a whole number of 19 digits", id="2**63"),
        pytest.param(b"[-9223372036854775809]", "a whole number of 20 digits", id="-2**63-1"),
        pytest.param(b"[" + b"9" * 5000 + b"]", "a whole number of 5000 digits", id="5000 digits"),
        pytest.param(b"[" * 100_000, "values are nested too deeply", id="deep"),
        pytest.param(b'{"a":' * 50_000, "values are nested too deeply", id="deep objects"),
        pytest.param(b'["\\ud800"]', "half a surrogate pair", id="lone surrogate"),
        pytest.param(b'{"a": 1', "not JSON", id="cut"),
        pytest.param(b"", "not JSON", id="empty"),
        pytest.param(b"[1] [2]", "not JSON .Extra data", id="two values"),
        pytest.param("[1]".encode("utf-16"), "found text in UTF-16, expected UTF-8", id="UTF-16"),
        pytest.param("[1]".encode("utf-16-be"), "found text in UTF-16 or UTF-32", id="no mark"),
        pytest.param("[1]".encode("utf-32"), "found text in UTF-32, expected UTF-8", id="UTF-32"),
        pytest.param(b'["\xe9"]', "not UTF-8 text at byte 2", id="Latin-1"),
    ],
)
def test_what_is_not_strict_json_is_named(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=rf"^a\.json: .*{message}"):
        parse_json(data, "a.json")


def test_a_file_is_read_up_to_a_size(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b"[1, 2]")
    assert read_json(path, max_bytes=6) == [1, 2]
    with pytest.raises(
        InputError, match=r"a.json: found 6 bytes, expected at most 5; split it into"
    ):
        read_json(path, max_bytes=5)
    with pytest.raises(InputError, match=r"a.json: found the entry \[1, 2\], expected a JSON obj"):
        read_json_object(path)
    with pytest.raises(InputError, match=r"b.json: cannot be read \(No such file"):
        read_json(tmp_path / "b.json")
    with pytest.raises(InputError, match=r"cannot be read \(Is a directory"):
        read_json(tmp_path)


@pytest.mark.parametrize(
    "name", ["a.png", "b/a.png", "./a.png", "b/../a.png", "a..b.png", "é/..a.png", "a.png#2"]
)
def test_names_below_a_folder_are_given(name: str) -> None:
    assert resolve_below(Path("data"), name, "here") == Path("data") / name


@pytest.mark.parametrize(
    "name",
    [
        "../a.png",
        "b/../../a.png",
        "/etc/a.png",
        "..",
        "b/..\\..\\a.png",
        "\\\\host\\a.png",
        "C:\\a",
    ],
)
def test_names_that_lead_out_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"image 3: file name .* leads out of data; give names"):
        resolve_below(Path("data"), name, "image 3")


@pytest.mark.parametrize("name", ["", None, 3, "a\0b", ["a"]], ids=repr)
def test_what_is_no_file_name_is_refused(name: object) -> None:
    with pytest.raises(InputError, match=r"image 3: found file name .*, expected a file name"):
        resolve_below(Path("data"), name, "image 3")


@pytest.mark.parametrize("name", ["x" * 256, "\u00e9" * 128, "a/" * 501 + "b"], ids=len)
def test_names_that_no_file_system_takes_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"image 3: file name .* is too long; correct it"):
        resolve_below(Path("data"), name, "image 3")


def test_what_is_written_is_json_for_every_reader() -> None:
    value = {"a": np.array([1.5, np.nan]), "b": (np.int64(3), math.inf), "c": np.bool_(True)}
    assert json.loads(dump_json(value)) == {"a": [1.5, None], "b": [3, None], "c": True}


def test_values_are_shown_shortly() -> None:
    assert shorten([1, "b"]) == "[1, 'b']"
    assert len(shorten("x" * 5000)) == 60
    assert shorten("x" * 58) == repr("x" * 58)  # 60 characters
    assert shorten("x" * 59) == "'" + "x" * 56 + "..."
    deep: list[object] = []
    for _ in range(5000):
        deep = [deep]
    assert shorten(deep) == "a value too large to show"
