"""Templates and ids: what fits, and what would lead astray."""

import os
from pathlib import Path

import pytest

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.naming import Template, check_image_id, parse_channels, split_plane


@pytest.mark.parametrize(
    ("pattern", "name", "fit"),
    [
        pytest.param("{id}_{channel}.png", "a_b_red.png", ("a_b", "red"), id="id with a bar"),
        pytest.param("{id}_{channel}.png", "a_pink.png", None, id="no such channel"),
        pytest.param("{id}_{channel}.png", "a_red.pngx", None, id="longer name"),
        pytest.param("{id}.ome.tif", "a.b.ome.tif", ("a.b", ""), id="no channel"),
        pytest.param("p*/{id}-{channel}.tif", "p7/a-red.tif", ("a", "red"), id="folder"),
        pytest.param("{id}+{channel}.tif", "a+red.tif", ("a", "red"), id="special character"),
        pytest.param("{channel}/{id}.tif", "red/a.tif", ("a", "red"), id="a folder a channel"),
    ],
)
def test_names_fit_or_do_not(pattern: str, name: str, fit: tuple[str, str] | None) -> None:
    template = Template(pattern, {"red": "red", "green": "green"})
    assert template.match(name) == fit
    if fit and "*" not in pattern:
        assert template.format(*fit) == name


@pytest.mark.parametrize("pattern", ["{channel}.png", "{id}{id}.png", "{id}_{well}.png", "a.png"])
def test_a_pattern_needs_its_fields(pattern: str) -> None:
    with pytest.raises(InputError, match=r"expected \{id\} once and \{channel\} at most once"):
        Template(pattern, {})


@pytest.mark.parametrize("pattern", ["../{id}.png", "/data/{id}.png", "a/../../{id}.png"])
def test_a_pattern_stays_in_its_folder(pattern: str) -> None:
    with pytest.raises(InputError, match="found a way out of the folder"):
        Template(pattern, {})


def test_a_folder_that_cannot_be_listed_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(InputError, match="found a file, expected a folder"):
        list(Template("{id}.png", {}).find(tmp_path / "a"))
    with pytest.raises(InputError, match="nowhere: found No such file or directory"):
        list(Template("{id}.png", {}).find(tmp_path / "nowhere"))


@pytest.mark.parametrize("words", [[], ["_"], ["red", "red"], ["red=w1", "green=w1"]])
def test_channels_and_words_are_named_once(words: list[str]) -> None:
    with pytest.raises(
        InputError, match=r"--channels: found .*expected each channel and word once"
    ):
        parse_channels(words)


@pytest.mark.parametrize(
    "text", ["../x", "a/b", "..", "", "  ", "a\x00b", "C:\\x", "a\nb", "x" * 300, "http://h/../"]
)
def test_an_id_that_leaves_its_folder_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"row 7: found image id .*a file name without folders"):
        check_image_id(text, "row 7")


def test_a_file_whose_name_ends_like_a_plane_is_itself(tmp_path: Path) -> None:
    (tmp_path / "well#3").touch()
    assert split_plane(tmp_path / "well#3") == (tmp_path / "well#3", None)
    assert split_plane(tmp_path / "a.tif#3") == (tmp_path / "a.tif", 3)


@pytest.mark.parametrize("name", ["a_red.PNG", "a_red.Png"])
def test_the_ending_counts_in_upper_case_too(name: str) -> None:
    assert Template("{id}_{channel}.png", {"red": "red"}).match(name) == ("a", "red")
    assert Template("{id}_{channel}.png", {"red": "red"}).match("a_RED.png") is None
    assert Template("{id}.d/*.png", {}).match("a.D/x.png") is None


def test_names_in_decomposed_unicode_give_composed_ids(tmp_path: Path) -> None:
    (tmp_path / "ze\u0301.png").touch()
    [found] = Template("{id}.png", {}).find(tmp_path)
    assert (found.image_id, found.problem) == ("z\u00e9", None)
    assert found.path.exists()
    assert check_image_id("ze\u0301", "row 2") == "z\u00e9"


def test_names_that_no_output_can_have_are_problems(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"z\xe9.png")).touch()
    (tmp_path / ("\u00fc" * 101 + ".png")).touch()
    latin, long = sorted(Template("{id}.png", {}).find(tmp_path), key=lambda file: file.image_id)
    assert latin.image_id == "z\\xe9"
    with pytest.raises(InputError, match=r"z\\xe9.png: has a file name that is not UTF-8"):
        raise latin.problem or AssertionError
    with pytest.raises(InputError, match="found an id of 202 bytes, expected at most 200"):
        raise long.problem or AssertionError


def test_what_only_looks_like_an_address_is_refused() -> None:
    with pytest.raises(InputError, match="found image id"):
        check_image_id("http://[1/x", "row 2")


def test_a_bar_in_a_folders_name_is_no_plane(tmp_path: Path) -> None:
    assert split_plane(tmp_path / "plate#7" / "a.tif") == (tmp_path / "plate#7" / "a.tif", None)
    assert split_plane(tmp_path / "plate#7" / "a.tif#2") == (tmp_path / "plate#7" / "a.tif", 2)


def test_an_id_may_have_200_bytes() -> None:
    assert check_image_id("é" * 100, "row 2") == "é" * 100
    with pytest.raises(InputError, match="image id"):
        check_image_id("é" * 100 + "a", "row 2")


def test_a_word_for_a_channel_may_hold_an_equals_sign() -> None:
    assert parse_channels(["red=w=2", "green"]) == {"red": "w=2", "green": "green"}
