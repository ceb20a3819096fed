"""Hostile COCO JSONs and submissions, drawn by hypothesis from good ones."""

import faulthandler
import json
import os
import resource
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from copy import deepcopy
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

SECONDS = float(os.environ.get("HPA_FUZZ_SECONDS", "20"))
"""How long each test goes on trying; the first examples count, whatever the machine."""
LONGEST_S = 5.0
"""How long one input may take."""
MOST_KIB = 500 * 2**10
"""How much memory all inputs of a test may take."""

UNTIL_SPENT = settings(
    max_examples=1_000_000,
    deadline=None,
    database=None,
    derandomize="HPA_FUZZ_SECONDS" not in os.environ,  # the tests tell about a change, not the dice
    phases=[Phase.generate],
    suppress_health_check=[*HealthCheck],
)

HOSTILE: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 19, 2**31, 2**63 - 1, 10**30, 0.5, -0.0, 1e308, float("nan"),
    float("inf"), "", "1", "a", "../a.png", "/etc/passwd", "e\u0301", "\ud800", "a\nb", "x" * 300,
    [], [[]], [None], {}, {"a": {}}, [1, 2, 3, 4, 5, 6], [[0, 0, 1e9, 0, 1e9, 1e9]],
    [[1, 1, 5, 1, 5, 6]], {"size": [12, 20], "counts": [240]}, {"size": [20, 12], "counts": "0"},
    {"size": [12, 20], "counts": [0, 240]},
)  # fmt: skip


class _Spent(BaseException):
    """The time is over; no `Exception`, so that hypothesis does not take it for a failure."""


class Budget:
    """Ends a test after its time, and fails an input that takes too long."""

    def __init__(self) -> None:
        self.end = time.monotonic() + SECONDS
        self.count = 0

    def spend(self, try_one: Callable[[], None]) -> None:
        """Call a test of hypothesis until the time is over."""
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with suppress(_Spent):
            try_one()
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert self.count > 0
        assert grown < MOST_KIB, f"memory grew by {grown} KiB"

    @contextmanager
    def one_input(self, what: object) -> Iterator[None]:
        start = time.monotonic()
        if start > self.end and self.count:
            raise _Spent
        self.count += 1
        faulthandler.dump_traceback_later(4 * LONGEST_S, exit=True)  # where it never ends
        yield
        faulthandler.cancel_dump_traceback_later()
        assert time.monotonic() - start < LONGEST_S, f"an input took too long: {what!r:.300}"


def good_coco() -> dict[str, Any]:
    """Two images of 20 x 12 pixels; masks as polygon, run lengths and string."""
    return {
        "info": {"images_root": "images"},
        "categories": [
            {"id": 1, "name": "Nucleoplasm", "hpa_index": 0},
            {"id": 5, "name": "Cytosol"},
            {"id": 6, "hpa_index": 18},
        ],
        "images": [
            {"id": 1, "file_name": "a_green.png", "hpa_id": "a", "width": 20, "height": 12,
             "channel_files": {"green": "a_green.png"}, "labels": [0, 16]},
            {"id": 2, "file_name": "b.png", "width": 20, "height": 12},
        ],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "category_ids": [1, 5], "cell_id": 3,
             "bbox": [1, 1, 4, 5], "area": 20, "iscrowd": 0, "touches_border": False,
             "segmentation": [[1, 1, 5, 1, 5, 6, 1, 6]]},
            {"id": 2, "image_id": 1, "category_id": 5,
             "segmentation": {"size": [12, 20], "counts": [0, 5, 235]}},
            {"id": 3, "image_id": 2, "category_id": 6, "category_probs": [0.5],
             "segmentation": {"size": [12, 20], "counts": "d36d3"}},
        ],
    }  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place of a JSON value, as the keys that lead there."""
    found = [path] if path else []
    if isinstance(value, dict):
        found += [place for key in value for place in places(value[key], (*path, key))]
    elif isinstance(value, list):
        found += [place for at, _ in enumerate(value) for place in places(value[at], (*path, at))]
    return found


@st.composite
def coco_bytes(draw: st.DrawFn) -> bytes:
    """A COCO JSON with some faults: of values, of structure, of its bytes."""
    content = good_coco()
    for _ in range(draw(st.integers(0, 3))):
        *parents, last = draw(st.sampled_from(places(content)))
        parent: Any = content
        for key in parents:
            parent = parent[key]
        how = draw(st.sampled_from(["set", "drop", "copy"]))
        if how == "set":
            value = draw(st.sampled_from(HOSTILE) | st.integers() | st.text(max_size=9))
            parent[last] = deepcopy(value)
        elif how == "drop":
            del parent[last]
        elif isinstance(parent, list):
            parent.append(deepcopy(parent[last]))
        else:
            parent["other"] = deepcopy(parent[last])
    return draw(byte_faults(_as_ours(content) if draw(st.booleans()) else _as_json(content)))


@st.composite
def byte_faults(draw: st.DrawFn, data: bytes) -> bytes:
    """The bytes as they are, cut off, with a piece replaced, or in another encoding."""
    how = draw(st.sampled_from(["as is", "as is", "cut", "replace", "mark", "encode", "nest"]))
    if how == "cut":
        return data[: draw(st.integers(0, len(data)))]
    if how == "replace":
        start = draw(st.integers(0, len(data)))
        piece = draw(st.sampled_from([b"", b"\0", b"\xff", b'"', b"[", b"\n", b"9" * 5000, b"NaN"]))
        return data[:start] + piece + data[start + draw(st.integers(0, 3)) :]
    if how == "mark":
        return b"\xef\xbb\xbf" + data
    if how == "encode":
        text = data.decode("utf-8", "replace")
        return text.encode(draw(st.sampled_from(["utf-16", "utf-16-be", "utf-32", "utf-8-sig"])))
    if how == "nest":
        return data.replace(b"[", b"[" * draw(st.sampled_from([2, 50, 5000])), 1)
    return data


def _as_json(content: Any) -> bytes:
    return json.dumps(content).encode("utf-8")


def _as_ours(content: dict[str, Any]) -> bytes:
    """One entry a line, as our writer does it."""
    sections = []
    for name in ("categories", "images", "annotations"):
        entries = content.get(name)
        lines = (
            [json.dumps(entry, separators=(",", ":")) for entry in entries or ()]
            if isinstance(entries, list)
            else [json.dumps(entries)]
        )
        sections.append(f'"{name}":[\n' + ",\n".join(lines) + "\n]")
    info = json.dumps(content.get("info"), separators=(",", ":"))
    return ('{"info":' + info + ",\n" + ",\n".join(sections) + "}\n").encode("utf-8")
