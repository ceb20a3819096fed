"""Tuned crops for bench_real_cells.py: one mosaic left out, the network tuned on the others.

N: cells; K = 19.
"""

import contextlib
import io
import secrets
from pathlib import Path

import numpy as np
from crop_classifier_data import predict_cells
from crop_classifier_rows import CONFIGS
from numpy.typing import NDArray

from hpa_mmdet.cli.train import main as train
from hpa_mmdet.crops.store import CropStore
from hpa_mmdet.datasets import CropBagDataset
from hpa_mmdet.inference.model_files import load_model
from hpa_mmdet.models.pretrained import PACKAGED

CONFIG = CONFIGS / "crop_lite0_bag-lse_cpu.py"
WARM_UP_STEPS = 10  # of five steps an epoch


def name_tuned(
    store: Path, work_dir: Path, network: str, epochs: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Name the cells of every image by a network that was tuned on the other images.

    The heads are fitted first, then everything is tuned, as the shipped config does it; a batch
    is two images, and a cell shows the labels of its image.

    Args:
        store: of the cells.
        work_dir: of the runs; what is there is used again.
        network: one of the packaged ones.
        epochs: of tuning; 0 leaves it at the heads.

    Returns:
        (N, K) scores of each cell alone, and weighed by its image, as the few-cells config does.
    """
    cells = CropStore(store)
    count = len(cells.images.hpa_ids)
    alone = np.zeros((len(cells), len(CropBagDataset.metainfo["classes"])))
    weighed = np.zeros_like(alone)
    for fold in range(count):
        folder = work_dir / f"{network}_{epochs}_epochs" / f"without_{fold}"
        if not (folder / "fitted.pth").is_file():
            _train(store, folder, network, epochs, count, fold)
        model = load_model(folder / CONFIG.name, folder / "fitted.pth").model
        left_out = CropBagDataset(str(store), folds=count, fold=fold, held_out=True)
        weighed[left_out.crops] = predict_cells(model, left_out, turns=True)
        model.localization.image_exponent = model.localization.cells_exponent = 0.0
        alone[left_out.crops] = predict_cells(model, left_out, turns=True)
    return alone, weighed


def _train(store: Path, folder: Path, network: str, epochs: int, folds: int, fold: int) -> None:
    loaders = "train_dataloader", "train_cfg.fit.dataloader"
    options = {
        "model.backbone.model_name": PACKAGED[network].model_name,
        "model.backbone.weights": network,
        "model.localization.loss._delete_": True,
        "model.localization.loss.type": "InheritedLoss",
        "model.localization.image_exponent": 1.0,
        "model.localization.cells_exponent": 3.0,
        "train_cfg.max_epochs": epochs,
        "train_cfg.fit.more_dataloaders": "[]",
        "train_cfg.fit.few_images": 100,
        "train_dataloader.batch_size": 2,
        "train_dataloader.dataset.substitute_prob": 0.0,
        "train_dataloader.persistent_workers": False,
        "visualizer.name": f"run_{secrets.token_hex(4)}",
    }
    for loader in loaders:
        options |= {
            f"{loader}.num_workers": 0,
            f"{loader}.dataset.store": store,
            f"{loader}.dataset.folds": folds,
            f"{loader}.dataset.fold": fold,
        }
    if epochs:
        options |= {"param_scheduler.0.end": WARM_UP_STEPS, "param_scheduler.1.T_max": epochs}
    else:
        options["param_scheduler"] = None
    words = [str(CONFIG), "--work-dir", str(folder), "--seed", "0", "--cfg-options"]
    with contextlib.redirect_stdout(io.StringIO()):
        status = train([*words, *(f"{key}={value}" for key, value in options.items())])
    if status != 0:
        raise SystemExit(f"real_cells_tuned: fold {fold} was not trained, see above")
