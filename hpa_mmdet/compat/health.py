"""What is installed, whether it fits together, and the exact command where it does not.

Imports nothing of what it looks at but cv2, so that it can tell of a broken installation.
"""

import importlib
import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from packaging.requirements import Requirement

PIP = f"{sys.executable} -m pip"
HEADLESS = "opencv-python-headless"
FIX_OPENCV = (
    f"{PIP} uninstall -y opencv-python opencv-contrib-python",
    f"{PIP} install --force-reinstall --no-deps {HEADLESS}",
)
# installing one of these brings the desktop's OpenCV back
_BRING_OPENCV = ("mmcv-lite", "mmdet", "mmengine")
# packages that write the same folders as those of the second column
FAMILIES = {
    "onedl-mmengine": ("mmengine",),
    "onedl-mmcv": ("mmcv", "mmcv-lite"),
    "onedl-mmdetection": ("mmdet",),
}


class Finding(NamedTuple):
    """One thing looked at. `fix` holds the commands that mend it; empty where all is well."""

    subject: str
    found: str
    fix: tuple[str, ...] = ()
    optional: bool = False

    @property
    def is_broken(self) -> bool:
        """Whether something that is needed is missing or wrong."""
        return bool(self.fix) and not self.optional


def check_python() -> Finding:
    """Look at the interpreter's version."""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] in ((3, 11), (3, 12)):
        return Finding("python", version)
    return Finding("python", version, ("make PYTHON=/path/to/python3.12 install",))


def check_requirements(distribution: str = "hpa-mmdet") -> Iterator[Finding]:
    """Compare each requirement of a distribution with what is installed.

    Requirements of extras are optional: a missing one is listed under its extra.
    OpenCV is left to `check_opencv`.
    """
    missing_extras: dict[str, list[str]] = {}
    for text in metadata.requires(distribution) or []:
        requirement = Requirement(text)
        extra = _extra_of(requirement)
        version = installed_version(requirement.name)
        if requirement.name == HEADLESS:
            continue
        if version is None and extra:
            missing_extras.setdefault(extra, []).append(requirement.name)
        elif version is None or not requirement.specifier.contains(version, prereleases=True):
            wanted = f"{requirement.name}{requirement.specifier}"
            found = f"{version}, but {wanted} is needed" if version else "missing"
            after = FIX_OPENCV if requirement.name in _BRING_OPENCV else ()
            fix = (f"{PIP} install '{wanted}'", *after)
            yield Finding(requirement.name, found, fix, bool(extra))
        elif not extra:
            yield Finding(requirement.name, str(version))
    for extra, names in missing_extras.items():
        found = f"not installed: {', '.join(names)}"
        commands = (_install_extra(distribution, extra), *FIX_OPENCV)
        yield Finding(f"extra {extra}", found, commands, optional=True)


def check_families() -> Iterator[Finding]:
    """Look for both the original and the forked mm* packages, which overwrite each other."""
    for fork, originals in FAMILIES.items():
        for original in originals:
            if installed_version(fork) and installed_version(original):
                yield Finding(
                    f"{fork} and {original}",
                    "both installed: they write the same folder, so two versions are mixed",
                    (
                        f"{PIP} uninstall -y {fork} {original}",
                        f"{PIP} install --force-reinstall --no-deps {original}",
                    ),
                )


def check_opencv() -> Finding:
    """Look whether OpenCV is the headless build alone, which runs on a bare server."""
    names = (HEADLESS, "opencv-python", "opencv-contrib-python")
    versions = [f"{name} {installed_version(name)}" for name in names if installed_version(name)]
    if not versions:
        return Finding("opencv", "missing", (f"{PIP} install {HEADLESS}",))
    trouble = [f"{len(versions)} builds that write the same folder"] if len(versions) > 1 else []
    desktop = desktop_libraries_of_cv2()
    if desktop:
        trouble.append(f"links {', '.join(desktop)}, which a bare server lacks")
    try:
        importlib.import_module("cv2")
    except ImportError as error:
        trouble.append(f"cannot be imported ({error})")
    found = " and ".join(versions)
    if trouble or not versions[0].startswith(HEADLESS):
        return Finding("opencv", "; ".join([found, *trouble]), FIX_OPENCV)
    return Finding("opencv", found)


def desktop_libraries_of_cv2() -> list[str]:
    """List the desktop's libraries that cv2's own library links, directly or not.

    Returns:
        Names such as libGL.so.1; empty too where `ldd` is absent (only Linux has the
        problem).
    """
    spec = importlib.util.find_spec("cv2")
    ldd = shutil.which("ldd")
    if spec is None or spec.origin is None or ldd is None:
        return []
    libraries = sorted(Path(spec.origin).parent.glob("cv2*.so"))
    linked = subprocess.run(
        [ldd, *map(str, libraries)], capture_output=True, text=True, check=False
    ).stdout
    names = {line.split()[0] for line in linked.splitlines() if "=>" in line}
    return sorted(name for name in names if name.startswith(("libGL", "libxcb", "libX11")))


def installed_version(name: str) -> str | None:
    """Give the installed version of a distribution, None where it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _install_extra(distribution: str, extra: str) -> str:
    """Install an extra from the checkout that this file is in, else from the registry."""
    root = Path(__file__).parents[2]
    if (root / "constraints.txt").is_file():
        return f"{PIP} install -c '{root / 'constraints.txt'}' -e '{root}[{extra}]'"
    return f"{PIP} install '{distribution}[{extra}]'"


def _extra_of(requirement: Requirement) -> str:
    marker = str(requirement.marker or "")
    return marker.split("extra == ")[1].strip("\"' )") if "extra == " in marker else ""
