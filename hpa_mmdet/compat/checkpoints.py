"""Loading checkpoints without running code from them.

A checkpoint is a pickle, and a pickle may name any function. torch's `weights_only`
unpickler refuses all but tensors and plain containers; beside those only the
reconstruction of numpy scalars and arrays is let through, and nothing ever falls back to
the unsafe way.
"""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy._core import multiarray

from hpa_mmdet.errors import InputError

MapLocation = str | torch.device | Callable[..., Any] | None


class BrokenFileError(InputError):
    """A checkpoint that is truncated or no checkpoint at all."""


def load_checkpoint_strict(path: str | Path, map_location: MapLocation = "cpu") -> dict[str, Any]:
    """Load a checkpoint that holds tensors, plain values and numpy arrays only.

    Args:
        path: the file; `~` is expanded.
        map_location: as in torch.load.

    Raises:
        InputError: there is no such file, it names anything else (an old or a hostile
            pickle; nothing of it is run), or it does not hold a dict.
        BrokenFileError: the file is truncated or no checkpoint.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise InputError(path, "no file", "a checkpoint", "check the path")
    try:
        with torch.serialization.safe_globals(_numpy_reconstruction()):
            checkpoint = torch.load(path, map_location=map_location, weights_only=True)
    except pickle.UnpicklingError as error:
        raise _refusal(path, str(error)) from error
    except (EOFError, RuntimeError, OSError, ValueError, KeyError, IndexError) as error:
        # a cut file ends in any of these, by where it was cut
        raise _broken(path, str(error)) from error
    if not isinstance(checkpoint, dict):
        raise InputError(
            path, f"a {type(checkpoint).__name__}", "a dict of tensors", "save model.state_dict()"
        )
    return checkpoint


def register_strict_loaders() -> None:
    """Make mmengine load every local and downloaded checkpoint strictly."""
    from mmengine.runner import checkpoint as mmengine_checkpoint

    register = mmengine_checkpoint.CheckpointLoader.register_scheme
    register(prefixes="", loader=load_from_local_strict, force=True)
    register(prefixes=("http://", "https://"), loader=load_from_http_strict, force=True)
    # its torchvision:// and openmmlab:// schemes call this one by name
    mmengine_checkpoint.load_from_http = load_from_http_strict


def load_from_local_strict(filename: str, map_location: MapLocation = None) -> dict[str, Any]:
    """Load a local file; see `load_checkpoint_strict`. mmengine's name for the scheme."""
    return load_checkpoint_strict(filename, map_location)


def load_from_http_strict(
    filename: str, map_location: MapLocation = None, model_dir: str | None = None, **_: object
) -> dict[str, Any]:
    """Download a checkpoint once into torch's cache and load it strictly.

    Source:
        torch.hub.load_state_dict_from_url for the cache's layout.
    """
    from mmengine.dist import barrier, is_main_process

    folder = Path(model_dir or Path(torch.hub.get_dir()) / "checkpoints")
    path = folder / filename.rpartition("/")[2]
    if is_main_process() and not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(filename, str(path))  # writes beside, then renames
        except (OSError, ValueError) as error:
            raise InputError(
                filename,
                problem=f"cannot be downloaded ({error})",
                remedy="download it elsewhere and give the file's path",
            ) from error
    barrier()
    return load_checkpoint_strict(path, map_location)


def _numpy_reconstruction() -> list[Any]:
    dtypes = {type(np.dtype(code)) for code in "?bBhHiIlLqQefd"}
    functions = (multiarray.scalar, multiarray._reconstruct)
    older_names = [
        (function, f"numpy.core.multiarray.{function.__name__}") for function in functions
    ]
    return [*functions, *older_names, np.ndarray, np.dtype, *dtypes]


def _refusal(path: Path, message: str) -> InputError:
    named = message.partition("GLOBAL ")[2].split(" ")[0]
    if not named:  # a pickle that ends early, or bytes that are no pickle
        return _broken(path, message.splitlines()[0])
    return InputError(
        path,
        f"a pickle that names {named}",
        "tensors, plain values and numpy arrays only (nothing else is loaded, since a pickle "
        "can run any code)",
        "if you trust its maker, load it in an environment of its own and save its "
        "state_dict alone: torch.save({'state_dict': checkpoint['state_dict']}, path)",
    )


def _broken(path: Path, message: str) -> BrokenFileError:
    return BrokenFileError(
        path,
        f"a truncated file or no checkpoint ({message.partition('.')[0]})",
        "a whole checkpoint",
        "copy it again, or take the one before it",
    )
