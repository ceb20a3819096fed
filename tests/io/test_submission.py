"""Submissions: the contest's own rows, round trips, and each way a file can be wrong."""

import base64
import csv
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.submission import (
    SubmissionRow,
    decode_mask,
    encode_mask,
    read_submission,
    write_submission,
)
from hpa_mmdet.masks.rle import decode_counts

SHAPE_HW = (23, 40)
HEADER = "ID,ImageWidth,ImageHeight,PredictionString\n"


def random_mask(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    mask = np.zeros(SHAPE_HW, np.uint8)
    for _ in range(3):
        y, x = rng.integers(SHAPE_HW)
        mask[y : y + 9, x : x + 14] = 1
    mask[0, 0] = seed % 2  # a mask may begin in the first pixel
    return mask


def counts_of(mask: np.ndarray) -> bytes:
    return coco_mask.encode(np.asfortranarray(mask))["counts"]


def decoded_independently(text: str, shape_hw: tuple[int, int]) -> np.ndarray:
    counts = zlib.decompress(base64.b64decode(text))
    return coco_mask.decode({"size": list(shape_hw), "counts": counts})


@pytest.mark.parametrize("seed", range(6))
def test_run_lengths_equal_the_mask(seed: int) -> None:
    mask = random_mask(seed)
    (runs,) = decode_counts([counts_of(mask)])
    values = np.arange(len(runs)) % 2
    assert np.array_equal(np.repeat(values, runs), mask.ravel(order="F"))


def test_run_lengths_of_many_strings_are_kept_apart() -> None:
    masks = [random_mask(seed) for seed in range(5)] + [np.zeros(SHAPE_HW, np.uint8)]
    together = decode_counts([counts_of(mask) for mask in masks])
    for mask, runs in zip(masks, together, strict=True):
        assert runs[1::2].sum() == mask.sum()
        assert runs.sum() == mask.size
    assert decode_counts([]) == []


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"PPPPP", id="asks for more"),
        pytest.param(b"a text", id="foreign character"),
        pytest.param(b"M", id="negative run"),
        pytest.param(b"PPPPPPPPP1", id="too long a number"),
    ],
)
def test_what_is_not_run_lengths_is_seen(text: bytes) -> None:
    assert decode_counts([b"PPPP4", text]) is None


def test_the_contests_blank_masks() -> None:
    # as in the contest's sample submission, for 2048, 3072 and 1728 pixels
    for side, text in ((2048, "eNoLCAgIMAEABJkBdQ=="), (3072, "eNoLCAgIsAQABJ4Beg==")):
        counts = coco_mask.frPyObjects({"size": [side, side], "counts": [side * side]}, side, side)
        assert encode_mask(counts["counts"]) == text
        assert encode_mask(counts["counts"].decode()) == text
        assert decode_mask(text) == counts["counts"]


def test_a_written_file_reads_back(tmp_path: Path) -> None:
    masks = [random_mask(seed) for seed in range(4)]
    texts = [encode_mask(counts_of(mask)) for mask in masks]
    rows = [
        SubmissionRow("a", 40, 23, [(0, 0.25, texts[0]), (18, 1.0, texts[0]), (7, 0.0, texts[1])]),
        SubmissionRow("none", 40, 23, []),
        SubmissionRow("b", 40, 23, [(3, 0.125, texts[2]), (3, 0.5, texts[3])]),
    ]
    path = tmp_path / "deeper" / "submission.csv"
    assert write_submission(path, iter(rows)) == 3
    assert list(read_submission(path)) == rows

    read = next(iter(read_submission(path)))
    for text, mask in zip(texts[:2], masks[:2], strict=True):
        assert np.array_equal(decoded_independently(text, SHAPE_HW), mask)
        assert read.masks()[text] == counts_of(mask)
    assert read.masks() is read.masks()


def test_the_form_is_the_contests(tmp_path: Path) -> None:
    path = tmp_path / "submission.csv"
    text = encode_mask(counts_of(random_mask(0)))
    rows = [
        SubmissionRow("a", 40, 23, [(14, 0.123456789, text)]),
        SubmissionRow("empty", 2048, 2048, []),
    ]
    write_submission(path, rows)
    assert path.read_text() == (
        f"{HEADER}a,40,23,14 0.12345679 {text}\nempty,2048,2048,0 1 eNoLCAgIMAEABJkBdQ==\n"
    )


