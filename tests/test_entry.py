"""run_tool: what every tool does with errors, closed pipes and odd terminals."""

import argparse
import errno
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hpa_mmdet.cli.entry import new_parser, run_tool
from hpa_mmdet.errors import InputError

ROOT = Path(__file__).parents[1]


def parser() -> argparse.ArgumentParser:
    made = new_parser("a_tool", "Does nothing.")
    made.add_argument("--word", default="none")
    return made


def raising(error: BaseException) -> Callable[[argparse.Namespace], int]:
    def run(args: argparse.Namespace) -> int:
        raise error

    return run


def test_the_status_of_the_work_is_returned() -> None:
    assert run_tool(parser, lambda args: 1 if args.word == "one" else 0, ["--word", "one"]) == 1


def test_the_command_line_is_kept_as_a_shell_reads_it() -> None:
    said: list[str] = []

    def run(args: argparse.Namespace) -> int:
        said.append(args.command_line)
        return 0

    run_tool(parser, run, ["--word", "two words"])
    assert said == ["a_tool --word 'two words'"]


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        pytest.param(
            InputError("x.json", problem="it is empty", remedy="convert again"),
            2,
            "a_tool: x.json: it is empty; convert again\n",
            id="input",
        ),
        pytest.param(
            PermissionError(errno.EACCES, "Permission denied", "out.json"),
            2,
            "a_tool: out.json: Permission denied; choose another place\n",
            id="place",
        ),
        pytest.param(KeyboardInterrupt(), 130, "a_tool: interrupted\n", id="interrupt"),
    ],
)
def test_what_a_user_can_cause_is_one_line(
    error: BaseException, status: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_tool(parser, raising(error), []) == status
    assert capsys.readouterr().err == message


def test_a_fault_of_ours_is_raised() -> None:
    with pytest.raises(OSError, match="wrong file type"):
        run_tool(parser, raising(OSError(errno.EBADF, "wrong file type")), [])


def run_code(body: str, command: str = "{python} -c '{code}'") -> subprocess.CompletedProcess[str]:
    code = (
        "from hpa_mmdet.cli.entry import new_parser, run_tool\n"
        "import sys\n"
        f"def run(args):\n    {body}\n    return 0\n"
        'sys.exit(run_tool(lambda: new_parser("a_tool", ""), run, []))'
    )
    return subprocess.run(
        ["bash", "-c", command.format(python=sys.executable, code=code)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii", "PATH": "/usr/bin:/bin"},
    )


def test_a_letter_that_the_terminal_lacks_is_escaped() -> None:
    told = run_code('print("h\\u00e9")')
    assert (told.returncode, told.stdout, told.stderr) == (0, "h\\xe9\n", "")


def test_a_closed_pipe_is_no_traceback() -> None:
    told = run_code(
        'print("line\\n" * 200000)',
        command="{python} -c '{code}' | head -1; echo ${{PIPESTATUS[0]}}",
    )
    assert told.stdout.splitlines() == ["line", "141"]
    assert told.stderr == ""
