"""Label sets and cell ids as tables write them."""

from collections import Counter

import pytest

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.label_sets import is_cell_id, parse_label_set


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("1", True),
        ("4294967295", True),  # of a label image of 32 bits
        ("4294967296", False),
        ("0", False),
        ("0000000012", True),
        ("00000000012", False),  # longer than any id
        ("", False),
        ("-3", False),
        ("1.0", False),
        ("\uff11", False),  # a digit, but not of ASCII
    ],
)
def test_a_cell_id_is_a_whole_number_of_32_bits(text: str, is_one: bool) -> None:
    assert is_cell_id(text) is is_one


@pytest.mark.parametrize("text", ["8|5|0", "0;5;8", "5, 8,0", " 8 5 0 ", "8|8|5|0"])
def test_numbers_are_separated_by_bars_semicolons_commas_or_spaces(text: str) -> None:
    assert parse_label_set(text) == (0, 5, 8)


def test_names_may_hold_spaces() -> None:
    assert parse_label_set("Cytosol;Golgi apparatus", scheme="names") == (7, 16)
    with pytest.raises(InputError, match="row 3: found no label, expected at least one"):
        parse_label_set(" | ", "row 3")


def test_doubtful_labels_are_counted_where_that_is_wanted() -> None:
    doubts: Counter[str] = Counter()
    assert parse_label_set("27|15|25", scheme="hpa28", doubts=doubts) == (10, 16)
    parse_label_set("27", scheme="hpa28", doubts=doubts)
    assert sorted(doubts.values()) == [1, 2]  # rods and rings twice, microtubule ends once
    assert all(text.startswith("label ") for text in doubts)
    assert parse_label_set("27", scheme="hpa28") == (16,)


def test_a_label_of_more_than_200_characters_is_told_by_its_length_and_not_repeated() -> None:
    with pytest.raises(InputError, match="a label of 201 characters") as refused:
        parse_label_set("x" * 201)
    assert "xxx" not in str(refused.value)
