"""--engine ray: workers that are killed in the middle of a conversion cost nothing but time."""

from functools import partial
from pathlib import Path

import pytest
from dying import convert_or_die
from make_dataset import make_dataset

import hpa_mmdet.coco.convert as conversion
from hpa_mmdet.coco.read import read_coco

IDS = tuple(f"image{number:02}" for number in range(40))


def test_killed_workers_lose_and_double_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray", reason="ray is not here: pip install 'hpa-mmdet[cluster]'")
    made = make_dataset(tmp_path / "data", IDS)
    (made.masks / "image21_mask.png").write_bytes(b"")  # one that fails, whoever does it
    whole, out, deaths = tmp_path / "whole.json", tmp_path / "train.json", tmp_path / "deaths"
    conversion.convert(made.sources(), whole)

    deaths.mkdir()
    dies_at = {"image05": 1, "image20": 2}  # amid the first part; twice amid the second
    monkeypatch.setattr(
        conversion, "convert_image", partial(convert_or_die, deaths=deaths, dies_at=dies_at)
    )
    # where Ray's processes import this function from
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_worker_niceness", "0")  # 15 by default: never, on a busy machine
    report = conversion.convert(made.sources(), out, workers=2, engine="ray")

    assert sorted(death.name for death in deaths.iterdir()) == [
        "image05-0",
        "image20-0",
        "image20-1",
    ]
    assert out.read_bytes() == whole.read_bytes()
    assert report.done == 39
    assert [failure.item_id for failure in report.failures] == ["image21"]
    names = [image.hpa_id for image in read_coco(out).images]
    assert names == [image_id for image_id in IDS if image_id != "image21"]
    assert not out.with_name("train.json.parts").exists()
