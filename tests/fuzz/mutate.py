"""Damage to bytes that hypothesis can search and shrink, and the loop that applies it.

A target takes damaged bytes, writes them to a file and reads it; anything but `InputError`, more
than 5 seconds or more than 500 MB ends the process. `python tests/fuzz/NAME.py SECONDS` runs
one for longer than the tests do.
"""

import faulthandler
import gc
import resource
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from hpa_mmdet.errors import InputError

MOST_SECONDS = 5.0
MOST_BYTES = 500 * 2**20
SEEDS = Path(__file__).parent / "seeds"
_EXAMPLES = 200
_BOLD = [b"\0", b"\xff", b"\x7f", b"\x80", b"\0\0\0\0", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f"]
_BOLD += [b"\x01", b"\0\0\0\x80", b"\n", b'"', b",", b"\x80\x96\x98\0"]


class Edit(NamedTuple):
    """What is done at a place, 0 to 1 of the content's length."""

    place: float
    kind: str
    content: bytes


def edits() -> st.SearchStrategy[list[Edit]]:
    """Give one to four edits."""
    edit = st.builds(
        Edit,
        st.floats(0, 1, exclude_max=True),
        st.sampled_from(["overwrite", "insert", "delete", "cut", "repeat"]),
        st.one_of(st.sampled_from(_BOLD), st.binary(min_size=1, max_size=8)),
    )
    return st.lists(edit, min_size=1, max_size=4)


def apply_edits(content: bytes, changes: list[Edit]) -> bytes:
    """Damage a file."""
    for place, kind, new in changes:
        at = int(place * len(content))
        if kind == "overwrite":
            content = content[:at] + new + content[at + len(new) :]
        elif kind == "insert":
            content = content[:at] + new + content[at:]
        elif kind == "delete":
            content = content[:at] + content[at + len(new) :]
        elif kind == "cut":
            content = content[:at]
        else:
            content = content[:at] + content[at : at + 64] * len(new) + content[at + 64 :]
    return content


def run(
    samples: Mapping[str, bytes],
    read: Callable[[str, bytes], None],
    repair: Callable[[str, bytes], bytes] = lambda _, content: content,
) -> None:
    """Fuzz for as many seconds as the command line says, kept seeds first.

    Args:
        samples: sound files by name.
        read: writes and reads one file; may raise `InputError` only.
        repair: makes checksums right again, so that decoders see what was damaged.
    """
    seconds = float(sys.argv[1])
    end = time.monotonic() + seconds
    for name, content in samples.items():
        read(name, content)  # sound files are read without an error
    before = _peak_bytes()
    endings = {Path(name).suffix for name in samples}
    for path in sorted(SEEDS.iterdir()):
        if path.suffix in endings:
            _attempt(read, path.name, path.read_bytes())
    count, rounds = 0, 0

    while time.monotonic() < end:

        @seed(rounds)
        @settings(
            max_examples=_EXAMPLES, deadline=None, database=None, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(st.sampled_from(sorted(samples)), edits(), st.booleans())
        def damage(name: str, changes: list[Edit], repaired: bool) -> None:
            nonlocal count
            content = apply_edits(samples[name], changes)
            _attempt(read, name, repair(name, content) if repaired else content)
            count += 1

        damage()
        rounds += 1
    grown = _peak_bytes() - before
    assert grown < MOST_BYTES, f"memory grew by {grown / 2**20:.0f} MB"
    gc.collect()
    sys.stdout.write(f"{count} damaged files, {grown / 2**20:.0f} MB\n")


def _attempt(read: Callable[[str, bytes], None], name: str, content: bytes) -> None:
    faulthandler.dump_traceback_later(MOST_SECONDS, exit=True)
    try:
        read(name, content)
    except InputError:
        pass
    except BaseException:
        sys.stderr.write(f"{name}: {content[:6000].hex()}\n")
        raise
    finally:
        faulthandler.cancel_dump_traceback_later()


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
