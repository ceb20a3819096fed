"""Tables of labels: every style in use is read, a bad row is named and spoils only itself."""

import os
from collections import Counter
from pathlib import Path

import pytest

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.label_sets import parse_label_set
from hpa_mmdet.io.label_tables import (
    Columns,
    read_cell_labels,
    read_column,
    read_image_labels,
    read_native_labels,
    scan_cell_labels,
    scan_image_labels,
)
from hpa_mmdet.io.table_rows import _encoding


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_text(text, encoding=encoding)
    return path


@pytest.mark.parametrize(
    ("text", "scheme"),
    [
        pytest.param("ID,Label\na,8|5|0\nb,14\n", "hpa19", id="2021"),
        pytest.param("ID,Label\na,8 5 0\nb,14\n", "hpa19", id="spaces"),
        pytest.param("\ufeffID,Label\r\na,8|5|0\r\nb,14\r\n", "hpa19", id="Excel"),
        pytest.param("ID;Label\na;8,5,0\nb;14\n", "hpa19", id="semicolons"),
        pytest.param("Id,Target\na,11 5 0\nb,23\n", "hpa28", id="2018"),
        pytest.param(
            "Image,Label,Label_idx\nhttps://x.org/1/a_,Nucleoplasm,8|5|0\nhttps://x.org/2/b_,M,14\n",
            "hpa19",
            id="public table by number",
        ),
        pytest.param(
            'Image,Label,Label_idx\nhttps://x.org/1/a_,"nucleoplasm,Nuclear bodies,Intermediate '
            'filaments",\nhttps://x.org/2/b_,Mitochondria,14\n',
            "names",
            id="public table by name",
        ),
        pytest.param(
            "ID\tLabel\na\tNucleoplasm; Nuclear bodies;Intermediate filaments\nb\tMitochondria\n",
            "names",
            id="tabs",
        ),
    ],
)
def test_each_style_gives_the_same_sets(tmp_path: Path, text: str, scheme: str) -> None:
    path = write(tmp_path / "t.csv", text)
    assert read_image_labels(path, scheme) == {"a": (0, 5, 8), "b": (14,)}


def test_columns_of_other_names_are_chosen(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "well,stain,group\nA1,3,x\nA2,4,y\n")
    assert scan_image_labels(path, columns=Columns("well", "stain")).sets == {
        "A1": (3,),
        "A2": (4,),
    }
    assert read_column(path, "group", "well") == {"A1": "x", "A2": "y"}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        pytest.param("b,19", "row 3: found label index 19, expected 0 to 18", id="unknown index"),
        pytest.param("b,x", "row 3: found label 'x', expected a number of scheme hpa19", id="word"),
        pytest.param("b,-1", "row 3: found label '-1'", id="negative"),
        pytest.param("b,1.5", "row 3: found label '1.5'", id="fraction"),
        pytest.param("b,", "row 3: found no label", id="empty"),
        pytest.param("b", "row 3: found no label", id="short row"),
        pytest.param("../x,3", "row 3: found image id '../x'", id="climbing id"),
        pytest.param("a,3", r"row 3: found a again \(first in row 2\)", id="duplicate"),
    ],
)
def test_a_bad_row_is_named_and_spoils_only_its_image(
    tmp_path: Path, row: str, message: str
) -> None:
    path = write(tmp_path / "t.csv", f"ID,Label\na,1\n{row}\nc,2\n")
    with pytest.raises(InputError, match=f"t.csv, {message}"):
        read_image_labels(path)
    table = scan_image_labels(path)
    assert table.sets["c"] == (2,)
    assert list(table.problems) == [row.split(",")[0]]
    assert not table.sets.keys() & table.problems.keys()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(
            b"", "t.csv: found an empty file, expected ID or Id,Label_idx or Label", id="empty"
        ),
        pytest.param(b"name,Label\n", "t.csv: found columns name,Label", id="no id column"),
        pytest.param(b"ID,Label\n\xff\xfe,1\n", "t.csv: found .*utf-8.*UTF-8", id="UTF-16"),
    ],
)
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_image_labels(tmp_path / "t.csv")


