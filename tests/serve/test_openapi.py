"""Requests made from the API's own description: no failure, and answers as described."""

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from review_folder import review_routes, write_predictions_of_stand_in
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from serve_stand_in import running_server


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> object:
    """The address of a server that looks and reviews."""
    folder = tmp_path_factory.mktemp("review")
    write_predictions_of_stand_in(folder)
    routes = review_routes(folder, folder / "cells.csv")
    with running_server(review=routes.router()) as address:
        yield address


CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
)


def test_any_request_is_answered_as_described(both: str) -> None:
    description = schemathesis.openapi.from_url(f"{both}/api/openapi.json")
    operations = [found.ok() for found in description.get_all_operations()]
    assert len(operations) == 15
    for operation in operations:

        @settings(
            max_examples=10,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def check(case: schemathesis.Case) -> None:
            case.call_and_validate(checks=CHECKS, timeout=30)

        check()


def test_description_names_every_route(both: str) -> None:
    description = requests.get(f"{both}/api/openapi.json", timeout=10).json()
    assert description["info"]["version"] == "1"
    assert {
        (method.upper(), path)
        for path, methods in description["paths"].items()
        for method in methods
    } == {
        ("GET", "/api/health"),
        ("GET", "/api/model"),
        ("POST", "/api/predict"),
        ("POST", "/api/export/{kind}"),
        ("POST", "/api/jobs"),
        ("GET", "/api/jobs/{job_id}"),
        ("DELETE", "/api/jobs/{job_id}"),
        ("GET", "/api/jobs/{job_id}/events"),
        ("GET", "/api/jobs/{job_id}/pixels"),
        ("GET", "/api/review"),
        ("GET", "/api/review/queue"),
        ("GET", "/api/review/pixels"),
        ("GET", "/api/review/thumbnail"),
        ("POST", "/api/review/decisions"),
        ("POST", "/api/review/undo"),
    }
