"""Limits that the documentation states are those of the code."""

from pathlib import Path

import pytest

from hpa_mmdet.io import depth, header, json_files, large_images, submission, tiff
from hpa_mmdet.masks import rle

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(
    ("limit", "value", "page", "words"),
    [
        (header.MAX_PIXELS, 2**29, "how-to/infer.md", "at most 2^29 pixels a channel"),
        (large_images.LARGE_PIXELS, 32 * 2**20, "how-to/infer.md", "more than 32 million pixels"),
        (large_images.KEPT_BYTES, 128 * 2**20, "how-to/infer.md", "128 MiB are kept per picture"),
        (large_images.MOST_PIXELS, 2**32 - 1, "how-to/infer.md", "may have 2^32 - 1 pixels"),
        (depth._SAMPLED_IMAGES, 32, "how-to/infer.md", "of up to 32 images"),
        (tiff.MOST_SECONDS, 120, "how-to/convert.md", "more than 120 seconds is given up"),
        (submission._MAX_ROW_BYTES, 64 * 2**20, "explanation/trust.md", "unpack to 64 MB at most"),
        (rle.MAX_CHARACTERS, 4 * 2**20, "explanation/trust.md", "one of them to 4 MB"),
        (header._BYTES_PER_PIXEL, 4, "explanation/trust.md", "of 4 bytes for each"),
    ],
)
def test_a_documented_limit_is_the_codes(limit: float, value: float, page: str, words: str) -> None:
    assert limit == value
    assert words in " ".join((DOCS / page).read_text(encoding="utf-8").split())


def test_names_and_files_have_the_limits_of_file_systems_and_memory() -> None:
    assert json_files.LONGEST_PART == 255
    assert json_files.MAX_BYTES == 2**31
    assert rle.MOST_PIXELS_OF_RUNS == 2**31 - 1
