"""The adapters against the real packages, where they are installed.

Neither edition of hpacellseg is in the package index; put the folder of one on PYTHONPATH.
"""

import inspect
from types import ModuleType

import numpy as np
import pytest
import torch
from ideal_cells import crowd, ideal_prediction

from hpa_mmdet.errors import InputError
from hpa_mmdet.segment.cellpose import load_cellpose
from hpa_mmdet.segment.compare import count_matches, overlaps
from hpa_mmdet.segment.hpacellseg_package import Engine
from hpa_mmdet.segment.labelling import label_cells

# what the packages import and call is theirs to renew
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def hpacellseg() -> ModuleType:
    return pytest.importorskip("hpacellseg.cellsegmentator", reason="hpacellseg not installed")


@pytest.mark.parametrize("three", [True, False], ids=["with yellow", "without"])
def test_the_real_segmentator_predicts_pictures_that_are_not_square(
    hpacellseg: ModuleType, three: bool
) -> None:
    network = torch.nn.Conv2d(3, 3, 1)  # in place of the real one, whose weights are not here
    with torch.no_grad():
        network.weight.zero_()
        network.bias[:] = torch.tensor([0.0, 0.0, 9.0])
        network.weight[2] = -50.0  # bright: outside
    dark_left = np.zeros((200, 330), np.uint8)
    dark_left[:, 165:] = 255
    planes = dict.fromkeys(("red", "yellow", "blue"), dark_left)
    for prediction in Engine(network, network, "cpu", three).predict(planes, 0.5):
        assert (prediction.shape, prediction.dtype) == ((100, 165, 3), np.uint8)
        assert prediction[:, :80, 2].min() > 250
        assert prediction[:, 85:, 2].max() < 5
        assert not prediction[..., 0].any()


def test_ours_labels_as_the_real_label_cell_does(hpacellseg: ModuleType) -> None:
    utils = pytest.importorskip("hpacellseg.utils", reason="hpacellseg not installed")
    nuclei, cells = crowd(6, (700, 900), seed=5)
    predictions = ideal_prediction(nuclei, 9), ideal_prediction(cells, 25)
    _, theirs = utils.label_cell(*(prediction.copy() for prediction in predictions))
    ours = label_cells(*predictions, step=4).cells
    assert count_matches(overlaps(np.asarray(theirs, np.int32), ours), 0.9) == 6 == ours.max()


def test_the_real_cellpose_has_what_is_called_and_is_not_let_on_the_network() -> None:
    models = pytest.importorskip("cellpose.models", reason="the extra cellpose is not installed")
    inspect.signature(models.CellposeModel).bind(
        gpu=False, pretrained_model="cpsam", device=torch.device("cpu")
    )
    inspect.signature(models.CellposeModel.eval).bind(None, None, channel_axis=2, diameter=30.0)
    assert "cpsam" in models.MODEL_NAMES
    with pytest.raises(InputError, match="expected a file, or one of"):
        load_cellpose("no such model", "cpu", download=False)
