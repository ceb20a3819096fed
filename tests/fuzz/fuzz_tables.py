"""Damaged tables of labels."""

import tempfile
from pathlib import Path

from mutate import run

from hpa_mmdet.errors import InputError
from hpa_mmdet.io.label_tables import (
    read_column,
    read_native_labels,
    scan_cell_labels,
    scan_image_labels,
)

IMAGES = "ID,Label,plate\na,8|5|0,p1\nb,14,p1\n\nze\u0301,3,p2\n"
CELLS = "ID,cell_id,cell_labels\na,2,0|16\na,7,18\nb,1,3\n"
REVIEW = (
    "ID,cell_id,cell_labels,reviewer,time\n"
    "a,3,0|5,anna,2026-11-26T14:20:00Z\na,4,bad_mask,anna,2026-11-26T14:20:07Z\n"
)
SAMPLES = {
    "images.csv": IMAGES.encode(),
    "excel.csv": IMAGES.replace(",", ";").replace("\n", "\r\n").encode("utf-8-sig"),
    "utf16.csv": IMAGES.encode("utf-16"),
    "names.csv": b'Image,Label\nhttps://x.org/1/a_,"Nucleoplasm,Cytosol"\nb,Mitochondria\n',
    "cells.csv": CELLS.encode(),
    "review.csv": REVIEW.encode(),
}


def read(name: str, content: bytes) -> None:
    """Read a table as each kind."""
    path = FOLDER / "t.csv"
    path.write_bytes(content)
    errors = []
    for attempt in (
        lambda: scan_image_labels(path),
        lambda: scan_image_labels(path, "names"),
        lambda: scan_cell_labels(path),
        lambda: read_native_labels(path, "hpa28"),
        lambda: read_native_labels(path, "names"),
        lambda: read_column(path, "plate"),
    ):
        try:
            attempt()
        except InputError as error:
            errors.append(error)
    if len(errors) == 6:
        raise errors[0]


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        FOLDER = Path(folder)
        run(SAMPLES, read)
