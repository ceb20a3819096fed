"""One call before mmdet is imported."""

import getpass
import os
import tempfile
import warnings
from functools import cache

from hpa_mmdet.errors import InputError

TORCH_FLOOR = "2.10"

# Said at import by packages that we cannot change, matched by their exact text.
KNOWN_WARNINGS: tuple[tuple[str, type[Warning]], ...] = (
    # mmengine reads versions through setuptools
    (r"pkg_resources is deprecated as an API", UserWarning),
    (r"Deprecated call to `pkg_resources\.declare_namespace", DeprecationWarning),
)


@cache
def prepare() -> None:
    """Make torch, mmcv and albumentations ready for mmdet; safe to call again.

    Checks torch's version, supplies mmcv's operators, makes mmengine load checkpoints
    strictly, keeps albumentations from looking for a newer version over the network, names a
    user that the system does not know, keeps freed memory for the next image (`memory`),
    silences what third parties say at import.

    Raises:
        InputError: torch is missing or too old, or torchvision does not fit it.
    """
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
    name_user()
    for message, category in KNOWN_WARNINGS:
        warnings.filterwarnings("ignore", message=message, category=category)
    check_torch()
    from hpa_mmdet.compat import checkpoints, memory, operators

    memory.keep_freed_memory()

    operators.install()
    checkpoints.register_strict_loaders()


def name_user() -> None:
    """Give the user a name and a home where the system knows neither.

    A container may run under a number without an entry in /etc/passwd. torch asks for the
    user's name when it chooses its cache folder; the caches of torch and timm are in the home.
    """
    try:
        getpass.getuser()
    except (KeyError, OSError):  # OSError since Python 3.13
        os.environ["LOGNAME"] = f"uid{os.getuid()}"
    if os.path.expanduser("~") == "~":  # noqa: PTH111 (Path.home raises where there is none)
        os.environ["HOME"] = tempfile.gettempdir()


def check_torch() -> None:
    """Require a torch whose safe checkpoint loading is safe, and a torchvision that fits it.

    Raises:
        InputError: one of them is missing, too old, or they do not fit.
    """
    import torch

    if torch.__version__ < TORCH_FLOOR:  # compared as versions by torch
        raise InputError(
            "torch",
            f"version {torch.__version__}",
            f"at least {TORCH_FLOOR} (older ones run code from a checkpoint: CVE-2025-32434, "
            "CVE-2026-24747)",
            "pip install -c constraints.txt torch torchvision",
        )
    try:
        import torchvision  # noqa: F401
    except RuntimeError as error:  # "operator torchvision::nms does not exist"
        raise InputError(
            "torchvision",
            f"a build that does not fit torch {torch.__version__} ({error})",
            "both from one index",
            "pip install --force-reinstall --no-deps torch torchvision from the same index",
        ) from error
