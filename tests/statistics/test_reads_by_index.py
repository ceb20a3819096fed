"""tools/stats.py and tools/browse.py do not load a JSON of ours whole, and show the same."""

import json
from pathlib import Path

import pytest
from discs import write_discs

import hpa_mmdet.coco.index as index
from hpa_mmdet.cli.browse import main as browse
from hpa_mmdet.cli.convert_coco import main as convert
from hpa_mmdet.cli.stats import main as stats


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    write_discs(tmp_path, ["a", "b", "c", "d"], (96, 128))
    words = [tmp_path / "images", "--masks", tmp_path / "masks", "--labels", tmp_path / "train.csv"]
    assert convert([str(word) for word in [*words, "--out", tmp_path / "t.json"]]) == 0
    return tmp_path / "t.json"


def test_neither_tool_reads_it_whole(
    ours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tmp_path / "w.json"  # in another layout
    whole.write_text(json.dumps(json.loads(ours.read_text())))
    written = []
    for path in (whole, ours):
        if path is ours:
            monkeypatch.setattr(index, "read_coco", lambda path: pytest.fail("read whole"))
        gallery = path.with_name(f"{path.stem}_gallery.html")
        page = path.with_name(f"{path.stem}_stats.html")
        assert stats([str(path), "--out", str(page)]) == 0
        words = ["--id", "c", "--id", "a", "--size", "100", "--out", str(gallery)]
        assert browse([str(path), *words]) == 0
        texts = [file.read_text() for file in (page, page.with_suffix(".json"), gallery)]
        written.append([text.replace(str(path), "SOURCE") for text in texts])
    assert written[0] == written[1]
