"""A server that several tests share."""

import tempfile
from collections.abc import Iterator

import pytest
from serve_stand_in import running_server

from hpa_mmdet.serve.limits import ServerLimits

SHARED_LIMITS = ServerLimits(
    request_bytes=4 * 2**20,
    file_bytes=2 * 2**20,
    pixels=400_000,
    queue_length=4,
    idle_s=1.0,
    upload_s=4.0,
    decode_s=10.0,
    predict_s=5.0,
    abandon_s=30.0,
)


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The address of a server with small limits."""
    with (
        # of its own, since the tests of another process leave folders in the common one
        tempfile.TemporaryDirectory(prefix="serve-") as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(tempfile, "tempdir", folder)
        with running_server(SHARED_LIMITS) as address:
            yield address
