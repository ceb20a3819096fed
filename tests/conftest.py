"""Fixtures that every room's tests share."""

import os
import secrets
from pathlib import Path

import pytest

# doctest would import them a second time, all under one name
collect_ignore_glob = ["*conftest.py"]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real images and labels, or a skip that says how to give it."""
    folder = os.environ.get("HPA_REAL_DATA")
    if not folder or not Path(folder).is_dir():
        pytest.skip("real data not here: set HPA_REAL_DATA to the folder that holds it")
    return Path(folder).resolve()


@pytest.fixture
def mmdet_scope() -> None:
    """Let names in configs mean mmdet's registries, as a Runner does."""
    from mmengine.registry import DefaultScope

    current = DefaultScope.get_current_instance()
    if current is None or current.scope_name != "mmdet":  # such as that of a test's own runner
        # a new name: mmengine takes the scope that was made last
        DefaultScope.get_instance(f"tests-{secrets.token_hex(4)}", scope_name="mmdet")
