"""A server of the web page for the benchmarks: started on a free port, ended at the end."""

import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
BROWSER_ARGUMENTS = ["--no-sandbox", "--disable-quic", "--use-angle=swiftshader",
                     "--enable-unsafe-swiftshader"]  # fmt: skip
"""Of Chromium as root, and with WebGL drawn by the processor."""


class Served(NamedTuple):
    """A running server: its address, and the id of its process."""

    address: str
    pid: int


@contextmanager
def running_server(options: Sequence[str | Path]) -> Iterator[Served]:
    """Start tools/serve.py with these options, and wait until it can be called."""
    command = [sys.executable, ROOT / "tools/serve.py", "--port", "0", *options]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        found = None
        while not found:
            line = server.stdout.readline()
            if not line:
                raise SystemExit("the server ended; see above")
            found = re.search(r"open (http://\S+)", line)
        yield Served(found[1], server.pid)
    finally:
        server.terminate()
        server.wait()
