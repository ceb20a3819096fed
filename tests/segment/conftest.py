"""The drawn cells that the benchmarks use serve the tests too."""

import pickle
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from skimage import transform

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from adapter_pictures import CellSegmentator, DPNUnet, pictures, unet


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    fetched: list[str] = []

    def download_with_url(url_string: str, file_path: str, unzip: bool = False) -> None:
        fetched.append(url_string)
        torch.save(unet().state_dict(), file_path)

    parts = {
        "hpacellseg": {},
        "hpacellseg.cellsegmentator": {"CellSegmentator": CellSegmentator, "transform": transform},
        "hpacellseg.constants": {
            f"{name}_URL": f"https://weights/{name}"
            for name in ("NUCLEI_MODEL", "MULTI_CHANNEL_CELL_MODEL", "TWO_CHANNEL_CELL_MODEL")
        },
        "hpacellseg.utils": {"download_with_url": download_with_url, "fetched": fetched},
        "pytorch_zoo": {},
        "pytorch_zoo.unet": {"DPNUnet": DPNUnet},
    }
    modules = {}
    for name, content in parts.items():
        modules[name] = ModuleType(name)
        vars(modules[name]).update(content)
        monkeypatch.setitem(sys.modules, name, modules[name])
        if "." in name:
            setattr(modules[name.split(".")[0]], name.split(".")[1], modules[name])
    return modules


@pytest.fixture
def cellpose(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    loaded: list[tuple[bool, str, torch.device]] = []
    asked: list[tuple[tuple[int, int], float]] = []

    class CellposeModel:
        def __init__(self, gpu: bool, pretrained_model: str, device: torch.device) -> None:
            loaded.append((gpu, pretrained_model, device))
            if "broken" in pretrained_model:
                raise pickle.UnpicklingError("not a CP4 model")

        def eval(self, x, channel_axis: int, diameter: float):
            assert x.shape[channel_axis] == 3
            asked.append((x.shape[:2], diameter))
            small = transform.resize(pictures()[2], x.shape[:2], order=0, preserve_range=True)
            return small.astype(np.uint16) * 3, [], []

    models = ModuleType("cellpose.models")
    models.MODEL_DIR, models.MODEL_NAMES = tmp_path, ["cpsam"]
    models.CellposeModel, models.get_user_models = CellposeModel, lambda: ["mine"]
    models.loaded, models.asked = loaded, asked
    package = ModuleType("cellpose")
    package.models = models
    monkeypatch.setitem(sys.modules, "cellpose", package)
    monkeypatch.setitem(sys.modules, "cellpose.models", models)
    return models
