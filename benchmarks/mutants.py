"""Change the code in small ways and see whether the tests notice: a check of the tests.

Example:
    python benchmarks/mutants.py segment masks scoring io --sample 100

For each room a sample of mutants is drawn: a comparison or a sign turned, a constant doubled, a
condition negated, a loop that ends after one round, a limit left out. Each is tried on the
tests that run its line, in a copy of the repository, and counts as killed where one of them
fails. Tests slower than --slowest are left out. Survivors are printed. Those that no test could
kill, because they change nothing, are named in benchmarks/mutants_equivalent.txt with the
reason and do not count; "in" and the text of the line says which of several like it is meant.
"""

import argparse
import ast
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

REPOSITORY = Path(__file__).parent.parent
EQUIVALENT = Path(__file__).with_name("mutants_equivalent.txt")
_COMPARE = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_BINARY = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Div,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
}
_LIMITS = ("min", "max", "minimum", "maximum", "clip", "blur")


class Mutant(NamedTuple):
    """One change of a file."""

    path: Path
    line: int
    old: str
    new: str
    source: str

    @property
    def keys(self) -> tuple[str, str]:
        """Name the change without its line number, which moves with the code; with its text."""
        change = f"{self.path.as_posix()}: {self.old} -> {self.new}"
        text = (REPOSITORY / self.path).read_text(encoding="utf-8").splitlines()[self.line - 1]
        return change, f"{change} in {text.strip()}"


def mutants_of(path: Path) -> Iterator[Mutant]:
    """List the mutants of a file of the repository."""
    source = (REPOSITORY / path).read_text(encoding="utf-8")
    lines = source.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line.encode()))
    raw = source.encode()
    for node, changed in _changes(ast.parse(source)):
        begin = starts[node.lineno - 1] + node.col_offset
        end = starts[node.end_lineno - 1] + node.end_col_offset
        old, new = raw[begin:end].decode(), ast.unparse(changed)
        if not isinstance(changed, ast.stmt):
            new = f"({new})"
        mutated = (raw[:begin] + new.encode() + raw[end:]).decode()
        yield Mutant(path, node.lineno, " ".join(old.split()), new, mutated)


def _changes(tree: ast.AST) -> Iterator[tuple[Any, Any]]:
    for name, value in ast.iter_fields(tree):
        if name in ("annotation", "returns", "decorator_list") or isinstance(tree, ast.JoinedStr):
            continue
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or isinstance(child, ast.Raise | ast.Assert):
                continue
            if isinstance(child, ast.keyword) and child.arg == "strict":
                continue  # of zip: an assertion
            yield from _of_node(child, tree)
            yield from _changes(child)


def _of_node(node: Any, parent: Any) -> Iterator[tuple[Any, Any]]:
    yield from _of_operator(node)
    match node:
        case ast.Constant(bool() as value):
            yield node, ast.Constant(not value)
        case ast.Constant(int() | float() as value):
            yield node, ast.Constant(_other_number(value, parent))
        case ast.IfExp(test, body, orelse):
            yield node, ast.IfExp(ast.UnaryOp(ast.Not(), test), body, orelse)
        case ast.If(test) | ast.While(test):
            yield test, ast.UnaryOp(ast.Not(), test)
        case ast.For(_, loop) | ast.comprehension(_, loop):
            once = f"list({ast.unparse(loop)})[:1]"
            yield loop, ast.parse(once, mode="eval").body
        case ast.Call(ast.Name(name) | ast.Attribute(_, name), [first, _, *_]) if name in _LIMITS:
            yield node, first
        case ast.AugAssign(target, ast.Add() | ast.Sub() | ast.Mult() as op, value):
            yield node, ast.AugAssign(target, _BINARY[type(op)](), value)


def _of_operator(node: Any) -> Iterator[tuple[Any, Any]]:
    match node:
        case ast.Compare(left, [op], [right]) if type(op) in _COMPARE:
            yield node, ast.Compare(left, [_COMPARE[type(op)]()], [right])
        case ast.BinOp(left, op, right) if type(op) in _BINARY:
            yield node, ast.BinOp(left, _BINARY[type(op)](), right)
        case ast.BoolOp(op, values):
            yield node, ast.BoolOp(ast.Or() if isinstance(op, ast.And) else ast.And(), values)
        case ast.UnaryOp(ast.Not() | ast.USub() | ast.Invert(), operand):
            yield node, operand


def _other_number(value: float, parent: Any) -> float:
    # a constant with a name is a setting, of which one more says little
    if isinstance(value, float) or isinstance(parent, ast.Assign | ast.AnnAssign):
        return 2 * value if value else 1
    return value + 1


