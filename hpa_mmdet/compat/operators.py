"""Give mmcv its operators where it was installed without compiled ones."""

import importlib
import importlib.util
import sys
from importlib.machinery import PathFinder

EXTENSION = "mmcv._ext"


def install() -> bool:
    """Register torchvision's operators under mmcv's name, where mmcv has none of its own.

    Call it before `mmcv.ops` is imported. A compiled mmcv is left as it is, and a second
    call changes nothing.

    Returns:
        Whether the operators now come from torchvision.
    """
    from hpa_mmdet.compat import torchvision_ops

    if EXTENSION not in sys.modules and not has_compiled_operators():
        sys.modules[EXTENSION] = torchvision_ops.make_extension(EXTENSION)
    return isinstance(sys.modules.get(EXTENSION), torchvision_ops.Extension)


def has_compiled_operators() -> bool:
    """Say whether mmcv has operators of its own, without importing it."""
    package = importlib.util.find_spec("mmcv")
    if package is None or package.submodule_search_locations is None:
        return False
    return PathFinder.find_spec(EXTENSION, package.submodule_search_locations) is not None


def source_of(operator: str) -> str:
    """Say where an operator comes from: mmcv, torchvision or nowhere."""
    install()
    from hpa_mmdet.compat import torchvision_ops

    extension = importlib.import_module(EXTENSION)
    if not isinstance(extension, torchvision_ops.Extension):
        return "mmcv" if hasattr(extension, operator) else "nowhere"
    return "torchvision" if operator in torchvision_ops.SUPPLIED else "nowhere"
