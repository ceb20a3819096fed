"""The loop of a review: learn, choose, look, learn again, each by the command that was printed."""

import csv
import json
import re
import shlex
import signal
import subprocess
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import requests
from discs import tiny_options, write_discs

from hpa_mmdet.compat import prepare

prepare()

from mmengine.config import Config  # noqa: E402

from hpa_mmdet.cli.choose_cells import main as choose  # noqa: E402
from hpa_mmdet.cli.learn_reviewed import _convert  # noqa: E402
from hpa_mmdet.cli.learn_reviewed import main as learn  # noqa: E402
from hpa_mmdet.cli.synthesize import main as synthesize  # noqa: E402
from hpa_mmdet.coco.read import read_coco  # noqa: E402
from hpa_mmdet.errors import InputError  # noqa: E402
from hpa_mmdet.inference.store import read_folder  # noqa: E402
from hpa_mmdet.io.label_tables import read_cell_labels  # noqa: E402
from hpa_mmdet.refine.rounds import ReviewRound, next_number, round_of  # noqa: E402
from hpa_mmdet.scoring.resampling import class_average_precisions, mean_of_known  # noqa: E402

CONFIG = "configs/mask_rcnn/hpa-mask-rcnn_lite1_fit-only_demo.py"
A_ROUND = 90  # of 213 cells: by 50, one processor of several chose exponents that did harm


def tiny() -> list[str]:
    return ["--seed", "0", "--cfg-options", *tiny_options(epochs=15, views=4)]


def next_words(tool: str, said: str) -> list[str]:
    """The arguments of the command that a tool printed, which must be one of `tool`."""
    (line,) = re.findall(r"^next: (.*)$", said, re.MULTILINE)[-1:]
    words = shlex.split(line)
    assert words[:2] == ["python", f"tools/{tool}.py"], line
    return words[2:]