@pytest.mark.parametrize(
    ("text", "scheme"),
    [
        pytest.param("ID, Label\na, 8|5|0\n b ,14\n", "hpa19", id="blanks after commas"),
        pytest.param("ID,Label,,\na,8|5|0,,\n,,,\n , ,,\nb,14,,\n\n", "hpa19", id="blank rows"),
        pytest.param('ID,Label\na,"8,5,0"\nb,"14"\n', "hpa19", id="quoted commas"),
        pytest.param('ID,Label\na, "8,5,0"\nb,14', "hpa19", id="a blank before the quote"),
        pytest.param('ID,Label,note\na,8|5|0,"two\nlines"\nb,14,x\n', "hpa19", id="lines in one"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_what_spreadsheets_write_is_read(
    tmp_path: Path, text: str, scheme: str, encoding: str
) -> None:
    path = write(tmp_path / "t.csv", text, encoding)
    assert read_image_labels(path, scheme) == {"a": (0, 5, 8), "b": (14,)}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        pytest.param("b,8,5,0", "row 3: found 4 fields, expected 2 as in the header", id="commas"),
        pytest.param('b,"8', r"row 3: a quote is not closed", id="open quote"),
        pytest.param('b,"8"5', r"row 3: a quote is not closed", id="text behind a quote"),
        pytest.param("b," + "1" * 200_000, "row 3: a quote is not closed, or the row", id="long"),
        pytest.param("b," + "1" * 201, "row 3: found a label of 201 characters", id="201 digits"),
        pytest.param("b," + "1" * 200, "row 3: found label index 111", id="200 digits"),
        pytest.param("b," + "1" * 5_000, "row 3: found a label of 5000 characters", id="digits"),
    ],
)
def test_a_row_that_does_not_fit_its_header_spoils_its_image_alone(
    tmp_path: Path, row: str, message: str
) -> None:
    path = write(tmp_path / "t.csv", f"ID,Label\na,1\n{row}\nc,2\nd,3\n")
    table = scan_image_labels(path)
    assert table.sets == {"a": (1,), "c": (2,), "d": (3,)}
    [problem] = table.problems.values()
    with pytest.raises(InputError, match=f"t.csv, {message}"):
        raise problem
    assert list(table.problems) == ["b"]


def test_semicolons_of_labels_are_not_lost_either(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "ID;Label\na;8;5\nb;14\n")
    table = scan_image_labels(path)
    assert (table.sets, list(table.problems)) == ({"b": (14,)}, ["a"])


def test_a_column_that_stands_twice_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "ID,Label,Label\na,1,2\n")
    with pytest.raises(InputError, match=r"t.csv: found 2 columns Label, expected one; remove"):
        scan_image_labels(path)


def test_ids_meet_whatever_their_accents_are_made_of(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "ID,Label\nze\u0301,1\n\u00fc,2\n")
    table = scan_image_labels(path)
    assert table.sets == {"z\u00e9": (1,), "\u00fc": (2,)}
    assert table.doubts == {
        "id in decomposed Unicode (as macOS writes names), matched in composed form": 1
    }


def test_a_table_of_reviews_takes_later_rows(tmp_path: Path) -> None:
    path = write(
        tmp_path / "t.csv",
        "ID,cell_id,cell_labels,reviewer,time\n"
        "a,2,0|16,anna,2026-11-26T14:20:00Z\na,7,18,anna,2026-11-26T14:20:07Z\n"
        "a,2,5,anna,2026-11-26T14:21:00Z\n",
    )
    table = scan_cell_labels(path)
    assert table.is_review
    assert table.sets == {"a": {2: (5,), 7: (18,)}}
    own = write(tmp_path / "own.csv", "ID,cell_id,cell_labels,reviewer\na,2,0,b\na,2,5,b\n")
    assert scan_cell_labels(own).sets == {"a": {2: (5,)}}
    assert not scan_cell_labels(write(own, "ID,cell_id,cell_labels\na,2,0\n")).is_review


