"""The test_pipeline says which channels, and at which size."""

import pytest
from mmengine.config import Config

from hpa_mmdet.errors import InputError
from hpa_mmdet.inference.settings import read_settings

LOAD = {"type": "LoadHpaChannels", "channels": ("green", "blue")}
PACK = {"type": "PackCells"}


def settings(*steps: dict) -> object:
    return read_settings(Config({"test_pipeline": list(steps)}), "config.py")


@pytest.mark.parametrize(
    ("steps", "scale"),
    [
        pytest.param([], 1.0, id="as it is"),
        pytest.param([{"type": "Resize", "scale_factor": 0.5}], 0.5, id="factor"),
        pytest.param([{"type": "Resize", "scale": (50, 50), "keep_ratio": True}], 0.25, id="side"),
        pytest.param([{"type": "Resize", "scale": 400, "keep_ratio": True}], 2.0, id="number"),
    ],
)
def test_channels_and_scale(steps: list, scale: float) -> None:
    found = settings(LOAD, *steps, PACK)
    assert found.channels == ("green", "blue")
    assert found.scale_of((100, 200)) == scale


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        pytest.param([], "config.py: found no test_pipeline", id="none"),
        pytest.param([PACK], "test_pipeline: found no LoadHpaChannels", id="no loading"),
        pytest.param(
            [LOAD, {"type": "Pad"}], "found a step 'Pad', expected LoadHpaChannels", id="pad"
        ),
        pytest.param([{"type": "Resize", "scale": 9}], "found a step 'Resize'", id="resize first"),
        pytest.param(
            [LOAD, {"type": "Resize", "scale": (50, 60), "keep_ratio": True}],
            r"found Resize with scale=\(50, 60\).*so that cells keep their shape",
            id="not square",
        ),
        pytest.param([LOAD, {"type": "Resize", "scale": 50}], "keep_ratio=None", id="no ratio"),
    ],
)
def test_pipelines_that_prediction_cannot_follow(steps: list, message: str) -> None:
    with pytest.raises(InputError, match=message):
        settings(*steps)


def test_the_scale_of_loading_counts_too() -> None:
    load = {**LOAD, "scale": 0.5}
    resize = {"type": "Resize", "scale_factor": 0.5}
    assert read_settings(Config({"test_pipeline": [load]}), "config").scale == 0.5
    assert read_settings(Config({"test_pipeline": [load, resize]}), "config").scale == 0.25