def test_the_contests_sample_reads_back(real_data: Path, tmp_path: Path) -> None:
    sample = real_data / "hpa_contest" / "sample_submission.csv"
    rows = list(read_submission(sample))
    assert len(rows) == 559
    assert not any(row.predictions for row in rows)
    write_submission(tmp_path / "again.csv", rows)
    assert (tmp_path / "again.csv").read_text() == sample.read_text().replace("\r\n", "\n")


def test_a_row_longer_than_the_csv_modules_limit_reads_back(tmp_path: Path) -> None:
    limit = csv.field_size_limit(131072)
    text = encode_mask(counts_of(random_mask(1)))
    row = SubmissionRow("a", 40, 23, [(3, 0.5, text)] * 4000)
    try:
        write_submission(tmp_path / "long.csv", [row])
        assert len((tmp_path / "long.csv").read_text()) > 131072
        assert list(read_submission(tmp_path / "long.csv")) == [row]
    finally:
        csv.field_size_limit(limit)


def test_blank_masks_and_empty_strings_are_no_predictions(tmp_path: Path) -> None:
    blank = encode_mask(counts_of(np.zeros(SHAPE_HW, np.uint8)))
    text = encode_mask(counts_of(random_mask(2)))
    path = tmp_path / "submission.csv"
    path.write_text(f"{HEADER}a,40,23,0 1 {blank} 5 0.5 {text}\nb,40,23,\n")
    first, second = read_submission(path)
    assert first.predictions == [(5, 0.5, text)]
    assert list(first.masks()) == [text]
    assert second.predictions == []


