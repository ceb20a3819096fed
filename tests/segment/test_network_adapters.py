"""hpacellseg, cellpose and given masks: real interfaces, stood in for by small modules."""

import logging
import pickle
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from ideal_cells import crowd, ideal_prediction
from skimage import transform, util
from torch import nn

from hpa_mmdet.cli.export_segmenter import main as export
from hpa_mmdet.errors import InputError
from hpa_mmdet.io.label_images import write_label_image
from hpa_mmdet.segment import CellposeSegmenter, GivenMasks, HpaCellSegmenter, NucleusSize
from hpa_mmdet.segment.compare import count_matches, overlaps
from hpa_mmdet.segment.labelling import label_cells
from hpa_mmdet.segment.weights import export_plain, load_network

SHAPE_HW = (240, 400)
SIZE = NucleusSize(pixel_um=0.32)  # the networks' own grid: nothing is resized


class DPNUnet(nn.Module):
    """Names and sizes of the first and last tensors as the real one has them.

    Brightness of the last channel decides between background, border and inside.
    """

    def __init__(self, target_channel_num: int, input_channel_num: int = 3) -> None:
        super().__init__()
        self.encoder_stages = nn.ModuleList([nn.Sequential(nn.Conv2d(input_channel_num, 1, 1))])
        self.final = nn.Sequential(nn.Conv2d(1, target_channel_num, 1))
        self.initialize_encoder(self, "an address")

    def initialize_encoder(self, model: nn.Module, model_url: str) -> None:
        raise AssertionError(f"{model_url} would be fetched")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.final(self.encoder_stages[0](x))


class CellSegmentator:
    """The package's interface, and its faults on today's libraries."""

    def __init__(
        self,
        nuclei_model="./nuclei_model.pth",
        cell_model="./cell_model.pth",
        scale_factor=0.25,
        device="cuda",
        padding=False,
        multi_channel_model=True,
    ) -> None:
        if device != "cpu" and "cuda" not in device:
            raise ValueError(f"{device} is not a valid device (cuda/cpu)")
        self.nuclei_model, self.cell_model = nuclei_model, cell_model
        self.scale_factor, self.padding = scale_factor, padding
        self.multi_channel_model = multi_channel_model

    def _run(self, network, image):
        self.target_shape = image.shape
        rescale = sys.modules["hpacellseg.cellsegmentator"].transform.rescale
        image = rescale(image, self.scale_factor, multichannel=True)
        self.scaled_shape = image.shape[:2]
        rows, columns = self.scaled_shape
        margins = ((32, 32 - rows % 32), (32, 32 - columns % 32), (0, 0))
        image = np.pad(image, margins, mode="reflect").transpose(2, 0, 1)
        with torch.no_grad():
            return torch.softmax(network(torch.tensor(image[None]).float()), 1)[0].numpy()

    def _restore_scaling_padding(self, n_prediction):
        raise AssertionError("would swap height and width")

    def pred_nuclei(self, images):
        runs = [self._run(self.nuclei_model, np.dstack([image] * 3)) for image in images]
        return [self._restore_scaling_padding(util.img_as_ubyte(run)) for run in runs]

    def pred_cells(self, images, precombined=False):
        microtubules, er, nuclei = images
        if self.multi_channel_model != (er is not None):
            raise ValueError("er and model do not fit")
        er = er or [np.zeros_like(microtubules[0])]
        runs = [self._run(self.cell_model, np.dstack(stains)) for stains in zip(nuclei, er, microtubules, strict=True)]  # fmt: skip
        return [util.img_as_ubyte(self._restore_scaling_padding(run)) for run in runs]


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


def unet() -> DPNUnet:
    """A network whose three bands follow the brightness of the last channel."""

    class Built(DPNUnet):
        def initialize_encoder(self, *args: object) -> None:
            pass

    network = Built(3)
    with torch.no_grad():
        for layer in (network.encoder_stages[0][0], network.final[0]):
            layer.weight.zero_()
            layer.bias.zero_()
        network.encoder_stages[0][0].weight[0, 2] = 1.0
        # dark: background; half bright: border between cells; bright: inside
        network.final[0].weight[:, 0, 0, 0] = torch.tensor([0.0, 60.0, 120.0])
        network.final[0].bias[:] = torch.tensor([0.0, -15.0, -60.0])
    network.__class__ = DPNUnet  # pickled by that name
    return network


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "plain.pth"
    torch.save(unet().state_dict(), path)
    return path