def test_native_classes_of_public_tables(tmp_path: Path) -> None:
    path = write(
        tmp_path / "t.csv",
        "Image,Label,Label_idx\nhttps://x.org/1/a_,Nucleoplasm,23|8\nhttps://x.org/2/b_,M,9\n",
    )
    names, sets = read_native_labels(path, "hpa28")
    assert (len(names), sets) == (28, {"a": (8, 23), "b": (9,)})


def test_no_regular_file_is_no_table(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "t.csv")
    with pytest.raises(InputError, match=r"t.csv: found no regular file, expected a CSV table"):
        scan_image_labels(tmp_path / "t.csv")


def test_a_table_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"t.csv: found no file, expected a CSV table"):
        read_image_labels(tmp_path / "t.csv")
    with pytest.raises(InputError, match="found Is a directory, expected a CSV table"):
        read_image_labels(tmp_path)


def test_cell_labels_go_by_image_and_cell(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", "ID,cell_id,cell_labels\na,2,0|16\na,7,18\nb,1,3\n")
    assert read_cell_labels(path) == {"a": {2: (0, 16), 7: (18,)}, "b": {1: (3,)}}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        pytest.param("b,4294967296,3", "found cell_id '4294967296'.*4294967295", id="33 bits"),
        pytest.param("b,0,3", "row 3: found cell_id '0', expected a whole number > 0", id="zero"),
        pytest.param("b,x,3", "row 3: found cell_id 'x'", id="word"),
        pytest.param("a,2,3", "row 3: found cell 2 of a again", id="twice"),
        pytest.param("b,1,77", "row 3: found label index 77", id="label"),
    ],
)
def test_a_bad_cell_is_named(tmp_path: Path, row: str, message: str) -> None:
    path = write(tmp_path / "t.csv", f"ID,cell_id,cell_labels\na,2,1\n{row}\n")
    with pytest.raises(InputError, match=message):
        read_cell_labels(path)
    assert list(scan_cell_labels(path).problems) == [row[0]]


def test_doubtful_classes_are_counted() -> None:
    doubts: Counter[str] = Counter()
    assert parse_label_set("27 0 8", scheme="hpa28", doubts=doubts) == (0, 16, 17)
    assert list(doubts) == [
        "label 27 counted as Cytosol: rods in the cytosol, unlike the even stain of class 16"
    ]


def test_real_tables_are_read_whole(real_data: Path) -> None:
    contest = read_image_labels(real_data / "hpa_contest/train.csv")
    assert len(contest) == 21_806
    assert contest["5c27f04c-bb99-11e8-b2b9-ac1f6b6435d0"] == (0, 5, 8)
    older = scan_image_labels(real_data / "hpa_2018/train.csv", "hpa28")
    assert len(older.sets) == 31_072
    assert not older.problems
    cells = read_cell_labels(real_data / "hpa_manual/cells.csv")
    assert sum(map(len, cells.values())) == 2_060
    assert read_column(real_data / "hpa_manual/images.csv", "antibody")["205_F11_1"] == "CAB002506"


@pytest.mark.parametrize(
    ("start", "encoding"),
    [
        (b"I\0D\0", "utf-16-le"),
        (b"\0I\0D", "utf-16-be"),
        (b"\xff\xfeI\0", "utf-16"),
        (b"I\0", "utf-8-sig"),
        (b"", "utf-8-sig"),
    ],
)
def test_the_encoding_is_told_by_four_bytes(tmp_path: Path, start: bytes, encoding: str) -> None:
    (tmp_path / "t.csv").write_bytes(start)
    assert _encoding(tmp_path / "t.csv") == encoding
