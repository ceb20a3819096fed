"""Data sets to convert."""

from pathlib import Path

import pytest
from make_dataset import Dataset, make_dataset


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    return make_dataset(tmp_path / "data")
