"""Jobs of tools/infer.py for tests."""

from pathlib import Path

import pytest
from cell_images import write_images
from infer_jobs import arguments


@pytest.fixture
def job(tmp_path: Path) -> list[str]:
    """The arguments of a run over five images, with --out at the end."""
    write_images(tmp_path / "images", range(5))
    return arguments(tmp_path)
