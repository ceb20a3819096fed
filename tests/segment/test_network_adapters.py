"""hpacellseg, cellpose and given masks: real interfaces, stood in for by small modules."""

import logging
import pickle
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from adapter_pictures import DPNUnet, pictures, unet
from ideal_cells import crowd, ideal_prediction
from skimage import transform
from torch import nn

from hpa_mmdet.cli.export_segmenter import main as export
from hpa_mmdet.errors import InputError
from hpa_mmdet.segment import CellposeSegmenter, HpaCellSegmenter, NucleusSize
from hpa_mmdet.segment.compare import count_matches, overlaps
from hpa_mmdet.segment.labelling import label_cells
from hpa_mmdet.segment.weights import export_plain, load_network

SIZE = NucleusSize(pixel_um=0.32)  # the networks' own grid: nothing is resized


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "plain.pth"
    torch.save(unet().state_dict(), path)
    return path


@pytest.mark.parametrize("step", [1, 2])
def test_clean_predictions_are_labelled_with_shared_ids(step: int) -> None:
    nuclei, cells = crowd(12, (240 * step, 400 * step), seed=2)
    predictions = ideal_prediction(nuclei, 2 * step + 1), ideal_prediction(cells, 4 * step + 1)
    found = label_cells(*predictions, step=step)
    assert count_matches(overlaps(cells, found.cells), 0.9) == 12 == found.cells.max()
    assert count_matches(overlaps(nuclei, found.nuclei), 0.85) == 12
    inside = found.nuclei > 0
    np.testing.assert_array_equal(found.nuclei[inside], found.cells[inside])


def test_more_than_255_cells_do_not_wrap_round() -> None:
    nuclei, cells = crowd(300, (1000, 1300), seed=4)
    found = label_cells(ideal_prediction(nuclei, 3), ideal_prediction(cells, 5))
    assert found.cells.max() == count_matches(overlaps(cells, found.cells), 0.85) == 300


@pytest.mark.parametrize(
    ("nuclei", "cells", "message"),
    [
        pytest.param(np.zeros((4, 5), np.uint8), None, r"nuclei prediction: found \(4, 5\)", id="2-D"),
        pytest.param(None, np.zeros((4, 5, 3)), "cell prediction: found .*float64", id="float"),
        pytest.param(None, np.zeros((5, 4, 3), np.uint8), "expected one size", id="sizes"),
    ],
)  # fmt: skip
def test_predictions_of_another_form_are_refused(nuclei, cells, message: str) -> None:
    good = np.zeros((4, 5, 3), np.uint8)
    with pytest.raises(InputError, match=message):
        label_cells(good if nuclei is None else nuclei, good if cells is None else cells)
    assert not label_cells(good, good).cells.any()


def test_the_hpa_segmenter_runs_on_pictures_that_are_not_square(package, weights: Path) -> None:
    planes, _, cells = pictures()
    segmenter = pickle.loads(pickle.dumps(HpaCellSegmenter(weights, weights, SIZE)))
    two = {name: planes[name] for name in ("red", "blue")}
    both = segmenter.segment_batch([planes, planes])
    assert len(both) == 2
    for found in (*both, segmenter(two)):
        assert count_matches(overlaps(cells, found.cells), 0.85) == 12
    twice = {name: np.repeat(np.repeat(plane, 2, 0), 2, 1) for name, plane in planes.items()}
    wide = {name: (plane.astype(np.uint16) * 17) for name, plane in twice.items()}
    found = HpaCellSegmenter(weights, weights, NucleusSize(pixel_um=0.16))(wide)
    assert count_matches(overlaps(cells.repeat(2, 0).repeat(2, 1), found.cells), 0.8) == 12
    assert package["hpacellseg.cellsegmentator"].transform is transform  # put back
    with pytest.raises(InputError, match="found images with and without yellow"):
        segmenter.segment_batch([planes, two])
    with pytest.raises(InputError, match=r"found cuda:99 .*expected cpu, cuda"):
        HpaCellSegmenter(weights, weights, SIZE, device="cuda:99")(planes)
    with pytest.raises(InputError, match=r"found tpu, expected cpu, cuda"):
        HpaCellSegmenter(weights, weights, SIZE, device="cpu")._engine(True).__init__(
            nn.Identity(), nn.Identity(), "tpu", True
        )


