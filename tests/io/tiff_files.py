"""Small TIFFs written tag by tag, sound or not."""

import struct
from pathlib import Path

import numpy as np

GREY = (np.arange(23 * 40).reshape(23, 40) % 251).astype(np.uint8)  # never square
SHORT, LONG, ASCII = 3, 4, 2
Tag = tuple[int, int, int, int]  # number, type, count, value or place


def page(**changes: Tag | None) -> list[Tag]:
    """The tags of a plain 40 x 23 page whose pixels begin at byte 1000."""
    tags: dict[str, Tag | None] = {
        "width": (256, LONG, 1, 40),
        "length": (257, LONG, 1, 23),
        "bits": (258, SHORT, 1, 8),
        "compression": (259, SHORT, 1, 1),
        "photometric": (262, SHORT, 1, 1),
        "offsets": (273, LONG, 1, 1000),
        "samples": (277, SHORT, 1, 1),
        "rows": (278, LONG, 1, 23),
        "counts": (279, LONG, 1, 920),
    }
    return [tag for tag in {**tags, **changes}.values() if tag is not None]


def write(path: Path, *pages: list[Tag], last: int = 0, extra: bytes = b"") -> Path:
    """Write a classic TIFF of such pages; `last` is where the last one's chain leads."""
    places = [8]
    for tags in pages:
        places.append(places[-1] + 6 + 12 * len(tags))
    content = b"II*\0" + struct.pack("<I", 8)
    for tags, after in zip(pages, [*places[1:-1], last], strict=True):
        content += struct.pack("<H", len(tags))
        content += b"".join(struct.pack("<HHII", *tag) for tag in tags)
        content += struct.pack("<I", after)
    path.write_bytes(content.ljust(1000, b"\0") + GREY.tobytes() + extra)
    return path


def write_big(path: Path, tags: list[Tag]) -> Path:
    """Write a BigTIFF of one page."""
    content = b"II+\0" + struct.pack("<HHQ", 8, 0, 16) + struct.pack("<Q", len(tags))
    content += b"".join(struct.pack("<HHQQ", *tag) for tag in tags) + struct.pack("<Q", 0)
    path.write_bytes(content.ljust(1000, b"\0") + GREY.tobytes())
    return path