@contextmanager
def served(words: list[str]) -> Iterator[tuple[str, Callable[[], str]]]:
    """Run tools/serve.py; gives its address, and what stops it as Ctrl-C does and gives its words."""
    process = subprocess.Popen(
        [sys.executable, "-m", "hpa_mmdet", "serve", *words, "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None

    def stop() -> str:
        process.send_signal(signal.SIGINT)
        return process.communicate(timeout=30)[0]

    try:
        said = ""
        while (found := re.search(r"open (http\S+)", said)) is None:
            line = process.stdout.readline()
            assert line, said
            said += line
        yield found[1], stop
    finally:
        process.kill()
        process.communicate()


def review(address: str, truth: dict[str, dict[int, tuple[int, ...]]]) -> int:
    """Say of every cell of the queue what it shows, as a person would; give their number."""
    query = {"order": "file", "limit": 200}
    cells = requests.get(f"{address}/api/review/queue", params=query, timeout=20).json()["cells"]
    decisions = [
        {
            "image_id": cell["image_id"],
            "cell_id": cell["cell_id"],
            "labels": list(truth[cell["image_id"]][cell["cell_id"]]),
        }
        for cell in cells
    ]
    content = {"reviewer": "Anna", "decisions": decisions}
    reply = requests.post(f"{address}/api/review/decisions", json=content, timeout=20)
    assert reply.status_code == 200, reply.text
    return len(decisions)


def score(predictions: Path, truth: dict[str, dict[int, tuple[int, ...]]]) -> float:
    """Mean average precision of all cells' names."""
    shown, scores = [], []
    for stored in read_folder(predictions):
        for cell in stored.prediction.cells:
            shown.append(np.isin(np.arange(19), truth[stored.prediction.image_id][cell.cell_id]))
            scores.append(cell.localization_scores)
    return mean_of_known(class_average_precisions(np.array(shown), np.array(scores))[0])


def test_two_rounds_by_the_printed_commands_get_better(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    data, out = tmp_path / "data", tmp_path / "review"
    words = [
        str(data),
        "--images",
        "14",
        "--test-images",
        "0",
        "--size",
        "256",
        "256",
        "--pixel-um",
        "0.6",
    ]
    assert synthesize([*words, "--share", "0.5", "--seed", "3"]) == 0
    truth = read_cell_labels(data / "truth/train/cells.csv")
    table, groups = out / "cells.csv", tmp_path / "its groups.csv"
    pairs = [f"{image_id},{number // 2}" for number, image_id in enumerate(truth)]
    groups.write_text("\n".join(["ID,antibody", *pairs]))
    first = [CONFIG, str(data / "train"), "--masks", str(data / "truth/train/masks")]
    first += ["--labels", str(data / "train.csv"), "--reviewed", str(table)]
    first += ["--groups", str(groups), "antibody", "--out", str(out)]
    assert learn([*first, *tiny()]) == 0
    scores = [score(out / "round_1/predicted", truth)]
    for number in (1, 2):
        folder = out / f"round_{number}"
        words = next_words("choose_cells", capsys.readouterr().out)
        assert words[words.index("--groups") + 1 :][:2] == [str(groups), "antibody"]
        assert choose([*words, "--by", "class", "--number", str(A_ROUND)]) == 0
        with (folder / "queue.csv").open(newline="") as handle:
            assert len(list(csv.DictReader(handle))) == A_ROUND
        with served(next_words("serve", capsys.readouterr().out)) as (address, stop):
            assert review(address, truth) == A_ROUND
            said = stop()
        words = next_words("learn_reviewed", said)
        assert words == first
        assert learn([*words, *tiny()]) == 0
        scores.append(score(out / f"round_{number + 1}/predicted", truth))
        images = read_coco(out / f"round_{number + 1}/data/train.json").images
        assert sum(cell.reviewed for image in images for cell in image.cells) == A_ROUND * number
    assert scores[0] < scores[1] < scores[2]
    kept = Config.fromfile(out / "round_3/fit" / Path(CONFIG).name)
    assert kept.train_cfg.fit.groups == [str(groups), "antibody"]


def test_a_round_that_was_stopped_is_made_again(tmp_path: Path) -> None:
    made = ReviewRound("c.py", "images", "masks", "l.csv", "cells.csv", str(tmp_path))
    made.folder.mkdir()
    assert next_number(tmp_path) == 1
    assert round_of(made.predictions) is None
    assert "--groups" not in made.learn_command() + made.choose_command()
    made.write()
    assert next_number(tmp_path) == 2
    assert round_of(made.predictions) == made
    assert round_of(made.folder / "elsewhere") is None
    record = json.loads((made.folder / "round.json").read_text())
    del record["groups"]  # as an earlier version wrote it
    (made.folder / "round.json").write_text(json.dumps(record))
    assert round_of(made.predictions) == made


def test_a_round_made_again_has_the_images_of_its_last_call(tmp_path: Path) -> None:
    for name in ("one", "other"):
        write_discs(tmp_path / name, ["a", "b"])
        places = {place: tmp_path / name / place for place in ("images", "masks")}
        args = Namespace(
            **places,
            labels=tmp_path / name / "train.csv",
            reviewed=tmp_path / "none.csv",
            workers=1,
        )
        assert _convert(args, tmp_path / "data") == 0
        assert (tmp_path / "data/train").resolve() == places["images"]
    (tmp_path / "data/train").unlink()
    (tmp_path / "data/train").write_text("of somebody else")
    with pytest.raises(InputError, match="is in the way"):
        _convert(args, tmp_path / "data")
    assert (tmp_path / "data/train").read_text() == "of somebody else"


@pytest.mark.parametrize("text", ["[" * 100_000, "[]", "{}", '{"config": 1}', "{"])
def test_damaged_record_of_a_round_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "predicted").mkdir()
    (tmp_path / "round.json").write_text(text)
    with pytest.raises(InputError, match=re.escape("round.json")):
        round_of(tmp_path / "predicted")