def test_pickled_weights_need_trust_and_an_export_does_not(
    package, tmp_path: Path, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    pickled, plain = tmp_path / "whole.pth", tmp_path / "plain.safetensors"
    torch.save(unet(), pickled)
    with pytest.raises(InputError, match="found a pickled network, which runs code"):
        load_network(pickled)
    assert export([str(pickled), "--out", str(plain)]) == 2
    assert not plain.exists()
    with caplog.at_level(logging.WARNING):
        assert export([str(pickled), "--out", str(plain), "--trust-pickle"]) == 0
    assert "running the code in" in caplog.text
    assert export([str(pickled), "--out", str(plain), "--trust-pickle"]) == 2
    assert "give --overwrite" in capsys.readouterr().err
    for path, trust in ((plain, False), (pickled, True)):
        network = load_network(path, trust_pickle=trust)
        assert not network.training
        for name, tensor in unet().state_dict().items():
            torch.testing.assert_close(network.state_dict()[name], tensor)


def test_a_hostile_pickle_does_not_run(package, tmp_path: Path) -> None:
    path, mark = tmp_path / "hostile.pth", tmp_path / "ran"

    class Hostile:
        def __reduce__(self) -> tuple[object, ...]:
            return (open, (str(mark), "w"))

    torch.save({"a": Hostile()}, path)
    with pytest.raises(InputError, match="runs code"):
        load_network(path)
    assert not mark.exists()


def test_weights_that_cannot_be_used_are_named(package, tmp_path: Path, weights: Path) -> None:
    (tmp_path / "cut.pth").write_bytes(weights.read_bytes()[:200])
    (tmp_path / "cut.safetensors").write_bytes(b"1234567890")
    torch.save({"other": torch.zeros(2)}, tmp_path / "other.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    for name, message in (
        ("none.pth", "found no file"),
        ("cut.pth", "found no weights"),
        ("cut.safetensors", "found no weights"),
        ("other.pth", "found other tensors"),
        ("list.pth", "found a list, expected a network"),
    ):
        with pytest.raises(InputError, match=message):
            load_network(tmp_path / name)
    with pytest.raises(InputError, match=r"expected \.safetensors, \.pt or \.pth"):
        export_plain(weights, tmp_path / "a.onnx", trust_pickle=False)


def test_missing_weights_are_fetched_only_where_that_is_allowed(
    package, tmp_path: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planes, *_ = pictures()
    missing = tmp_path / "cells.pth"
    with pytest.raises(InputError, match="to be had from https://weights/MULTI_CHANNEL"):
        HpaCellSegmenter(weights, missing, SIZE)(planes)
    HpaCellSegmenter(weights, missing, SIZE, download=True)(planes)
    assert package["hpacellseg.utils"].fetched == ["https://weights/MULTI_CHANNEL_CELL_MODEL"]

    def no_network(address: str, path: str) -> None:
        raise OSError("no route")

    monkeypatch.setattr(package["hpacellseg.utils"], "download_with_url", no_network)
    missing.unlink()
    with pytest.raises(InputError, match=r"found no answer \(no route\)"):
        HpaCellSegmenter(weights, missing, SIZE, download=True)(planes)


def test_what_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch, weights: Path) -> None:
    planes, *_ = pictures()
    for name in ("hpacellseg", "pytorch_zoo", "cellpose"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError, match="pytorch_zoo: found none"):
        HpaCellSegmenter(weights, weights, SIZE)(planes)
    with pytest.raises(InputError, match="found no working hpacellseg"):
        HpaCellSegmenter(weights.with_name("absent"), weights, SIZE)(planes)
    with pytest.raises(InputError, match="found no cellpose"):
        CellposeSegmenter(size=NucleusSize(diameter_px=30))(planes)


def test_the_encoder_is_built_without_its_download(package, weights: Path) -> None:
    seen = []
    entry = {"init_op": lambda **options: seen.append(options)}
    zoo = ModuleType("pytorch_zoo.abstract_model")
    zoo.encoder_params = {"dpn92": entry}
    sys.modules["pytorch_zoo.abstract_model"] = zoo
    try:
        original, init = entry["init_op"], DPNUnet.__init__
        unet_module = SimpleNamespace(DPNUnet=type("Net", (DPNUnet,), {"__init__": lambda self, *a: (init(self, *a), entry["init_op"]())[0]}))  # fmt: skip
        package["pytorch_zoo.unet"].DPNUnet = unet_module.DPNUnet
        load_network(weights)
        assert seen == [{"pretrained": None}]
        assert entry["init_op"] is original
    finally:
        del sys.modules["pytorch_zoo.abstract_model"]
