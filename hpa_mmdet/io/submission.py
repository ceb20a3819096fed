"""The contest's submission: one row per image, `class confidence mask` triples in each.

    ID,ImageWidth,ImageHeight,PredictionString
    0040581b-...,2048,2048,14 0.92000000 eNo... 16 0.31000000 eNo...

A mask is base64(zlib(COCO run-length counts)) of the whole image. A cell of several
classes has one triple for each, with the same mask. The contest wants a row for every
image; one without cells has the row of its sample submission, `0 1 <mask without pixels>`,
which its evaluator drops before matching: it costs nothing.

Source: Human Protein Atlas - Single Cell Classification (Kaggle, 2021), "Submission File",
and its sample_submission.csv.
"""

import base64
import binascii
import csv
import math
import unicodedata
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.atomic import atomic_path
from hpa_mmdet.localizations import NUM_LOCALIZATIONS
from hpa_mmdet.masks.rle import MAX_CHARACTERS, MOST_PIXELS_OF_RUNS, as_bytes, check_counts
from hpa_mmdet.masks.runs import MaskRuns

SUBMISSION_COLUMNS = ("ID", "ImageWidth", "ImageHeight", "PredictionString")
Prediction = tuple[int, float, str]
_LAST_CLASS = NUM_LOCALIZATIONS - 1

# a row of a crowded image holds some MB in one field; the csv module stops at 128 KiB
_FIELD_LIMIT = 2**31 - 1
# of all masks of a row, unpacked: zlib packs up to thousandfold, so a small file may be a bomb
_MAX_ROW_BYTES = 64 * 2**20
_WRITE_AGAIN = "write the file again"


@dataclass
class SubmissionRow:
    """One image of a submission.

    Args:
        image_id: the image's ID.
        width: in pixels.
        height: in pixels.
        predictions: (hpa_index, confidence in [0, 1], encoded mask) each, in file order.
        where: what an error names.
    """

    image_id: str
    width: int
    height: int
    predictions: list[Prediction]
    where: str = field(default="submission", repr=False, compare=False)
    _masks: dict[str, bytes] | None = field(default=None, repr=False, compare=False)

    def masks(self) -> dict[str, bytes]:
        """Decode each different mask of the row once.

        Returns:
            The COCO run-length counts of each mask text, in the order of first use.

        Raises:
            InputError: a mask is not base64, not zlib, not run-length counts, or its runs
                do not add up to the image's pixels.
        """
        if self._masks is None:
            self._masks = {text: counts for text, counts, _ in self._decode()}
        return self._masks

    def drop_blank_masks(self) -> None:
        """Take predictions whose mask has no pixels out of the row, as the contest does.

        Raises:
            InputError: as `masks`.
        """
        decoded = self._decode()
        blank = {text for text, _, area in decoded if area == 0}
        self._masks = {text: counts for text, counts, area in decoded if area > 0}
        if blank:
            self.predictions = [triple for triple in self.predictions if triple[2] not in blank]

    def _decode(self) -> list[tuple[str, bytes, int]]:
        """Give text, counts and pixels of each different mask."""
        texts = list(dict.fromkeys(text for _, _, text in self.predictions))
        all_counts: list[bytes] = []
        room = _MAX_ROW_BYTES
        for text in texts:
            all_counts.append(decode_mask(text, self.where, min(room, MAX_CHARACTERS)))
            room -= len(all_counts[-1])
        areas = check_counts(all_counts, (self.height, self.width), lambda _: self.where)
        return list(zip(texts, all_counts, areas.tolist(), strict=True))


def encode_mask(rle_counts: bytes | str) -> str:
    """Encode COCO compressed run-length counts as the contest wants them.

    Examples:
        >>> encode_mask(b"PPPP4")  # 2048 x 2048 pixels of background
        'eNoLCAgIMAEABJkBdQ=='
    """
    packed = zlib.compress(as_bytes(rle_counts), zlib.Z_BEST_COMPRESSION)
    return base64.b64encode(packed).decode("ascii")


def decode_mask(text: str, where: object = "mask", max_bytes: int = MAX_CHARACTERS) -> bytes:
    """Give the COCO compressed run-length counts of an encoded mask.

    Args:
        text: the mask.
        where: what an error names.
        max_bytes: of the counts; unpacking stops there.

    Raises:
        InputError: the text is not base64, what it holds is not zlib's, or it unpacks to
            more than `max_bytes`.

    Examples:
        >>> decode_mask("eNoLCAgIMAEABJkBdQ==")
        b'PPPP4'
    """
    try:
        packed = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InputError(
            where, problem=f"a mask is not base64 ({error})", remedy=_WRITE_AGAIN
        ) from error
    unpack = zlib.decompressobj()
    try:
        counts = unpack.decompress(packed, max_bytes + 1)
    except zlib.error as error:
        raise InputError(
            where, problem=f"a mask is not zlib data ({error})", remedy=_WRITE_AGAIN
        ) from error
    if len(counts) > max_bytes:
        raise InputError(
            where,
            problem="the masks unpack to too many bytes",
            remedy="give the run lengths of one cell in each mask",
        )
    if not unpack.eof:
        raise InputError(where, problem="a mask's zlib data is cut off", remedy=_WRITE_AGAIN)
    return counts


