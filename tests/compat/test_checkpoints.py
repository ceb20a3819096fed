"""Checkpoints: what is plain loads, what names code does not run, what is cut says so."""

import os
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from hpa_mmdet.compat import prepare
from hpa_mmdet.compat.checkpoints import (
    BrokenFileError,
    load_checkpoint_strict,
    load_from_http_strict,
)
from hpa_mmdet.errors import InputError

prepare()

from mmengine.logging import HistoryBuffer  # noqa: E402
from mmengine.runner import CheckpointLoader, load_checkpoint  # noqa: E402


class Payload:
    """Unpickled, it would make a file."""

    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[object, ...]:
        return (os.mkdir, (str(self.victim),))


def test_tensors_plain_values_and_numpy_come_back(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    content = {
        "state_dict": OrderedDict(weight=torch.arange(6.0).view(2, 3)),
        "meta": {"epoch": 3, "names": ("a", "b"), "best": None, "rate": 0.5, "blob": b"\x00\xff"},
        "scalars": [np.float64(0.25), np.float32(0.5), np.int64(7), np.bool_(True)],
        "array": np.arange(6, dtype=np.uint8).reshape(2, 3),
        "half": np.ones(3, np.float16),
    }
    torch.save(content, path)
    loaded = load_checkpoint_strict(path)
    torch.testing.assert_close(loaded["state_dict"], content["state_dict"])
    assert loaded["meta"] == content["meta"]
    assert loaded["scalars"] == content["scalars"]
    np.testing.assert_array_equal(loaded["array"], content["array"])
    np.testing.assert_array_equal(loaded["half"], content["half"])


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_a_hostile_pickle_does_not_run(zipped: bool, tmp_path: Path) -> None:
    victim, path = tmp_path / "made-by-payload", tmp_path / "hostile.pth"
    torch.save({"state_dict": Payload(victim)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(InputError, match=r"hostile\.pth: found a pickle that names \w*\.?mkdir"):
        load_checkpoint_strict(path)
    assert not victim.exists()
    pickle.loads(pickle.dumps(Payload(victim)))  # the payload itself works
    assert victim.exists()


@pytest.mark.parametrize(
    "load",
    [
        pytest.param(CheckpointLoader.load_checkpoint, id="loader"),
        pytest.param(lambda path: load_checkpoint(torch.nn.Linear(2, 3), path), id="model"),
    ],
)
def test_mmengine_loads_strictly_too(
    load: Callable[[str], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the variable that switches torch's own default off must not open the door again
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    victim, path = tmp_path / "made-by-payload", tmp_path / "hostile.pth"
    torch.save({"state_dict": Payload(victim)}, path)
    with pytest.raises(InputError, match="found a pickle that names"):
        load(str(path))
    assert not victim.exists()


def test_a_downloaded_checkpoint_loads_strictly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    victim = tmp_path / "made-by-payload"
    (tmp_path / "cache").mkdir()
    torch.save({"state_dict": Payload(victim)}, tmp_path / "cache" / "net.pth")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "cache").rename(tmp_path / "checkpoints")
    models = {"net": "https://localhost/net.pth"}
    monkeypatch.setattr("mmengine.runner.checkpoint.get_torchvision_models", lambda: models)
    for address in ("http://localhost/net.pth", "https://localhost/net.pth", "torchvision://net"):
        with pytest.raises(InputError, match="found a pickle that names"):
            CheckpointLoader.load_checkpoint(address)
    assert not victim.exists()


def test_a_download_lands_in_the_cache_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched: list[str] = []

    def download(address: str, target: str) -> None:
        fetched.append(address)
        torch.save({"state_dict": {"weight": torch.ones(2)}}, target)

    monkeypatch.setattr(torch.hub, "download_url_to_file", download)
    for _ in range(2):
        loaded = load_from_http_strict("https://localhost/net.pth", model_dir=str(tmp_path / "new"))
        assert loaded["state_dict"]["weight"].tolist() == [1, 1]
    assert fetched == ["https://localhost/net.pth"]


def test_an_old_checkpoint_of_mmengine_names_what_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "old.pth"
    torch.save({"state_dict": {}, "message_hub": {"loss": HistoryBuffer([1.0], [1])}}, path)
    with pytest.raises(InputError, match=r"names mmengine\.logging\.history_buffer\.HistoryBuffer"):
        load_checkpoint_strict(path)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9, 0.999])
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_a_truncated_checkpoint_says_so(zipped: bool, share: float, tmp_path: Path) -> None:
    path = tmp_path / "cut.pth"
    weights = {"state_dict": {"weight": torch.rand(50, 70)}}
    torch.save(weights, path, _use_new_zipfile_serialization=zipped)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(BrokenFileError, match=r"cut\.pth: found a truncated file or no checkpoint"):
        load_checkpoint_strict(path)


@pytest.mark.parametrize("content", [b"hello, world\n", b"\x89PNG\r\n\x1a\n" + bytes(50)])
def test_a_file_of_another_kind_says_so(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    path.write_bytes(content)
    with pytest.raises(BrokenFileError, match=r"other\.pth: found a truncated file or no"):
        load_checkpoint_strict(path)


def test_a_zip_of_another_kind_says_so(tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "hello")
    with pytest.raises(BrokenFileError, match="found a truncated file or no checkpoint"):
        load_checkpoint_strict(path)


def test_no_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.pth: found no file, expected a checkpoint"):
        load_checkpoint_strict(tmp_path / "none.pth")


def test_a_checkpoint_that_is_no_dict_says_so(tmp_path: Path) -> None:
    torch.save([torch.ones(2)], tmp_path / "list.pth")
    with pytest.raises(InputError, match=r"list\.pth: found a list, expected a dict of tensors"):
        load_checkpoint_strict(tmp_path / "list.pth")
