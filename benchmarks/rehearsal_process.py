"""A command run as a person would, killed on the way if asked, and what it took.

Memory is that of the whole process tree: private and shared pages that no file can give back
(Pss_Anon and Pss_Shmem of Linux), sampled some times a second.
"""

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

_SAMPLE_S = 0.5
_AnyTime = Callable[[float], bool]
"""Says after so many seconds of a run whether it is half done and shall be killed."""


@dataclass
class Measured:
    """What a step took, all its runs together."""

    name: str
    seconds: list[float] = field(default_factory=list)
    killed: int = 0
    peak_mb: float = 0.0
    silent_s: float = 0.0
    silent_after: str = ""
    disk_mb: float = 0.0

    def heard(self, seconds: float, after: str) -> None:
        """Remember the longest silence, and the last line before it."""
        if seconds > self.silent_s:
            self.silent_s, self.silent_after = seconds, after


def run_step(
    name: str,
    words: Sequence[str],
    folder: Path,
    kill_when: Sequence[_AnyTime] = (),
    again: Sequence[str] = (),
) -> Measured:
    """Run a command; kill it as often as asked, and go on.

    Args:
        name: of the step and of its log.
        words: the command.
        folder: current one of the command; gets the log.
        kill_when: for each kill, what says that its time has come.
        again: words that a killed command takes to go on.

    Raises:
        SystemExit: the command failed.
    """
    measured, words = Measured(name), list(words)
    for half_done in (*kill_when, None):
        was_killed = _run_once(measured, words, folder, half_done)
        measured.killed += was_killed
        if was_killed:
            words = [*words, *(word for word in again if word not in words)]
        else:
            break
    return measured


def _run_once(
    measured: Measured, words: list[str], folder: Path, half_done: _AnyTime | None
) -> bool:
    log_path = folder / "logs" / f"{measured.name}.log"
    log_path.parent.mkdir(exist_ok=True)
    begun = heard = time.monotonic()
    last = "its start"
    with (
        log_path.open("ab") as log,
        _session(words, folder) as process,
        selectors.DefaultSelector() as selector,
    ):
        assert process.stdout is not None
        selector.register(process.stdout, selectors.EVENT_READ)
        log.write(f"$ {' '.join(words)}\n".encode())
        sampled = begun
        while True:
            ready = selector.select(_SAMPLE_S)
            now = time.monotonic()
            if ready:
                told = os.read(process.stdout.fileno(), 1 << 16)
                measured.heard(now - heard, last)
                if not told:
                    break
                heard, last = now, (told.decode(errors="replace").split("\n")[-2:-1] or [last])[0]
                log.write(told)
                log.flush()
            if now - sampled < _SAMPLE_S:
                continue
            sampled = now
            measured.peak_mb = max(measured.peak_mb, session_mb(process.pid))
            if half_done is not None and half_done(now - begun):
                _end_session(process.pid)
                process.wait()
                measured.seconds.append(now - begun)
                return True
        status = process.wait()
    measured.seconds.append(time.monotonic() - begun)
    if status not in (0, 1):  # 1: some images failed, as the log says
        raise SystemExit(f"{measured.name} ended with status {status}: see {log_path}")
    return False


@contextmanager
def _session(words: list[str], folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command in a session of its own, which ends if the rehearsal itself is ended."""
    with subprocess.Popen(
        words,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        try:
            yield process
        except BaseException:
            _end_session(process.pid)
            raise


def _end_session(session: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(session, signal.SIGKILL)


def session_mb(session: int) -> float:
    """Memory of all processes of a session in MB, as the module says (Linux)."""
    total = 0
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            # after the name in parentheses: state, parent, group, session
            if int((folder / "stat").read_text().rpartition(")")[2].split()[3]) != session:
                continue
            for line in (folder / "smaps_rollup").read_text().splitlines():
                if line.startswith(("Pss_Anon:", "Pss_Shmem:")):
                    total += int(line.split()[1])
        except (OSError, IndexError):  # it has ended meanwhile
            continue
    return total / 1024


def disk_mb(folder: Path) -> float:
    """Size of all files of a folder in MB, each file once however many names it has."""
    sizes: dict[int, int] = {}
    for place, _, names in os.walk(folder):
        for name in names:
            found = (Path(place) / name).lstat()
            sizes[found.st_ino] = found.st_blocks * 512
    return sum(sizes.values()) / 1e6
