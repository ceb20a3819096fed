"""The decoupled stage: learns what can be learnt, repeats by its seed, resumes; the tool."""

import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from discs import tiny_options, write_discs

from hpa_mmdet.cli.convert_coco import main as convert
from hpa_mmdet.cli.train import main as train
from hpa_mmdet.coco.folds import Grouping
from hpa_mmdet.fit import loop
from hpa_mmdet.fit.feature_cache import FeatureCache
from hpa_mmdet.fit.heads import fit_heads
from hpa_mmdet.fit.predictions import predict_held_out
from hpa_mmdet.fit.teaching import fit_taught_heads
from hpa_mmdet.models import LocalizationBranch

CONFIG = "configs/mask_rcnn/hpa-mask-rcnn_lite0_fpn_bag-lse_demo.py"


class Named(torch.nn.Module):
    """A model that is its localization branch alone."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.localization = LocalizationBranch(
            feature_dim=8,
            loss={"type": "BagLoss"},
            hidden=16,
            dropout=0.0,
            image_exponent=0.0,
            cells_exponent=0.0,
        )


def bags() -> tuple[FeatureCache, torch.Tensor]:
    """40 images of 5 cells; class k shows in feature k of some cells of images labelled k."""
    generator = torch.Generator().manual_seed(3)
    labels = torch.zeros(40, 19)
    cells = torch.randn(40, 5, 8, generator=generator) * 0.3
    shown = torch.zeros(40, 5, 19)
    for image in range(40):
        for k in (image % 4, (image + 1) % 4):
            labels[image, k] = 1
            some = torch.rand(5, generator=generator) < 0.6
            some[0] = True
            shown[image, some, k] = 1
            cells[image, some, k] += 4
    cache = FeatureCache(cells.flatten(0, 1), torch.full((40,), 5), cells.mean(1), labels)
    return cache, shown.flatten(0, 1)


def test_cells_are_told_apart_though_only_images_are_labelled() -> None:
    cache, shown = bags()
    model = Named()
    history = fit_heads(model, cache, epochs=30, batch_images=4, lr=1e-2)
    assert [epoch for epoch, _ in history] == list(range(1, 31))
    assert history[-1][1]["loss_localization"] < 0.5 * history[0][1]["loss_localization"]
    scores, _ = model.localization.predict(cache.cells, cache.images[0])
    named = scores[:, :4] > 0.5
    assert (named == shown[:, :4].bool()).float().mean() > 0.9
    assert not model.localization.cell_head.training


def test_linear_parts_learn_at_a_rate_of_their_own() -> None:
    cache, _ = bags()
    moved = {}
    for rates in ({"lr": 0.0}, {"linear_lr": 0.0}):
        torch.manual_seed(0)
        branch = LocalizationBranch(8, {"type": "BagLoss"}, hidden=(0, 16))
        before = [part[-1].weight.detach().clone() for part in branch.cell_head.parts]
        fit_heads(SimpleNamespace(localization=branch), cache, epochs=1, **rates)
        after = [part[-1].weight for part in branch.cell_head.parts]
        moved[next(iter(rates))] = [
            not torch.equal(*pair) for pair in zip(before, after, strict=True)
        ]
    assert moved == {"lr": [True, False], "linear_lr": [False, True]}


def test_bags_are_picked_with_their_own_cells() -> None:
    cells = torch.arange(10.0)[:, None]
    given = FeatureCache(
        cells, torch.tensor([3, 0, 2, 5]), torch.arange(4.0)[:, None], torch.zeros(4, 19)
    )
    picked = given.select(torch.tensor([3, 1, 0]))
    assert picked.cells[:, 0].tolist() == [5, 6, 7, 8, 9, 0, 1, 2]
    assert picked.counts.tolist() == [5, 0, 3]
    assert given.select(torch.zeros(0, dtype=torch.long)).cells.shape == (0, 1)


def test_the_seed_repeats_the_fit() -> None:
    cache, _ = bags()
    runs = [fit_heads(Named(), cache, epochs=3, seed=seed) for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


@pytest.fixture
def discs(tmp_path: Path) -> Path:
    write_discs(tmp_path, ["a", "b", "c", "d"])
    (tmp_path / "images").rename(tmp_path / "train")
    arguments = {"--masks": "masks", "--labels": "train.csv", "--out": "train.json"}
    flat = [part for key, name in arguments.items() for part in (key, str(tmp_path / name))]
    assert convert([str(tmp_path / "train"), *flat]) == 0
    return tmp_path


def tiny(folder: Path, work_dir: str, *options: str) -> list[str]:
    places = ["--data-root", str(folder), "--work-dir", str(folder / work_dir)]
    words = tiny_options(epochs=2)
    return [CONFIG, *places, *options, "--cfg-options", *words, "default_hooks.logger.interval=1"]


def test_exponents_are_chosen_on_validation_images(
    discs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    config = discs / "chosen.py"
    config.write_text(
        f'_base_ = ["{Path(CONFIG).resolve()}"]\n'
        "_base_.train_cfg.fit.exponents_dataloader = _base_.fit_dataloader\n"
        "_base_.train_cfg.fit.exponents_dataloader.num_workers = 0\n"
        "_base_.train_cfg.fit.exponents_dataloader.persistent_workers = False\n"
    )
    assert train([str(config), *tiny(discs, "chosen")[1:]]) == 0
    fitted = torch.load(discs / "chosen" / "fitted.pth", weights_only=True)["state_dict"]
    log = next((discs / "chosen").glob("*/*.log")).read_text()
    found = re.search(r"exponents: (\S+) of the image head, (\S+) of .*; the defaults", log)
    assert found  # all cells of the discs have their image's labels
    chosen = [float(text) for text in found.groups()]
    assert fitted["localization.chosen_exponents"].tolist() == chosen == [0.5, 1.0]
    meta = torch.load(discs / "chosen" / "fitted.pth", weights_only=True)["meta"]
    assert len(meta["thresholds"]) == 19
    assert all(0 <= threshold <= 1 for threshold in meta["thresholds"])


def test_a_bad_table_of_groups_is_said_before_any_work(
    discs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    table = discs / "my groups, all.csv"
    table.write_text("ID,plate,lot\na,1,1\nb,2,1\nc,2,\n")
    for column, message in {
        "antibody": "all.csv: found columns ID,plate",
        "plate": "all.csv: found no row for d, expected a plate for each image",
    }.items():
        words = tiny(discs, "grouped", "--groups", str(table), column)
        assert train(words) == 2
        assert message in capsys.readouterr().err
    table.write_text("ID,plate\na,1\nb,2\nc,2\nd,1\n")
    assert train(tiny(discs, "grouped", "--groups", str(table), "plate")) == 2
    assert "2 groups in plate cannot be parted in 3 folds" in capsys.readouterr().err
    assert not list((discs / "grouped").glob("*.pth"))


def test_groups_reach_the_fit_of_reviewed_cells(
    discs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    content = json.loads((discs / "train.json").read_text())
    content["annotations"][1]["reviewed"] = True
    (discs / "train.json").write_text(json.dumps(content))
    table = discs / "its groups.csv"
    table.write_text("ID,plate\na,1\nb,2\nc,3\nd,3\n")
    taught, asked = [], []

    def teach(*words: object, **options: object) -> object:
        taught.append(options.pop("grouping"))
        return fit_taught_heads(*words, **options)

    def predict(*words: object, **options: object) -> list[object]:
        asked.append(options["grouping"])
        return predict_held_out(*words, **options)

    monkeypatch.setattr(loop, "fit_taught_heads", teach)
    monkeypatch.setattr(loop, "predict_held_out", predict)
    words = tiny(discs, "grouped", "--instances", "masks", "--groups", str(table), "plate")
    assert train(words) == 0
    assert taught == [Grouping(table, "plate")]
    assert asked == []  # what the teachers' fit predicted serves the choice


def curve(work_dir: Path) -> list[float]:
    lines = [
        json.loads(line)
        for path in sorted(work_dir.glob("*/vis_data/scalars.json"))
        for line in path.read_text().splitlines()
    ]
    return [line["loss"] for line in lines if "loss" in line]


def test_the_tool_trains_says_what_is_next_and_repeats_by_seed(
    discs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    assert train(tiny(discs, "one")) == 0
    printed = capsys.readouterr().out
    kept = rf"\S*one/{Path(CONFIG).name}"  # --cfg-options changed the model
    assert re.search(rf"next: python tools/infer.py {kept} \S*one/fitted.pth IMAGES --out", printed)
    assert train(tiny(discs, "two")) == 0
    first, second = curve(discs / "one"), curve(discs / "two")
    assert len(first) == 6  # three epochs of four images, in pairs
    assert first == second
    weights = [
        torch.load(discs / name / "fitted.pth", weights_only=True)["state_dict"]
        for name in ("one", "two")
    ]
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
    # a run whose epochs are done repeats the fit alone
    assert train(tiny(discs, "one", "--resume")) == 0
    assert curve(discs / "one") == first


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda path: path.unlink(), "train.json: found", id="no JSON"),
        pytest.param(lambda path: path.write_text("{"), "train.json: not JSON", id="not JSON"),
    ],
)
def test_what_is_missing_is_said_in_a_line(
    discs: Path,
    change,
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    change(discs / "train.json")
    assert train(tiny(discs, "one")) == 2
    assert message in capsys.readouterr().err


def test_a_config_that_does_not_exist_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert train(["configs/none.py"]) == 2
    assert "configs/none.py: found no file, expected a config" in capsys.readouterr().err


def test_heads_are_fitted_alone_on_the_cells_of_a_segmenter(
    discs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    config = "configs/mask_rcnn/hpa-mask-rcnn_lite1_fit-only_demo.py"
    words = tiny_options(epochs=2, views=4)  # two views, at two sizes
    assert train([config, *tiny(discs, "fit")[1:], *words]) == 0
    assert curve(discs / "fit") == []  # no step of the detector
    assert (discs / "fit" / "fitted.pth").is_file()


def test_exact_images_beside_have_a_loss_of_their_own(
    discs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    base = Path("configs/mask_rcnn/hpa-mask-rcnn_lite0_fpn_bag-lse_demo.py")
    config = discs / "exact.py"
    config.write_text(
        f'_base_ = ["{base.resolve()}"]\n'
        "_base_.train_cfg.max_epochs = 0\nparam_scheduler = None\n"
        "_base_.train_cfg.fit.more_dataloaders[0].num_workers = 0\n"
    )
    assert train([str(config), *tiny(discs, "fit")[1:]]) == 0
    lines = (discs / "fit").glob("*/vis_data/scalars.json")
    scalars = [json.loads(line) for path in lines for line in path.read_text().splitlines()]
    exact = [line["fit/loss_exact"] for line in scalars if "fit/loss_exact" in line]
    assert len(exact) == 2
    assert exact[1] != exact[0] > 0
