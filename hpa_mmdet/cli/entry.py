"""What every tool does around its own work: parser, errors, exit status."""

import argparse
import errno
import io
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from hpa_mmdet.coco.folds import Grouping
from hpa_mmdet.errors import InputError

BAD_INPUT = 2
_INTERRUPTED = 128 + 2  # as a shell says it of SIGINT
_READER_GONE = 128 + 13  # of SIGPIPE
_PLACES = (
    errno.EACCES,
    errno.EDQUOT,
    errno.EISDIR,
    errno.ENAMETOOLONG,
    errno.ENOSPC,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
)


def new_parser(tool: str, description: str | None) -> argparse.ArgumentParser:
    """Build the parser of a tool.

    Args:
        tool: its name, which stands before each of its messages.
        description: the docstring of its module, shown as it is.
    """
    return argparse.ArgumentParser(
        prog=tool, description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def add_groups(parser: argparse._ActionsContainer, what_for: str) -> None:
    """Add --groups CSV COLUMN, which gives a `Grouping` or None; `what_for` is its help."""
    parser.add_argument(
        "--groups", nargs=2, metavar=("CSV", "COLUMN"), action=_GroupsAction, help=what_for
    )


class _GroupsAction(argparse.Action):
    def __call__(self, parser: Any, namespace: Any, values: Any, option: Any = None) -> None:
        setattr(namespace, self.dest, Grouping(Path(values[0]), values[1]))


def run_tool(
    build_parser: Callable[[], argparse.ArgumentParser],
    run: Callable[[argparse.Namespace], int],
    argv: Sequence[str] | None = None,
) -> int:
    """Parse the arguments and run a tool; `main` of each is this with its own two functions.

    Args:
        build_parser: gives the tool's parser.
        run: does the work, writes all outputs and returns the exit status.
        argv: the arguments; None for those of the process.

    Returns:
        What `run` returns; 2 where it raises `InputError` or cannot read or write a place, with
        the message on stderr.
    """
    for stream in (sys.stdout, sys.stderr):  # a terminal may lack the letters of an image id
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")
    parser = build_parser()
    words = list(sys.argv[1:] if argv is None else argv)
    args = parser.parse_args(words)
    args.command_line = shlex.join([parser.prog, *words])  # some outputs state how they were made
    try:
        status = run(args)
        sys.stdout.flush()
        return status
    except InputError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return BAD_INPUT
    except BrokenPipeError:
        # stdout is a closed pipe, such as `| head`; Python would complain again at its end
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _READER_GONE
    except OSError as error:
        if error.errno not in _PLACES:
            raise
        place = error.filename or "output"
        print(f"{parser.prog}: {place}: {error.strerror}; choose another place", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print(f"{parser.prog}: interrupted", file=sys.stderr)
        return _INTERRUPTED
