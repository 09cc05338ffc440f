"""The published description of the API, and requests made up from it."""

import pytest

pytest.importorskip("schemathesis", reason="needs schemathesis")

import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks as rules

from mien.pipeline import Options
from mien.serve.access import Access
from mien.serve.app import build
from mien.serve.limits import Limits
from mien.serve.pool import Pool

CHECKS = [
    not_a_server_error,
    rules.status_code_conformance,
    rules.content_type_conformance,
    rules.response_schema_conformance,
]


@pytest.fixture(scope="module")
def api():
    """The description, as the application itself gives it."""
    pool = Pool(Options(detector="none"), limits=Limits(pixels=100_000))
    app = build(pool, Access(names=("testserver",)), pool.limits)
    yield schemathesis.openapi.from_asgi("/openapi.json", app)
    pool.close()


@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(data=st.data())
def check(operation, data):
    """One made-up request for an operation of the API."""
    case = data.draw(operation.as_strategy())
    response = case.call(headers={"Host": "localhost"})
    case.validate_response(response, checks=CHECKS)


def test_made_up_requests_get_what_the_description_says(api):
    """No fault of the server; no status, type or schema that is not published."""
    operations = [found.ok() for found in api.get_all_operations()]
    assert len(operations) == 9
    for operation in operations:
        check(operation)
