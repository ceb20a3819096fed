"""The table of reviewers' decisions: what is written is read, and the last word counts."""

import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.decisions import (
    BAD_MASK,
    UNDONE,
    Decision,
    current_decisions,
    parse_decisions,
    read_decisions,
    settle_cell,
)
from hpa_mmdet.io.label_tables import scan_cell_labels

HEADER = "ID,cell_id,cell_labels,reviewer,time\n"
SAID = Decision("a b,c", 7, (0, 16), "", "Anna", "2026-11-26T14:20:00Z")


@given(
    cell_id=st.integers(1, 2**31 - 1),
    labels=st.sets(st.integers(0, 18), min_size=1),
    image_id=st.from_regex(r"[\w.,;'\" -]*\w", fullmatch=True).map(
        lambda text: unicodedata.normalize("NFC", text.strip())
    ),
)
def test_rows_are_read_as_they_were_written(cell_id: int, labels: set[int], image_id: str) -> None:
    said = Decision(image_id, cell_id, tuple(sorted(labels)), "", "Ben 2", "2026")
    assert parse_decisions([said.line()], "t") == [said]


def test_last_word_of_each_reviewer_counts() -> None:
    other = SAID._replace(reviewer="Ben", labels=(5,))
    rows = [SAID, other, SAID._replace(labels=(3,)), other._replace(labels=(), word=UNDONE)]
    current = current_decisions(rows)
    assert {name: said.labels for name, said in current[SAID.key].items()} == {"Anna": (3,)}
    assert current_decisions([SAID, SAID._replace(word=UNDONE, labels=())]) == {}


@pytest.mark.parametrize(
    ("said", "settled"),
    [
        ([(0, 5)], (0, 5)),
        ([(0, 5), (0,)], (0,)),
        ([(0,), (5,)], ""),
        ([(0, 5), (5,), (7,)], (5,)),
        ([(), (5,)], ""),
        ([(), (), (5,)], BAD_MASK),
    ],
    ids=["one", "shared label", "nothing shared", "two of three", "tie with bad", "mostly bad"],
)
def test_reviewers_settle_by_majority(
    said: list[tuple[int, ...]], settled: tuple[int, ...] | str
) -> None:
    decisions = [
        SAID._replace(labels=labels, word="" if labels else BAD_MASK, reviewer=str(number))
        for number, labels in enumerate(said)
    ]
    assert settle_cell(decisions) == settled


def test_line_that_a_crash_has_cut_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "cells.csv"
    path.write_text(HEADER + SAID.line() + "a,9,5,An", encoding="utf-8")
    assert read_decisions(path) == [SAID]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ID,cell_id,cell_labels\na,1,2\n", "has not the columns ID,cell_id,cell_labels,reviewer"),
        (HEADER + "a,1,2\n", "row 2: has 3 values in place of 5"),
        (HEADER + "a,1,2,b,c\na,0,2,b,c\n", "row 3: found cell_id '0'"),
        (HEADER + "a,1,19,b,c\n", "label index 19"),
        (HEADER + "../a,1,2,b,c\n", "image id '../a'"),
    ],
    ids=["columns", "values", "cell", "label", "path"],
)
def test_other_tables_are_refused(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "cells.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=said):
        read_decisions(path)


def test_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_decisions(tmp_path / "cells.csv")


def test_conversion_takes_what_reviewers_agree_on(tmp_path: Path) -> None:
    path = tmp_path / "cells.csv"
    rows = [
        SAID,  # taken back below
        SAID._replace(cell_id=8, labels=(5,)),
        SAID._replace(cell_id=8, labels=(2, 5)),  # a change of mind
        SAID._replace(cell_id=9, word=BAD_MASK, labels=()),
        SAID._replace(cell_id=10, labels=(1,)),
        SAID._replace(cell_id=10, labels=(2,), reviewer="Ben"),
        SAID._replace(word=UNDONE, labels=()),
    ]
    path.write_text(HEADER + "".join(row.line() for row in rows), encoding="utf-8")
    table = scan_cell_labels(path)
    assert table.sets == {"a b,c": {8: (2, 5)}}
    assert table.problems == {}
    assert table.bad_masks == {"a b,c": {9}}
    assert dict(table.doubts) == {
        "cells left out: their outline was marked as bad": 1,
        "cells without a set: their reviewers disagree": 1,
    }
