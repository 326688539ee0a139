"""The description that is committed is the one that the code makes, and it says what each route needs."""

import json
from pathlib import Path

import pytest

from services.domain.errors import PROBLEMS
from services.ingress.app import make_api
from services.ingress.auth import PERMISSIONS

COMMITTED = Path(__file__).parents[3] / "schemas" / "openapi.json"
API = make_api().openapi()
OPERATIONS = [
    (method, path, operation)
    for path, operations in API["paths"].items() if path.startswith("/api/")
    for method, operation in operations.items()
]  # fmt: skip


def test_the_committed_description_is_the_codes_own():
    assert json.loads(COMMITTED.read_text()) == API, (
        "write it: python -m services.ingress.openapi > schemas/openapi.json"
    )


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS, ids=[f"{m} {p}" for m, p, _ in OPERATIONS])
def test_every_route_needs_a_permission_and_describes_its_problems(method, path, operation):
    assert operation["x-permission"] in PERMISSIONS["admin"]
    assert operation["security"] == [{"bearer": []}]
    assert {"400", "401", "403", "422", "503"} <= set(operation["responses"])


def test_writing_needs_more_than_reading():
    needed = {(method, path): operation["x-permission"] for method, path, operation in OPERATIONS}
    assert needed["post", "/api/messages"] == "send"
    assert needed["post", "/api/accounts"] == needed["put", "/api/accounts/{account_id}"] == "admin"
    assert needed.pop(("get", "/api/deadletters")) == "admin"
    assert {permission for (method, _), permission in needed.items() if method == "get"} == {"read"}


def test_every_code_of_the_catalogue_is_described():
    assert set(API["components"]["schemas"]["ProblemDocument"]["properties"]["code"]["enum"]) == set(PROBLEMS)
