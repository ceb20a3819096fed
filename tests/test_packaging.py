"""Every tool is one function, however it is called; what is shipped is whole."""

import argparse
import ast
import importlib
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import hpa_mmdet
from hpa_mmdet import cli

ROOT = Path(__file__).parents[1]
TOOLS = sorted(path.stem for path in (ROOT / "tools").glob("*.py"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_tools_and_cli_modules_are_the_same() -> None:
    assert sorted(cli.TOOLS) == TOOLS


@pytest.mark.parametrize("tool", TOOLS)
def test_a_tool_is_a_shim_over_its_module(tool: str) -> None:
    lines = (ROOT / "tools" / f"{tool}.py").read_text().splitlines()
    assert len(lines) <= 10
    assert f"from hpa_mmdet.cli.{tool} import main" in lines


@pytest.mark.parametrize("tool", TOOLS)
def test_a_tool_prints_its_help(tool: str, capsys: pytest.CaptureFixture[str]) -> None:
    module = importlib.import_module(f"hpa_mmdet.cli.{tool}")
    assert isinstance(module.build_parser(), argparse.ArgumentParser)
    with pytest.raises(SystemExit) as leave:
        module.main(["--help"])
    assert leave.value.code == 0
    told = capsys.readouterr().out
    assert "Exit status:" in told
    assert f"tools/{tool}.py" in told  # the example


@pytest.mark.parametrize("tool", TOOLS)
def test_hpa_mmdet_dispatches_to_the_same_function(
    tool: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[list[str]] = []

    def stand_in(argv: list[str]) -> int:
        called.append(argv)
        return 7

    monkeypatch.setattr(f"hpa_mmdet.cli.{tool}.main", stand_in)
    assert cli.main([tool.replace("_", "-"), "--some", "option"]) == 7
    assert called == [["--some", "option"]]


@pytest.mark.parametrize(
    ("words", "status"), [([], 2), (["no-such-tool"], 2), (["--help"], 0)], ids=str
)
def test_hpa_mmdet_lists_its_tools(
    words: list[str], status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(words) == status
    told = capsys.readouterr()
    listed = (told.err if status else told.out).splitlines()
    for tool in TOOLS:
        [line] = [line for line in listed if line.startswith(f"  {tool} ")]
        assert len(line.removeprefix(f"  {tool}").strip()) > 20
    assert (told.out == "") == bool(status)


def test_python_m_runs_the_same_tools() -> None:
    told = subprocess.run(
        [sys.executable, "-m", "hpa_mmdet", "split-coco", "--help"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert told.returncode == 0
    assert told.stdout.startswith("usage: split_coco")


def test_a_shim_runs_as_a_script() -> None:
    told = subprocess.run(
        [sys.executable, ROOT / "tools" / "doctor.py", "--help"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0
    assert told.stdout.startswith("usage: doctor")


def test_one_version_everywhere() -> None:
    assert hpa_mmdet.__version__ == PROJECT["version"] == metadata.version("hpa-mmdet")
    assert f"version: {PROJECT['version']}" in (ROOT / "CITATION.cff").read_text()
    changelog = (ROOT / "CHANGELOG.md").read_text()
    assert re.search(
        r"^## \[(Unreleased|" + re.escape(PROJECT["version"]) + r")\]", changelog, re.M
    )


def pinned() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pairs = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {name.lower().replace("_", "-"): version for name, version in pairs}


def test_constraints_pin_every_dependency_within_its_range() -> None:
    extras = PROJECT["optional-dependencies"]
    wanted = [*PROJECT["dependencies"], *extras["demo"], *extras["dev"]]
    pins = pinned()
    for text in wanted:
        requirement = Requirement(text)
        name = requirement.name.lower().replace("_", "-")
        assert name in pins, f"{name} is not in constraints.txt: run make constraints"
        assert requirement.specifier.contains(pins[name]), f"{name}=={pins[name]}"
    assert "opencv-python" not in pins  # its place is taken by opencv-python-headless
    assert not [name for name in pins if name.startswith(("nvidia-", "cuda-", "triton"))]


def test_every_dependency_has_its_reason() -> None:
    reasons = (ROOT / "docs" / "dependencies.md").read_text()
    extras = [text for extra in PROJECT["optional-dependencies"].values() for text in extra]
    names = {Requirement(text).name for text in [*PROJECT["dependencies"], *extras]}
    assert sorted(name for name in names if f"`{name}" not in reasons) == []


def test_make_help_lists_every_target() -> None:
    makefile = (ROOT / "Makefile").read_text()
    phony = re.search(r"^\.PHONY: ((?:.*\\\n)*.*)$", makefile, re.M)
    assert phony is not None
    told = subprocess.run(
        ["make", "help"], capture_output=True, text=True, check=True, cwd=ROOT
    ).stdout
    for target in phony[1].replace("\\", "").split():
        assert f"  {target} " in told


def test_what_is_imported_is_declared() -> None:
    extras = [text for extra in PROJECT["optional-dependencies"].values() for text in extra]
    declared = {
        Requirement(text).name.lower().replace("_", "-")
        for text in [*PROJECT["dependencies"], *extras]
    } | {"hpa-mmdet"}
    provided = metadata.packages_distributions()
    undeclared = {}
    for path in (ROOT / "hpa_mmdet").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            for name in names:
                module = name.partition(".")[0]
                makers = {maker.lower().replace("_", "-") for maker in provided.get(module, ())}
                if makers and not makers & declared:
                    undeclared[module] = path.name
    assert undeclared == {}


def test_test_files_have_names_of_their_own() -> None:
    # pytest imports them by their name alone, and refuses the second of two
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(name for name in names if names.count(name) > 1) == []
