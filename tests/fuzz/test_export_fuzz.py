"""Exports with random faults: an InputError or a model, and nothing else."""

import copy
import json
import resource
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from hpa_mmdet.errors import InputError
from hpa_mmdet.inference.export import export_model
from hpa_mmdet.inference.model_files import load_model

DEMO = Path(__file__).parents[2] / "configs/mask_rcnn/hpa-mask-rcnn_lite0_fpn_bag-lse_demo.py"
EXAMPLES = 35  # some 20 s
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["os.system", "mmdet.ResNet", "RPNHead", "nms", "../x", "hf-hub:a/b"]),
    st.lists(st.integers(-5, 5), max_size=3),
    st.dictionaries(st.sampled_from(["type", "_scope_", "a"]), st.text(max_size=9), max_size=2),
)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return export_model(load_model(DEMO, None), tmp_path_factory.mktemp("export") / "cells")


def places(content: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    if isinstance(content, dict):
        pairs: Any = content.items()
    elif isinstance(content, list):
        pairs = enumerate(content)
    else:
        return found
    return found + [place for key, value in pairs for place in places(value, (*path, key))]


@seed(0)
@settings(
    max_examples=EXAMPLES,
    deadline=timedelta(seconds=5),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_nothing_but_an_input_error(
    data: st.DataObject, exported: tuple[Path, Path], tmp_path: Path
) -> None:
    content = json.loads(exported[0].read_text())
    changed = copy.deepcopy(content)
    for place in data.draw(st.lists(st.sampled_from(places(content)), min_size=1, max_size=3)):
        part = changed
        try:
            for key in place[:-1]:
                part = part[key]
            part[place[-1]] = data.draw(ODD)
        except (KeyError, IndexError, TypeError):  # what stood above it is gone
            continue
    text = json.dumps(changed)
    if data.draw(st.booleans()):
        text = text[: data.draw(st.integers(0, len(text)))]
    path = tmp_path / "fuzzed.json"
    path.write_text(text)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with suppress(InputError):
        load_model(path, exported[1])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500 * 1024
