"""Options of segmenters: from the fields of their dataclasses, and back."""

import argparse
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from hpa_mmdet.errors import InputError
from hpa_mmdet.segment.method_options import (
    add_options,
    build_method,
    counted_values,
    input_folders,
    option,
    options_of,
)


@dataclass(frozen=True)
class Grid:
    step: int = field(default=3, metadata=option("--step", "pixels"))


@dataclass(frozen=True)
class First:
    weights: Path = field(metadata=option("--weights", "a file", counts=False))
    grid: Grid = Grid()
    fast: bool = field(default=False, metadata=option("--fast", "be quick"))
    plain: str = "no option"


@dataclass(frozen=True)
class Second:
    grid: Grid = Grid()
    scale: float | None = field(default=None, metadata=option("--scale", "a factor"))


METHODS = {"first": First, "second": Second}


def test_fields_are_options_those_of_inner_dataclasses_too() -> None:
    assert [(choice.flag, choice.type) for choice in options_of(First)] == [
        ("--weights", Path),
        ("--step", int),
        ("--fast", bool),
    ]
    assert [choice.type for choice in options_of(Second)] == [int, float]


def test_help_names_the_methods_and_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser()
    add_options(parser.add_argument_group("methods"), METHODS)
    text = " ".join(parser.format_help().split())
    assert "--step STEP first, second: pixels (default: 3)" in text
    assert "--fast first: be quick" in text
    assert "--scale SCALE second: a factor" in text
    assert vars(parser.parse_args([])) == {}
    assert vars(parser.parse_args(["--fast", "--step", "4"])) == {"fast": True, "step": 4}


def test_what_is_given_builds_the_method() -> None:
    given = {"--weights": Path("w"), "--step": 5}
    built = build_method("first", METHODS, given)
    assert built == First(Path("w"), Grid(5))
    assert counted_values(built) == [("grid", Grid(5)), ("fast", False), ("plain", "no option")]
    assert input_folders(built) == [Path("w")]
    assert build_method("second", METHODS, {}) == Second()


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        ("first", {}, "--method first: needs --weights; give --weights PATH"),
        ("second", {"--fast": True}, "--fast: belongs to --method first, not to second; drop one"),
        ("second", {"--other": 1, "--fast": True}, "--fast: belongs to --method first"),
    ],
)
def test_what_does_not_fit_is_said(name: str, given: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        build_method(name, METHODS, given)