def pictures(
    count: int = 12, seed: int = 1
) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Planes in which the stand-in network sees cells with borders; and the truth."""
    nuclei, cells = crowd(count, SHAPE_HW, seed)
    bands = [ideal_prediction(nuclei, 3), ideal_prediction(cells, 5)]
    blue, red = (
        np.where(b[..., 2] > 127, 255, np.where(b[..., 1] > 100, 96, 0)).astype(np.uint8)
        for b in bands
    )
    return {"red": red, "yellow": np.zeros_like(red), "blue": blue}, nuclei, cells


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
    for found in (*segmenter.segment_batch([planes, planes]), segmenter(two)):
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


def test_cellpose_gives_cells_and_ours_the_nuclei(cellpose: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "cpsam").touch()
    planes, nuclei, cells = pictures()
    diameter = 2 * np.sqrt((nuclei == 5).sum() / np.pi)
    segmenter = pickle.loads(pickle.dumps(CellposeSegmenter(size=NucleusSize(diameter))))
    found = segmenter(planes)
    assert count_matches(overlaps(cells, found.cells), 0.9) == 12
    inside = found.nuclei > 0
    np.testing.assert_array_equal(found.nuclei[inside], found.cells[inside])
    assert len(np.unique(found.nuclei)) == 13
    dark = {name: np.zeros((8, 9), np.uint8) for name in ("red", "blue")}
    assert not CellposeSegmenter()(dark).cells.any()
    with pytest.raises(InputError, match="found channels blue, expected blue, red"):
        CellposeSegmenter()({"blue": planes["blue"]})


@pytest.mark.parametrize(("diameter", "shape_hw"), [(80, (120, 200)), (40, (240, 400))])
def test_cellpose_is_shown_large_nuclei_smaller_with_the_cells_size(
    cellpose: ModuleType, tmp_path: Path, diameter: float, shape_hw: tuple[int, int]
) -> None:
    (tmp_path / "cpsam").touch()
    CellposeSegmenter(size=NucleusSize(diameter))(pictures()[0])
    assert cellpose.asked == [(shape_hw, pytest.approx(2.2 * 40))]


def test_cellpose_never_takes_another_model_than_the_one_named(
    cellpose: ModuleType, tmp_path: Path
) -> None:
    planes, *_ = pictures()
    for model, message in (
        ("cpsma", "found cpsma, expected a file, or one of cpsam, mine"),
        ("cpsam", "found no cpsam on this machine, expected the file .*cpsam; copy it there"),
    ):
        with pytest.raises(InputError, match=message):
            CellposeSegmenter(model, NucleusSize(30))(planes)
    for name in ("broken", "my own"):
        (tmp_path / name).touch()
    with pytest.raises(InputError, match=r"broken, which cannot be loaded .*expected a model"):
        CellposeSegmenter(str(tmp_path / "broken"), NucleusSize(30))(planes)
    with pytest.raises(InputError, match=r"--device: found cuda:99 .*expected cpu, cuda"):
        CellposeSegmenter("my own", NucleusSize(30), "cuda:99")(planes)
    # Cellpose would take its default for a file in its folder that its list does not name
    cellpose.loaded.clear()
    CellposeSegmenter("my own", NucleusSize(30))(planes)
    CellposeSegmenter("cpsam", NucleusSize(30), download=True)(planes)
    cpu = torch.device("cpu")
    assert cellpose.loaded == [(False, str(tmp_path / "my own"), cpu), (False, "cpsam", cpu)]


def test_given_masks_are_renumbered_and_checked(tmp_path: Path) -> None:
    planes, nuclei, cells = pictures()
    write_label_image(tmp_path / "cells" / "a.png", cells * 20)
    write_label_image(tmp_path / "nuclei" / "a_mask.tif", nuclei * 3)
    write_label_image(tmp_path / "cells" / "b.png", cells[:50])
    found = GivenMasks(tmp_path / "cells", tmp_path / "nuclei")(planes, "a")
    np.testing.assert_array_equal(found.cells, cells)
    np.testing.assert_array_equal(found.nuclei, nuclei)
    assert not GivenMasks(tmp_path / "cells")(planes, "a").nuclei.any()
    with pytest.raises(InputError, match="found 400x50, expected 400x240"):
        GivenMasks(tmp_path / "cells")(planes, "b")
    with pytest.raises(InputError, match="found no label image of c"):
        GivenMasks(tmp_path / "cells")(planes, "c")


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
