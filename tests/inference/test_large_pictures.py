"""Pictures larger than memory: read, predicted and drawn in tiles."""

import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
from cell_images import CHANNELS, cell_image, write_config
from PIL import Image
from pycocotools import mask as coco_mask
from stand_in import StandInCells

from hpa_mmdet.cli.infer import main
from hpa_mmdet.io import large_images

TILE = 256
MIB = 2**20


def sparse_tiff(path: Path, shape_hw: tuple[int, int], places: list[tuple[int, int]]) -> int:
    """Four planes, black but for cells in some tiles. Gives the number of cells."""
    image, labels = cell_image(0, (TILE, TILE), cells=8)

    def tiles() -> Iterator[np.ndarray | None]:
        for channel in range(4):
            for top in range(0, shape_hw[0], TILE):
                for left in range(0, shape_hw[1], TILE):
                    here = (top, left) in places
                    if (channel, top, left) == (0, 0, 0) and not here:
                        yield np.zeros((TILE, TILE), np.uint8)  # the writer looks at the first
                        continue
                    yield np.ascontiguousarray(image[..., channel]) if here else None

    tifffile.imwrite(
        path,
        tiles(),
        shape=(4, *shape_hw),
        dtype=np.uint8,
        tile=(TILE, TILE),
        compression="zlib",
        photometric="minisblack",
        maxworkers=1,
    )
    return (len(np.unique(labels)) - 1) * len(places)


def arguments(folder: Path, out: str) -> list[str]:
    torch.save({"state_dict": StandInCells().state_dict()}, folder / "model.pth")
    files = [str(write_config(folder)), str(folder / "model.pth"), str(folder / "images")]
    channels = ["--pattern", "{id}.tif", "--channels", *CHANNELS]
    return [*files, *channels, "--device", "cpu", "--out", str(folder / out)]


def test_memory_is_bounded_by_tiles_not_by_the_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape_hw = (22 * TILE, 25 * TILE)  # 36 million pixels, 144 MB
    places = [(0, 0), (7 * TILE, 20 * TILE), (21 * TILE, 24 * TILE)]
    (tmp_path / "images").mkdir()
    cells = sparse_tiff(tmp_path / "images/large.tif", shape_hw, places)
    monkeypatch.setattr(large_images, "KEPT_BYTES", 8 * MIB)
    job = arguments(tmp_path, "out")
    tracemalloc.start()
    try:
        status = main([*job, "--tile", "1024", "--write", "coco,labels"])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert status == 0
    found = json.loads((tmp_path / "out/cells.json").read_text())
    assert len(found) == cells
    assert peak < 60 * MIB < 4 * shape_hw[0] * shape_hw[1] / 2
    far = [cell["bbox"] for cell in found if cell["bbox"][1] >= 21 * TILE]
    assert len(far) == cells / 3
    with tifffile.TiffFile(tmp_path / "out/labels/large.tif") as labels:
        assert labels.pages[0].shape == shape_hw
        assert labels.pages[0].is_tiled
        drawn = labels.asarray()
    x, y, width, height = far[0]
    assert drawn[y : y + height, x : x + width].any()
    areas = coco_mask.area([cell["segmentation"] for cell in found])
    assert np.count_nonzero(drawn) == areas.sum()
    assert main([*job, "--tile", "1024", "--write", "overlays,gallery", "--resume"]) == 0
    with Image.open(tmp_path / "out/overlays/large.png") as overlay:
        assert overlay.size == (1280, 1126)  # a fifth
    assert (tmp_path / "out/gallery.html").stat().st_size > 10_000


def test_in_parts_gives_the_bytes_of_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "images").mkdir()
    for name in ("a", "b"):
        sparse_tiff(tmp_path / f"images/{name}.tif", (2 * TILE, 3 * TILE), [(0, TILE), (TILE, 0)])
    # an image that is held whole is cleaned over its stains and named afterwards, a large one is not
    options = ["--tile", "200", "--overlap", "50", "--write", "submission,table"]
    options += ["--clean", "suppress"]
    assert main([*arguments(tmp_path, "whole"), *options]) == 0
    monkeypatch.setattr(large_images, "LARGE_PIXELS", 1000)
    assert main([*arguments(tmp_path, "parts"), *options]) == 0
    for name in ("submission.csv", "cells.csv", "predictions/chunk-000000.jsonl"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_damaged_part_costs_its_own_image_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "images").mkdir()
    for name in ("a", "b"):
        sparse_tiff(tmp_path / f"images/{name}.tif", (2 * TILE, 3 * TILE), [(TILE, TILE)])
    with tifffile.TiffFile(tmp_path / "images/a.tif") as tiff:
        offset = next(at for at, size in zip(
            tiff.pages[2].dataoffsets, tiff.pages[2].databytecounts, strict=True) if size)  # fmt: skip
    with (tmp_path / "images/a.tif").open("r+b") as damaged:
        damaged.seek(offset)
        damaged.write(b"\xff" * 40)
    monkeypatch.setattr(large_images, "LARGE_PIXELS", 1000)
    job = [*arguments(tmp_path, "out"), "--tile", "200", "--overlap", "50", "--batch-size", "2"]
    assert main(job) == 1
    report = json.loads((tmp_path / "out/infer_report.json").read_text())
    assert [failure["id"] for failure in report["failed"]] == ["a"]
    assert "a.tif: found an unreadable picture" in report["failed"][0]["message"]
