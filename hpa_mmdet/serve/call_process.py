"""One function in a process of its own, with a time limit.

The server stays alive and responsive whatever the function does: a call that takes too
long, needs too much memory or crashes its process costs only that call.
"""

import logging
import multiprocessing
import os
import resource
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from hpa_mmdet.errors import InputError
from hpa_mmdet.serve.limits import Refusal

_LOG = logging.getLogger(__name__)
_START_S = 600.0  # a model on a slow disk
_NICENESS = 10  # the server, which only passes bytes on, comes first


class ProcessDied(RuntimeError):
    """The process ended in the middle of a call."""


class CallTimeout(RuntimeError):
    """A call took longer than it may; its process was ended."""


class CallProcess:
    """Builds a function in a child process and calls it there, one call at a time.

    Args:
        build: makes the function; both it and what it makes calls with must be picklable.
        name: for the log.
        memory_bytes: what a call may allocate; None for no limit.
    """

    def __init__(
        self,
        build: Callable[[], Callable[..., Any]],
        name: str,
        memory_bytes: int | None = None,
    ) -> None:
        self._build, self._name, self._memory_bytes = build, name, memory_bytes
        self._lock = threading.Lock()
        self._process: SpawnProcess | None = None
        self._connection: Connection[Any, Any] | None = None
        self.info: Any = None
        self.start_s = 0.0
        """How long the process took to start, in seconds."""

    def start(self) -> Any:
        """Start the process.

        Returns:
            The attribute `info` of the function, or None.

        Raises:
            InputError: the function could not be built.
        """
        began = time.monotonic()
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve_calls, args=(theirs, self._build, self._memory_bytes), daemon=True
        )
        self._process.start()
        theirs.close()
        try:
            self.info = self._answer(_START_S)
        except BaseException:
            self.stop()
            raise
        self.start_s = time.monotonic() - began
        return self.info

    def call(self, *arguments: Any, timeout_s: float) -> Any:
        """Call the function; waits for a call that another thread has begun.

        Raises:
            InputError, Refusal: as the function raised it.
            MemoryError: the call needed more than `memory_bytes`.
            CallTimeout: it took too long.
            ProcessDied: the process crashed, or the function raised anything else.
        """
        with self._lock:
            if self._process is None or not self._process.is_alive():
                self.start()
            assert self._connection is not None
            try:
                self._connection.send(arguments)
                return self._answer(timeout_s)
            except (CallTimeout, ProcessDied, OSError) as error:
                self.stop()
                if isinstance(error, OSError):
                    raise ProcessDied(f"the {self._name} process ended") from error
                raise

    def interrupt(self) -> None:
        """End the call under way in another thread, which gets `ProcessDied`.

        The next call starts the process again, which takes about `start_s`.
        """
        process = self._process
        if process is not None:
            process.kill()

    def stop(self) -> None:
        """End the process, whatever it does."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _answer(self, timeout_s: float) -> Any:
        assert self._connection is not None
        if not self._connection.poll(timeout_s):
            raise CallTimeout(f"the {self._name} process took more than {timeout_s:g} s")
        try:
            kind, value = self._connection.recv()
        except (EOFError, OSError) as error:
            raise ProcessDied(f"the {self._name} process ended") from error
        if kind == "raise":
            raise value
        if kind == "failed":
            _LOG.error("%s: %s", self._name, value)
            raise ProcessDied(f"the {self._name} process failed")
        return value


def _serve_calls(
    connection: "Connection[Any, Any]",
    build: Callable[[], Callable[..., Any]],
    memory_bytes: int | None,
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends this process
    os.nice(_NICENESS)
    try:
        function = build()
        answer: tuple[str, Any] = ("ok", getattr(function, "info", None))
    except InputError as error:
        answer = ("raise", error)
    except Exception as error:  # whatever it is, the parent must hear of it
        answer = ("failed", f"{type(error).__name__}: {error}")
    connection.send(answer)
    if answer[0] != "ok":
        return
    if memory_bytes is not None:
        _limit_memory(memory_bytes)
    while True:
        try:
            arguments = connection.recv()
        except EOFError:
            return
        try:
            answer = ("ok", function(*arguments))
        except (InputError, Refusal, MemoryError) as error:
            answer = ("raise", error)
        except Exception as error:  # a bug, or a library's: this call fails, no other
            answer = ("failed", f"{type(error).__name__}: {error}")
        connection.send(answer)


def _limit_memory(more_bytes: int) -> None:
    """Let the process allocate only so much more than it has (Linux)."""
    status = Path("/proc/self/statm")
    if status.is_file():
        now = int(status.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + more_bytes, now + more_bytes))
