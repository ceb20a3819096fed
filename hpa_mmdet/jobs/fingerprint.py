"""Fingerprints: digests of all that a result depends on, so that only equal work is reused."""

import ast
import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

_PACKAGE = "hpa_mmdet"


def fingerprint(*content: object) -> str:
    """Hash values by their `repr`: plain values, dataclasses, tuples and lists of them.

    Returns:
        40 hexadecimal digits.

    Examples:
        >>> fingerprint("a", 1) == fingerprint("a", 1)
        True
    """
    text = repr(content).encode("utf-8", "surrogateescape")
    return hashlib.sha256(text).hexdigest()[:40]


def file_states(paths: Iterable[Path]) -> list[tuple[int, int]]:
    """Give size and time of change (ns) of files; (-1, -1) for one that is missing.

    Args:
        paths: whole files, so without the `#<plane>` of `io.naming.with_plane`.
    """
    return [_state(path) for path in paths]


def _state(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:  # reading it will say so
        return (-1, -1)
    return (status.st_size, status.st_mtime_ns)


@cache
def code_digest(*modules: str) -> str:
    """Hash the code of modules of this package and of all that they import from it.

    Comments, docstrings and layout do not count, so that an update which only words
    something anew keeps what was computed before it.

    Args:
        modules: dotted names, such as `hpa_mmdet.coco.convert_image`.
    """
    digest = hashlib.sha256()
    for name, source in sorted(_sources(modules).items()):
        digest.update(f"{name}\n{ast.dump(_without_docstrings(source))}\n".encode())
    return digest.hexdigest()[:40]


def _sources(modules: Iterable[str]) -> dict[str, ast.Module]:
    """Parse the modules and what they import, at any depth and place in the code."""
    found: dict[str, ast.Module] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name in found or not name.startswith(_PACKAGE + "."):
            continue
        path = _path_of(name)
        if path is None:  # a name that a module defines
            continue
        found[name] = ast.parse(path.read_bytes())
        for node in ast.walk(found[name]):
            if isinstance(node, ast.Import):
                waiting += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                waiting += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return found


def _path_of(module: str) -> Path | None:
    place = Path(__file__).parent.parent.joinpath(*module.split(".")[1:])
    for path in (place.with_suffix(".py"), place / "__init__.py"):
        if path.is_file():
            return path
    return None


def _without_docstrings(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if not isinstance(body, list):
            continue
        # strings that nothing uses: docstrings, and those below constants
        node.body = [  # type: ignore[attr-defined]
            statement
            for statement in body
            if not (
                isinstance(statement, ast.Expr)
                and isinstance(statement.value, ast.Constant)
                and isinstance(statement.value.value, str)
            )
        ]
    return tree
