"""Hostile submissions: an `InputError` or rows whose masks are whole, and soon."""

import base64
import zlib
from contextlib import suppress
from pathlib import Path

import pytest
from coco_bytes import UNTIL_SPENT, Budget, byte_faults
from hypothesis import given
from hypothesis import strategies as st

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.submission import SubmissionRow, encode_mask, read_submission, write_submission
from hpa_mmdet.masks.rle import measure_counts

HEADER = b"ID,ImageWidth,ImageHeight,PredictionString\n"
GOOD = encode_mask("d36d3")  # 20 x 12 pixels
WORDS = st.sampled_from(
    ["0", "18", "19", "-1", "1", "0.5", "nan", "1e400", "\u0661", "", " ", GOOD, GOOD[:-3], "====",
     "x", "9" * 400, encode_mask("0"), encode_mask("PPPP4"), encode_mask("~"), "\u00e9"]
)  # fmt: skip
SIDES = st.sampled_from(["20", "12", "0", "-1", "20.0", "9" * 30, "", "65536", "\u0662"])
IDS = st.sampled_from(["a", "b", "", '"', "e\u0301", "a,b", "a\nb", "x" * 300])
KEPT = [
    HEADER + b"a,20,12," + f"0 1 {GOOD}\n\n".encode(),
    HEADER + b'a,20,12,"0 1',
    HEADER + b"a," + b"9" * 5000 + b",12,\n",
    b"\xff\xfe" + HEADER,
    HEADER + b"a,20,12,0 1 " + base64.b64encode(zlib.compress(b"0" * 2**26)) + b"\n",
]


@st.composite
def submissions(draw: st.DrawFn) -> bytes:
    """A submission of some rows, each right or wrong in any of its words."""
    text = HEADER
    for _ in range(draw(st.integers(0, 3))):
        good = draw(st.booleans())
        words = (
            f"0 1 {GOOD} 16 0.25 {GOOD}" if good else " ".join(draw(st.lists(WORDS, max_size=7)))
        )
        width, height = ("20", "12") if good else (draw(SIDES), draw(SIDES))
        fields = [draw(IDS), width, height, words]
        if draw(st.booleans()):
            fields = [f'"{field}"' for field in fields]
        text += ",".join(fields).encode() + draw(st.sampled_from([b"\n", b"\r\n", b"\n\n", b""]))
    return draw(byte_faults(text))


def read_all(data: bytes, folder: Path) -> None:
    """Read a file; what was read can be written, and reads back the same."""
    path = folder / "s.csv"
    path.write_bytes(data)
    rows: list[SubmissionRow] = []
    with suppress(InputError):
        rows.extend(read_submission(path))
    for row in rows:
        masks = row.masks()
        sizes = measure_counts(list(masks.values()))
        assert sizes is not None
        assert (sizes.pixels == row.width * row.height).all()
        assert (sizes.areas > 0).all()
        assert {text for _, _, text in row.predictions} == set(masks)
    write_submission(folder / "again.csv", rows)
    again = list(read_submission(folder / "again.csv"))
    assert [(row.image_id, row.width, row.height) for row in again] == [
        (row.image_id, row.width, row.height) for row in rows
    ]


@pytest.mark.parametrize("data", KEPT, ids=range(len(KEPT)))
def test_what_once_broke_the_reader(data: bytes, tmp_path: Path) -> None:
    read_all(data, tmp_path)


def test_hostile_submissions_are_refused_or_read(tmp_path: Path) -> None:
    budget = Budget()

    @UNTIL_SPENT
    @given(submissions())
    def try_one(data: bytes) -> None:
        with budget.one_input(data):
            read_all(data, tmp_path)

    budget.spend(try_one)