class _Coverage:
    """A plugin of pytest: which tests run which lines of a room, and how long each takes."""

    def __init__(self, room: str) -> None:
        self.room = f"/hpa_mmdet/{room}/"
        self.tests: dict[str, set[str]] = {}
        self.seconds: dict[str, float] = {}
        self.failed: list[str] = []
        self._now = ""

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self._now = nodeid
        sys.settrace(self._trace)

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.seconds[report.nodeid] = self.seconds.get(report.nodeid, 0.0) + report.duration
        if report.failed:
            self.failed.append(report.nodeid)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        sys.settrace(None)

    def _trace(self, frame: Any, event: str, argument: Any) -> Any:
        name = frame.f_code.co_filename
        if self.room not in name:
            return None
        key = f"{name[name.index('hpa_mmdet') :]}:{frame.f_lineno}"
        self.tests.setdefault(key, set()).add(self._now)
        return self._trace


def in_child(work: Callable[[], int], limit_s: float) -> int:
    """Run a function in a fork; give its exit status, or that of a killed process."""
    child = os.fork()
    if child == 0:
        os.setsid()
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, 1)
        os.dup2(sink, 2)
        os._exit(work())
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.killpg(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def measure(room: str, tests: str, folder: Path) -> tuple[dict[str, list[str]], dict[str, float]]:
    """Run a room's tests as they are; give the tests of each line and their times."""
    import pytest

    result = folder / "coverage.json"

    def work() -> int:
        plugin = _Coverage(room)
        status = int(pytest.main(["-q", "-p", "no:cacheprovider", tests], plugins=[plugin]))
        lines = {line: sorted(names) for line, names in plugin.tests.items()}
        result.write_text(json.dumps([lines, plugin.seconds, plugin.failed]))
        return status

    in_child(work, 3600)
    lines, seconds, failed = json.loads(result.read_text())
    if failed:
        raise SystemExit(f"these tests fail without any change: {', '.join(failed)}")
    return lines, seconds


def is_killed(mutant: Mutant, tests: list[str], folder: Path, limit_s: float) -> bool:
    """Try a mutant on some tests."""
    import pytest

    if not tests:
        return False
    target = folder / mutant.path
    whole = target.read_bytes()
    target.write_text(mutant.source, encoding="utf-8")
    try:
        options = ["-q", "-x", "-p", "no:cacheprovider"]
        return in_child(lambda: int(pytest.main([*options, *tests])), limit_s) != 0
    finally:
        target.write_bytes(whole)


def try_room(room: str, args: argparse.Namespace, folder: Path) -> tuple[int, int]:
    """Try a sample of a room's mutants; give how many there were and how many were killed."""
    files = sorted((REPOSITORY / "hpa_mmdet" / room).rglob("*.py"))
    paths = [path.relative_to(REPOSITORY) for path in files]
    known = EQUIVALENT.read_text(encoding="utf-8").splitlines() if EQUIVALENT.exists() else []
    equivalent = {line.split("  # ")[0] for line in known}
    mutants = [
        mutant
        for path in paths
        if not args.files or any(text in path.as_posix() for text in args.files)
        for mutant in mutants_of(path)
        if equivalent.isdisjoint(mutant.keys)
    ]
    lines, seconds = measure(room, f"tests/{room}", folder)
    chosen = random.Random(args.seed).sample(mutants, min(args.sample, len(mutants)))
    killed = 0
    for at, mutant in enumerate(chosen, start=1):
        # constants of a module are read when it is imported, before any test
        tests = lines.get(f"{mutant.path.as_posix()}:{mutant.line}") or sorted(seconds)
        quick = sorted(
            (name for name in tests if seconds[name] <= args.slowest), key=seconds.__getitem__
        )
        limit_s = min(120.0, 30 + 10 * sum(seconds[name] for name in quick))
        if is_killed(mutant, quick, folder, limit_s):
            killed += 1
        else:
            print(f"survived {mutant.path}:{mutant.line}: {mutant.old} -> {mutant.new}", flush=True)
        if at % 20 == 0:
            print(f"{room}: {killed} of {at} killed", flush=True)
    return len(chosen), killed


def main() -> None:
    """Try the rooms one after the other."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rooms", nargs="*", default=["masks", "segment", "scoring", "io"])
    parser.add_argument("--sample", type=int, default=100, help="mutants of each room")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--files", nargs="*", default=(), help="only files whose path has one of these in it"
    )
    parser.add_argument("--slowest", type=float, default=4.0, help="seconds of a test")
    args = parser.parse_args()
    for name in ("cv2", "scipy.ndimage", "skimage.segmentation", "tifffile", "pandas", "torch"):
        __import__(name)  # once, before the forks
    sys.dont_write_bytecode = True  # two mutants of one second and size would be taken for one
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        for name in ("hpa_mmdet", "tests", "benchmarks", "configs", "tools", "docs"):
            shutil.copytree(
                REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        shutil.copy(REPOSITORY / "pyproject.toml", folder)
        os.chdir(folder)
        sys.path[:] = [str(folder), *(path for path in sys.path if path != str(REPOSITORY))]
        os.environ["PYTHONPATH"] = str(folder)
        results = {room: try_room(room, args, folder) for room in args.rooms}
    for room, (count, killed) in results.items():
        share = f"{killed / count:.0%}" if count else "none"
        print(f"{room}: {killed} of {count} mutants killed, {share}")


if __name__ == "__main__":
    main()