GOOD = encode_mask(counts_of(random_mask(0)))
NOT_ZLIB = base64.b64encode(b"plain").decode()
CUT = base64.b64encode(zlib.compress(counts_of(random_mask(0)))[:-5]).decode()
NOT_RUNS = base64.b64encode(zlib.compress(b"~~ not runs")).decode()
SMALL = encode_mask(counts_of(np.ones((2, 3), np.uint8)))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        pytest.param("a,40,23,0 1 @@@", r"row 2 \(a\): a mask is not base64", id="base64"),
        pytest.param(f"a,40,23,0 1 {NOT_ZLIB}", "not zlib data", id="zlib"),
        pytest.param(f"a,40,23,0 1 {CUT}", "zlib data is cut off", id="cut"),
        pytest.param(f"a,40,23,0 1 {NOT_RUNS}", "the mask's run lengths are damaged", id="runs"),
        pytest.param(f"a,40,23,0 1 {SMALL}", r"of 6 pixels, expected 920 \(40x23\)", id="size"),
        pytest.param(f"a,40,23,19 1 {GOOD}", "class '19', expected 0 to 18", id="class high"),
        pytest.param(f"a,40,23,-1 1 {GOOD}", "class '-1', expected 0 to 18", id="class low"),
        pytest.param(f"a,40,23,x 1 {GOOD}", "class 'x', expected 0 to 18", id="class word"),
        pytest.param(f"a,40,23,0 nan {GOOD}", "confidence 'nan', expected 0 to 1", id="NaN"),
        pytest.param(f"a,40,23,0 1.01 {GOOD}", "confidence '1.01', expected 0 to 1", id="above"),
        pytest.param(f"a,40,23,0 -0.1 {GOOD}", "confidence '-0.1'", id="below"),
        pytest.param(f"a,40,23,0 high {GOOD}", "confidence 'high'", id="no number"),
        pytest.param(f"a,40,23,0 1 {GOOD} 3", "4 words, expected triples", id="words"),
        pytest.param(f"a,40,23,018 1 {GOOD}", "class '018', expected 0 to 18", id="class of 3"),
        pytest.param(f"a,{'0' * 9}40,23,", "size '00000000040', expected whole", id="11 digits"),
        pytest.param("a,46341,46341,", "46341x46341 pixels, expected up to 21474", id="too large"),
        pytest.param(f"a,0,23,0 1 {GOOD}", "size '0', expected whole pixels", id="zero width"),
        pytest.param(f"a,40,2.5,0 1 {GOOD}", "size '2.5'", id="broken height"),
        pytest.param("a,40,23", "3 fields, expected 4", id="fields"),
        pytest.param("a,40,23,\na,40,23,", "row 3.*found a again, expected one row", id="twice"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, row: str, message: str) -> None:
    path = tmp_path / "submission.csv"
    path.write_text(HEADER + row + "\n")
    with pytest.raises(InputError, match=message):
        list(read_submission(path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param(
            b"Id,Target\n", "found columns Id,Target, expected ID,ImageWidth", id="columns"
        ),
        pytest.param(b"", "found columns , expected ID", id="empty"),
        pytest.param(b"\xff\xfe\x00bad", "not a CSV table", id="binary"),
    ],
)
def test_a_file_that_is_no_submission(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "submission.csv"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        list(read_submission(path))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.csv.*cannot be read"):
        list(read_submission(tmp_path / "none.csv"))


@pytest.mark.parametrize(
    ("predictions", "message"),
    [
        pytest.param([(19, 0.5, GOOD)], "image a: found class 19", id="class"),
        pytest.param([(0, float("nan"), GOOD)], "image a: found confidence nan", id="NaN"),
        pytest.param([(0, 1.5, GOOD)], r"found confidence 1\.5, expected 0 to 1", id="above 1"),
    ],
)
def test_nothing_wrong_is_written(tmp_path: Path, predictions: list, message: str) -> None:
    path = tmp_path / "submission.csv"
    path.write_text("older")
    with pytest.raises(InputError, match=message):
        write_submission(path, [SubmissionRow("a", 40, 23, predictions)])
    assert path.read_text() == "older"
    assert list(tmp_path.iterdir()) == [path]


def test_an_image_is_written_once(tmp_path: Path) -> None:
    rows = [SubmissionRow("a", 40, 23, [])] * 2
    with pytest.raises(InputError, match="image a: found a second row"):
        write_submission(tmp_path / "submission.csv", rows)


def test_empty_lines_and_rows_of_separators_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_bytes(b"\xef\xbb\xbf" + f"{HEADER}a,40,23,0 1 {GOOD}\n\n,,,\nb,40,23,\n\n".encode())
    assert [row.image_id for row in read_submission(path)] == ["a", "b"]


def packed_zeros(count: int) -> str:
    """A mask of `count` runs of no pixels and one of all: a small text that unpacks large."""
    counts = (
        b"0" * count + coco_mask.frPyObjects({"size": [23, 40], "counts": [920]}, 23, 40)["counts"]
    )
    return base64.b64encode(zlib.compress(counts)).decode()


def test_masks_that_unpack_to_too_much_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    path.write_text(f"{HEADER}a,40,23,0 1 {packed_zeros(64 * 2**20)}\n")
    with pytest.raises(InputError, match=r"row 2 \(a\): the masks unpack to too many bytes; give"):
        list(read_submission(path))
    many = " ".join(f"0 1 {packed_zeros(2**22 - 4 - number)}" for number in range(20))
    path.write_text(f"{HEADER}a,40,23,{many}\n")
    with pytest.raises(InputError, match=r"row 2 \(a\): the masks unpack to too many bytes; give"):
        list(read_submission(path))


def test_reading_a_bomb_takes_little_memory(tmp_path: Path) -> None:
    texts = [packed_zeros(2**22 - 5 - 2 * number) for number in range(12)]  # 48 MiB of counts
    path = tmp_path / "s.csv"
    path.write_text(HEADER + "a,40,23," + " ".join(f"0 1 {text}" for text in texts) + "\n")
    tracemalloc.start()
    (row,) = read_submission(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(row.masks()) == 12
    assert peak < 350 * 2**20


@pytest.mark.parametrize(
    ("row", "message"),
    [
        pytest.param(f"a,\u0664\u0660,23,0 1 {GOOD}", "size '\u0664\u0660'", id="other digits"),
        pytest.param(f"a,{'9' * 5000},23,", "size '9999", id="5000 digits"),
        pytest.param("a,65536,65536,", "found 65536x65536 pixels, expected up to", id="too large"),
        pytest.param(f"a,40,23,\u0661 1 {GOOD}", "class '\u0661'", id="other digit of a class"),
        pytest.param(f"a,40,23,{'0' * 5000}1 1 {GOOD}", "class '0000", id="long class"),
        pytest.param("a,40,23,0 1 \u00e9\u00e9\u00e9=", "a mask is not base64", id="not ASCII"),
    ],
)
def test_numbers_are_plain_and_bounded(tmp_path: Path, row: str, message: str) -> None:
    path = tmp_path / "s.csv"
    path.write_text(f"{HEADER}{row}\n", encoding="utf-8")
    with pytest.raises(InputError, match=message):
        list(read_submission(path))