def write_submission(path: Path, rows: Iterable[SubmissionRow]) -> int:
    """Write rows as they come; `path` appears only when all are written.

    Confidences have eight decimals. An image without predictions gets the contest's row
    for one without cells.

    Returns:
        How many rows were written.

    Raises:
        InputError: an image comes twice, a class is unknown, or a confidence is not in
            [0, 1] (NaN is not).
    """
    seen: set[str] = set()
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(SUBMISSION_COLUMNS)
        for row in rows:
            where = f"image {row.image_id}"
            if row.image_id in seen:
                raise InputError(where, "a second row", "one row per image", "merge the rows")
            seen.add(row.image_id)
            words = [_format(triple, where) for triple in row.predictions]
            text = " ".join(words) or f"0 1 {_blank_mask(row.width, row.height)}"
            writer.writerow((row.image_id, row.width, row.height, text))
    return len(seen)


def read_submission(path: Path) -> Iterator[SubmissionRow]:
    """Read and check a submission row by row.

    Masks without pixels are left out of a row's predictions, as the contest's evaluator
    leaves them out: they are what an image without cells holds.

    Raises:
        InputError: no file, other columns, an image twice, a size that is no whole number,
            words that are not triples, a class not in 0..18, a confidence not in [0, 1],
            or a mask that `SubmissionRow.masks` refuses. The row is named.
    """
    csv.field_size_limit(max(csv.field_size_limit(), _FIELD_LIMIT))
    try:
        handle = path.open(newline="", encoding="utf-8-sig")
    except OSError as error:
        raise InputError(
            path, problem=f"cannot be read ({error.strerror or error})", remedy="check the path"
        ) from error
    seen: set[str] = set()
    with handle:
        reader = csv.reader(handle)
        try:
            header = next(reader, [])
            if tuple(header) != SUBMISSION_COLUMNS:
                raise InputError(
                    path,
                    f"columns {','.join(header)[:200]}",
                    ",".join(SUBMISSION_COLUMNS),
                    "rename them",
                )
            for fields in reader:
                if not any(map(str.strip, fields)):  # an empty line, as editors leave at the end
                    continue
                row = _parse_row(fields, f"{path}, row {reader.line_num}")
                if row.image_id in seen:
                    raise InputError(
                        row.where, f"{row.image_id} again", "one row per image", "merge the rows"
                    )
                seen.add(row.image_id)
                yield row
        except (csv.Error, UnicodeDecodeError) as error:
            raise InputError(
                path, problem=f"not a CSV table ({error})", remedy=_WRITE_AGAIN
            ) from error


def _parse_row(fields: list[str], where: str) -> SubmissionRow:
    if len(fields) != len(SUBMISSION_COLUMNS):
        raise InputError(where, f"{len(fields)} fields", len(SUBMISSION_COLUMNS), "correct the row")
    image_id = unicodedata.normalize("NFC", fields[0])
    where = f"{where} ({image_id[:80]})"
    width, height = (_parse_side(side, where) for side in fields[1:3])
    if width * height > MOST_PIXELS_OF_RUNS:
        raise InputError(
            where, f"{width}x{height} pixels", f"up to {MOST_PIXELS_OF_RUNS}", "correct the row"
        )
    text = fields[3]
    words = text.split()
    if len(words) % 3:
        raise InputError(
            where, f"{len(words)} words", "triples of class, confidence, mask", "correct the row"
        )
    masks: dict[str, str] = {}  # one string for all predictions of a mask
    predictions = [
        (
            _parse_class(words[at], where),
            _parse_confidence(words[at + 1], where),
            masks.setdefault(words[at + 2], words[at + 2]),
        )
        for at in range(0, len(words), 3)
    ]
    row = SubmissionRow(image_id, width, height, predictions, where)
    row.drop_blank_masks()
    return row


def _parse_side(word: str, where: str) -> int:
    if not (word.isascii() and word.isdecimal() and len(word) < 11 and int(word)):
        raise InputError(where, f"size {word[:40]!r}", "whole pixels > 0", "correct the row")
    return int(word)


def _parse_class(word: str, where: str) -> int:
    if not (word.isascii() and word.isdecimal() and len(word) < 3 and int(word) <= _LAST_CLASS):
        raise InputError(where, f"class {word[:40]!r}", f"0 to {_LAST_CLASS}", "correct the row")
    return int(word)


def _parse_confidence(word: str, where: str) -> float:
    try:
        confidence = float(word)
    except ValueError:
        confidence = math.nan
    if not 0.0 <= confidence <= 1.0:
        raise InputError(where, f"confidence {word[:40]!r}", "0 to 1", "correct the row")
    return confidence


def _format(prediction: Prediction, where: str) -> str:
    hpa_index, confidence, mask_text = prediction
    if not 0 <= hpa_index <= _LAST_CLASS:
        raise InputError(where, f"class {hpa_index}", f"0 to {_LAST_CLASS}", "correct it")
    if not 0.0 <= confidence <= 1.0:
        raise InputError(where, f"confidence {confidence}", "0 to 1", "look for NaN in the scores")
    return f"{hpa_index} {confidence:.8f} {mask_text}"


@lru_cache(maxsize=64)
def _blank_mask(width: int, height: int) -> str:
    nothing = np.zeros(0, np.int64)
    return encode_mask(MaskRuns(nothing, nothing, (height, width)).to_counts())
