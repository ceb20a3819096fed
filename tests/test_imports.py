"""Which rooms load what, and how large a module may be."""

import pkgutil
import subprocess
import sys
import tomllib
from pathlib import Path

import hpa_mmdet
from hpa_mmdet.compat import health

ROOT = Path(__file__).parents[1]
MODEL_STACK = {"torch", "torchvision", "timm", "mmdet", "mmengine", "mmcv"}


def modules_loaded_by(code: str) -> set[str]:
    """Run code in a fresh interpreter and name the top-level modules it loaded."""
    told = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    return {name.partition(".")[0] for name in told.stdout.split()}


LOWER_ROOMS = (
    "errors localizations masks io jobs pages coco scoring segment synth download reports crops"
)


def test_lower_rooms_load_no_model_stack() -> None:
    code = f"""
import importlib, pkgutil
import hpa_mmdet, hpa_mmdet.cli
for room in {LOWER_ROOMS!r}.split():
    package = importlib.import_module(f"hpa_mmdet.{{room}}")
    for module in pkgutil.walk_packages(getattr(package, "__path__", ()), f"hpa_mmdet.{{room}}."):
        importlib.import_module(module.name)
"""
    assert modules_loaded_by(code) & MODEL_STACK == set()


def test_converting_loads_no_model_stack(tmp_path: Path) -> None:
    code = f"""
import numpy as np
from pathlib import Path
from hpa_mmdet.io.label_images import write_label_image
from hpa_mmdet.cli.convert_coco import main
folder = Path({str(tmp_path)!r})
labels = np.zeros((23, 40), np.uint8)
labels[3:9, 5:30] = 4
write_label_image(folder / "masks" / "a_mask.png", labels)
(folder / "labels.csv").write_text("ID,Label\\na,3|5\\n")
status = main(["--masks", str(folder / "masks"), "--labels", str(folder / "labels.csv"),
               "--out", str(folder / "out.json")])
assert status == 0, status
"""
    assert modules_loaded_by(code) & MODEL_STACK == set()
    assert (tmp_path / "out.json").is_file()


def test_import_rules_hold() -> None:
    told = subprocess.run(
        [Path(sys.executable).parent / "lint-imports"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert told.returncode == 0, told.stdout


def test_every_room_has_its_layer() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    layers = " ".join(contracts["contracts"][0]["layers"]).replace("|", " ").split()
    rooms = {f"hpa_mmdet.{module.name}" for module in pkgutil.iter_modules(hpa_mmdet.__path__)}
    assert rooms - set(layers) == set()


def test_every_room_is_a_package_with_a_docstring() -> None:
    folders = {path.parent for path in (ROOT / "hpa_mmdet").rglob("*.py")}
    for folder in folders:
        assert (folder / "__init__.py").read_text().startswith(('"""', 'r"""')), folder


def test_no_module_is_longer_than_300_lines() -> None:
    long = {
        str(path.relative_to(ROOT)): count
        for path in [*(ROOT / "hpa_mmdet").rglob("*.py"), *(ROOT / "tools").glob("*.py")]
        if (count := len(path.read_text().splitlines())) > 300
    }
    assert long == {}


def test_opencv_links_nothing_of_a_desktop() -> None:
    assert health.desktop_libraries_of_cv2() == []
