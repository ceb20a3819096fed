"""choose_cells: deterministic, spread out, and each way finds what it is made to find."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from hpa_mmdet.cli.choose_cells import main
from hpa_mmdet.errors import InputError
from hpa_mmdet.inference.store import MANIFEST, PredictionStore
from hpa_mmdet.inference.stored_images import StoredImage, line_of
from hpa_mmdet.localizations import NEGATIVE
from hpa_mmdet.masks.runs import runs_of_crop
from hpa_mmdet.predictions.cells import CellPrediction, ImagePrediction
from hpa_mmdet.refine.choose import WAYS_OF_CHOOSING, Candidates, choose_cells, uncertainty

K = 19


def make(images: int = 6, cells: int = 5, seed: int = 0) -> Candidates:
    """Candidates of images with ids that are not in order; two images share a group."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((images, K), bool)
    for image in range(images):
        labels[image, rng.choice(NEGATIVE, 2, replace=False)] = True
    labels[0, 11] = True  # a rare class, of one image alone
    rows = np.repeat(np.arange(images), cells)
    return Candidates(
        [f"image{9 - image}" for image in rows],
        [7 * cell + 2 for _ in range(images) for cell in range(cells)],
        rng.random((images * cells, K)),
        labels[rows],
        [f"group{image // 2}" for image in rows],
        rng.normal(size=(images * cells, 8)),
    )


@pytest.mark.parametrize("by", WAYS_OF_CHOOSING)
def test_every_cell_comes_once_and_the_seed_decides(by: str) -> None:
    candidates = make()
    chosen = choose_cells(candidates, 1000, by, seed=3)
    assert chosen == choose_cells(candidates, 1000, by, seed=3)
    rows = [choice.row for choice in chosen]
    assert sorted(rows) == list(range(30))
    assert choose_cells(candidates, 4, by, seed=3) == chosen[:4]


@pytest.mark.parametrize("by", WAYS_OF_CHOOSING)
def test_no_candidates_give_no_choice(by: str) -> None:
    empty = Candidates([], [], np.zeros((0, K)), np.zeros((0, K), bool), [], np.zeros((0, 8)))
    assert choose_cells(empty, 5, by) == []


def test_uncertainty_counts_only_labels_that_the_image_has() -> None:
    scores = np.full((2, K), 0.5)
    labels = np.zeros((2, K), bool)
    labels[0, [3, 4, NEGATIVE]] = True  # Negative follows from the others
    candidates = Candidates(["a", "b"], [1, 2], scores, labels, ["a", "b"])
    assert uncertainty(candidates).tolist() == pytest.approx([2.0, 0.0])


def test_the_least_sure_cell_of_each_image_comes_in_the_first_round() -> None:
    candidates = make()
    unsure = uncertainty(candidates)
    first = choose_cells(candidates, 6, "unsure")
    assert {candidates.image_ids[row] for row, _ in first} == set(candidates.image_ids)
    for row, reason in first:
        same = [at for at in range(30) if candidates.image_ids[at] == candidates.image_ids[row]]
        assert unsure[row] == max(unsure[same])
        assert reason == f"{unsure[row]:.2f} bits unsure"
    # of every two images of a group, one comes before any second of another group
    assert len({candidates.groups[row] for row, _ in first[:3]}) == 3


def test_the_class_with_the_fewest_expected_cells_has_the_first_turn() -> None:
    candidates = make()
    shown = (candidates.scores * candidates.image_labels)[:, :NEGATIVE].sum(axis=0)
    rarest = int(np.where(shown > 0, shown, np.inf).argmin())
    row, reason = choose_cells(candidates, 1, "class")[0]
    assert candidates.image_labels[row, rarest]
    assert reason.startswith(f"likely {rarest}, p ")
    having = candidates.scores[candidates.image_labels[:, rarest], rarest]
    assert candidates.scores[row, rarest] == having.max()


def test_different_cells_are_far_from_those_taken() -> None:
    features = np.repeat(np.eye(3), 4, axis=0) + np.random.default_rng(0).normal(0, 0.01, (12, 3))
    candidates = Candidates(
        [str(row) for row in range(12)],
        [1] * 12,
        np.full((12, K), 0.5),
        np.ones((12, K), bool),
        [str(row) for row in range(12)],
        features,
    )
    first = [row // 4 for row, _ in choose_cells(candidates, 3, "different")]
    assert sorted(first) == [0, 1, 2]


def test_bad_ways_are_refused() -> None:
    with pytest.raises(InputError, match=r"--by: found best, expected one of class, unsure"):
        choose_cells(make(), 3, "best")
    without = Candidates(["a"], [1], np.zeros((1, K)), np.ones((1, K), bool), ["a"])
    with pytest.raises(InputError, match="needs features of the cells; predict with --write emb"):
        choose_cells(without, 1, "different")


def write_run(folder: Path, with_ids: bool = True) -> None:
    """Predictions of two images of three cells each, as tools/infer.py stores them."""
    store = PredictionStore(folder / "predictions", {}, 2)
    lines = []
    rng = np.random.default_rng(1)
    for name in ("b", "a"):
        cells = [
            CellPrediction.of_runs(
                runs_of_crop(np.ones((3, 4), bool), 5 * place, 2, (12, 30)),
                1.0,
                rng.random(K),
                4 * place + 3 if with_ids else None,
            )
            for place in range(3)
        ]
        lines.append(line_of(StoredImage(ImagePrediction(name, 30, 12, cells), {})))
    store.begin(resume=False)
    assert (store.folder / MANIFEST).is_file()
    store.write(0, lines)


def test_the_tool_writes_a_queue_without_reviewed_cells(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path / "run")
    (tmp_path / "labels.csv").write_text("ID,Label\na,3|5\nb,0\n")
    (tmp_path / "done.csv").write_text("ID,cell_id,cell_labels\na,7,3\n")
    words = [str(tmp_path / "run"), "--labels", str(tmp_path / "labels.csv"), "--number", "9"]
    words += ["--reviewed", str(tmp_path / "done.csv"), "--out", str(tmp_path / "queue.csv")]
    assert main(words) == 0
    with (tmp_path / "queue.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    cells = {(row["ID"], row["cell_id"]) for row in rows}
    assert cells == {("a", "3"), ("a", "11"), ("b", "3"), ("b", "7"), ("b", "11")}
    told = capsys.readouterr().out
    assert "choose_cells: 5 cells of 2 images" in told
    assert "next: python tools/serve.py --review" in told
    assert main(words) == 2  # the queue is there
    assert "give --overwrite" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        pytest.param(["--number", "0"], "--number: found 0, expected 1 or more", id="number"),
        pytest.param([], "its cells have no ids, since the model found them itself", id="no ids"),
    ],
)
def test_bad_input_is_one_line(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path / "run", with_ids=False)
    assert main([str(tmp_path / "run"), "--out", str(tmp_path / "queue.csv"), *words]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "queue.csv").exists()


def test_damaged_predictions_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(tmp_path / "run")
    (tmp_path / "run/predictions" / MANIFEST).write_text(json.dumps({"images": "two"}))
    assert main([str(tmp_path / "run"), "--out", str(tmp_path / "queue.csv")]) == 2
    assert "is no manifest of a run" in capsys.readouterr().err
