"""The learning curve of tuning runs at toy size, and goes on where it ended."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from discs import TINY_BACKBONE, TINY_CHANNELS

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import bench_tuning
import tuning_runs

from hpa_mmdet.scoring.resampling import class_average_precisions

OPTIONS = [
    *(
        f"model.{part}.{key}={value}"
        for part in ("backbone", "localization.backbone")
        for key, value in (("model_name", TINY_BACKBONE), ("weights", None))
    ),
    "model.neck.in_channels=" + str(list(TINY_CHANNELS)).replace(" ", ""),
    f"model.localization.feature_dim={2 * sum(TINY_CHANNELS)}",
    "train_cfg.fit.epochs=1",
    "train_cfg.max_epochs=1",
    "param_scheduler.CosineAnnealingLR.T_max=1",
]


@pytest.mark.usefixtures("mmdet_scope")
def test_curve_is_computed_once_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--work-dir", str(tmp_path), "--images", "12", "--test-images", "2", "--size", "128"]
    rows = [row.name for row in (tuning_runs.FROZEN, tuning_runs.TUNED, tuning_runs.BOTH)]
    sizes = ["--rows", *rows, "--sizes", "10", "--val-share", "0.3", "--cfg-options", *OPTIONS]
    assert bench_tuning.main([*words, *sizes]) == 0
    results = json.loads((tmp_path / "tuning.json").read_text())
    assert list(results) == rows
    for row in results.values():
        assert len(row["10"]["0"]["ap"]) == 19
        assert any(score is not None for score in row["10"]["0"]["ap"])
    assert results["tuned"]["10"]["0"]["kept_epoch"] in (0, 1)
    root = tmp_path / "seed_0/images_10"
    named = [np.load(root / row / "test_cells.npz")["scores"] for row in rows[:2]]
    truth = np.load(root / "frozen/test_cells.npz")["truth"]
    expected = class_average_precisions(truth, np.mean(named, axis=0))[0]
    both = np.array(results[rows[2]]["10"]["0"]["ap"], float)
    np.testing.assert_allclose(both, expected, atol=1e-4)
    parts = [json.loads((root / f"train_{part}.json").read_text()) for part in ("train", "val")]
    known = [{image["hpa_id"] for image in part["images"]} for part in parts]
    assert len(known[0] | known[1]) == 10
    assert known[1]
    table = (tmp_path / "tuning.md").read_text()
    assert "| 10 | " in table
    assert "| Nucleoplasm | " in table

    monkeypatch.setattr(tuning_runs, "train_row", None)  # a second call trains nothing
    capsys.readouterr()
    assert bench_tuning.main([*words, *sizes]) == 0
    assert table in capsys.readouterr().out
    with pytest.raises(SystemExit, match="found 12 images, expected 13"):
        bench_tuning.main([*words, "--sizes", "13"])


def test_a_larger_number_has_the_same_images_and_more(tmp_path: Path) -> None:
    images = [{"id": number} for number in range(1, 31)]
    cells = [{"id": number, "image_id": 1 + number % 30} for number in range(90)]
    table = {"info": {}, "categories": [], "images": images, "annotations": cells}
    (tmp_path / "train.json").write_text(json.dumps(table))
    chosen = []
    for number in (4, 20):
        known = tuning_runs.choose_images(tmp_path / "train.json", number, seed=3)
        chosen.append({image["id"] for image in known["images"]})
        assert {cell["image_id"] for cell in known["annotations"]} == chosen[-1]
    assert [len(ids) for ids in chosen] == [4, 20]
    assert chosen[0] < chosen[1]
