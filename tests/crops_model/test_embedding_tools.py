"""The tools with SubCell at toy size: heads fitted on it, its own classifiers, embeddings."""

import secrets
from pathlib import Path

import anndata
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from hpa_mmdet.cli.ensemble import main as ensemble
from hpa_mmdet.cli.extract_crops import main as extract
from hpa_mmdet.cli.infer import main as infer
from hpa_mmdet.cli.train import main as train
from hpa_mmdet.crops import CropStore
from hpa_mmdet.inference.store import read_folder

CONFIGS = "configs/embeddings"
CROP = "model.data_preprocessor.crop"
WIDTH = 24


def write_weights(folder: Path) -> None:
    """Write SubCell's files for four channels, at toy size, with random weights."""
    from subcell_toy import write_classifier, write_encoder

    folder.mkdir()
    write_encoder(folder / "all_channels_MAE-CellS-ProtS-Pool.pth", channels=4)
    for seed in (0, 1):
        name = f"all_channels_MAE_MLP_classifier_seed_{seed}.pth"
        write_classifier(folder / name, seed=seed)


@pytest.fixture(scope="module")
def data(discs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with weights/ and a store of SubCell's kind of crops, 32 pixels, of the discs."""
    folder = tmp_path_factory.mktemp("subcell")
    write_weights(folder / "weights")
    words = ["--channels", "red", "yellow", "blue", "green", "mask", "--size", "32"]
    words += ["--framing", "fixed", "--um-per-px", "0.1", "--pixel-size", "0.08"]
    words += ["--grow-um", "0.56", "--linear"]
    source = str(discs / "train.json")
    assert extract([source, "--out", str(folder / "train_crops"), *words]) == 0
    return folder


def small(*cuts: str) -> list[str]:
    from subcell_toy import SIZES

    sizes = [f"model.backbone.sizes.{name}={value}" for name, value in SIZES.items()]
    crops = [f"{cut}.{option}" for cut in cuts for option in ("size_px=32", "um_per_px=0.1")]
    return [*sizes, *crops]


@pytest.fixture(scope="module")
def fitted(data: Path) -> Path:
    loader = "train_cfg.fit.dataloader"
    options = [
        *small(CROP, "train_dataloader.dataset.crop", f"{loader}.dataset.crop"),
        f"{loader}.num_workers=0",
        "train_dataloader.num_workers=0",
        "train_dataloader.persistent_workers=False",
        "train_cfg.fit.epochs=5",
        f"visualizer.name=run_{secrets.token_hex(4)}",
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SUBCELL_DIR", str(data / "weights"))
        config = f"{CONFIGS}/subcell_fit-only_hpa.py"
        words = ["--data-root", str(data), "--work-dir", str(data / "run")]
        assert train([config, *words, "--cfg-options", *options]) == 0
    return data / "run" / "fitted.pth"


def predict(data: Path, discs: Path, config: str, checkpoint: str, out: str, *words: str) -> int:
    sizes = [] if config.startswith(str(data)) else ["--cfg-options", *small(CROP)]
    if "zero" in config:
        sizes.append("model.localization.hidden=[9,7]")
    common = ["--instances", "masks", "--masks", str(discs / "masks"), "--device", "cpu"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SUBCELL_DIR", str(data / "weights"))
        return infer(
            [config, checkpoint, str(discs / "train"), "--out", str(data / out), *common, *words,
             *sizes]
        )  # fmt: skip


@pytest.fixture(scope="module")
def predicted(data: Path, discs: Path, fitted: Path) -> Path:
    config = str(fitted.with_name("subcell_fit-only_hpa.py"))
    words = ("--write", "embeddings,submission")
    assert predict(data, discs, config, str(fitted), "fit", *words) == 0
    return data / "fit"


def test_embeddings_are_those_of_the_stores_crops(data: Path, predicted: Path) -> None:
    from subcell_toy import load_encoder

    table = pq.read_table(predicted / "embeddings.parquet")
    store = CropStore(data / "train_crops")
    assert table["cell_id"].to_pylist() == store.cells.cell_ids.tolist()
    encoder = load_encoder(data / "weights/all_channels_MAE-CellS-ProtS-Pool.pth", heads=2)
    crops = torch.from_numpy(store.take(range(len(store)))[..., :4].transpose(0, 3, 1, 2)).float()
    with torch.no_grad():
        expected = encoder(crops).numpy()
    found = np.array(table["embedding"].to_pylist(), np.float32)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    content = anndata.read_h5ad(predicted / "embeddings.h5ad")
    np.testing.assert_array_equal(content.X, found)
    names = [store.images.hpa_ids[place] for place in store.cells.images]
    assert content.obs["image_id"].tolist() == names
    assert "p_nucleoplasm" in content.obs


@pytest.mark.filterwarnings("default")  # of a package that is not ours, and of its many
def test_scanpy_makes_neighbours_of_embeddings(predicted: Path) -> None:
    scanpy = pytest.importorskip("scanpy", reason="scanpy is not installed", exc_type=ImportError)
    content = scanpy.read_h5ad(predicted / "embeddings.h5ad")
    scanpy.pp.pca(content, n_comps=3)
    scanpy.pp.neighbors(content, n_neighbors=3)
    assert content.obsp["connectivities"].shape == (content.n_obs, content.n_obs)


def test_heads_tell_cells_apart_by_their_embeddings(predicted: Path) -> None:
    images = list(read_folder(predicted))
    scores = np.concatenate([stored.prediction.localization_scores for stored in images])
    assert scores.std(0).max() > 1e-4


def test_released_classifiers_name_cells_and_join_the_ensemble(
    data: Path, discs: Path, predicted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = f"{CONFIGS}/subcell_zero-shot.py"
    assert predict(data, discs, config, "released", "zero", "--write", "submission") == 0
    found = [stored.prediction for stored in read_folder(data / "zero")]
    assert all(((p.localization_scores > 0) & (p.localization_scores < 1)).all() for p in found)
    out = data / "joint.csv"
    assert ensemble([str(predicted), str(data / "zero"), "--out", str(out)]) == 0
    assert out.read_text().count("\n") == 7
    wrong = f"{CONFIGS}/subcell_fit-only_hpa.py"
    assert predict(data, discs, wrong, "released", "wrong") == 2
    assert "its heads have to be trained, so there are no released weights" in (
        capsys.readouterr().err
    )


def test_images_of_another_pixel_size_are_cut_at_the_same_scale(
    data: Path, discs: Path, fitted: Path
) -> None:
    config = str(fitted.with_name("subcell_fit-only_hpa.py"))
    for out, size in (("same", "0.08"), ("half", "0.16")):
        words = ("--write", "embeddings", "--pixel-size", size)
        assert predict(data, discs, config, str(fitted), out, *words) == 0
    vectors = {
        name: np.array(pq.read_table(data / name / "embeddings.parquet")["embedding"].to_pylist())
        for name in ("fit", "same", "half")
    }
    np.testing.assert_array_equal(vectors["same"], vectors["fit"])
    assert np.abs(vectors["half"] - vectors["fit"]).max() > 0.01


def test_embeddings_of_a_model_that_gives_none_are_refused(
    data: Path, discs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--instances", "masks", "--masks", str(discs / "masks"), "--write", "embeddings"]
    config = "configs/crops/ladder_1-plain.py"
    from hpa_mmdet.inference.predictor import Predictor

    predictor = Predictor(config, None, device="cpu")
    torch.save({"state_dict": predictor.loaded.model.state_dict()}, data / "plain.pth")
    out = ["--out", str(data / "plain")]
    assert infer([config, str(data / "plain.pth"), str(discs / "train"), *out, *words]) == 2
    assert "--write embeddings: the model gives no vector for a cell" in capsys.readouterr().err
