"""The OpenAPI description: whole, closed, served, and the same as the face."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import requests

from anka_ci.server import auth, table
from anka_ci.server.app import Server
from anka_ci.server.openapi import describe

ROOT = Path(__file__).parent.parent.parent
FACE: dict[str, Any] = json.loads((ROOT / "shared" / "openapi.json").read_text())
MADE = FACE.pop("x-made")


def objects(found: Any) -> Iterator[dict[str, Any]]:
    """Every mapping in a document."""
    if isinstance(found, dict):
        yield found
    for item in found.values() if isinstance(found, dict) else found if isinstance(found, list) else ():
        yield from objects(item)


def operations() -> list[dict[str, Any]]:
    return [operation for path in FACE["paths"].values() for operation in path.values()]


def test_it_is_served_as_the_face_says_by_one_port_for_both_services(server: Server) -> None:
    reply = requests.get(server.controller_url + "/openapi.json", timeout=10)
    assert (200, "application/json") == (reply.status_code, reply.headers["Content-Type"])
    assert FACE == reply.json()


def test_each_of_two_ports_describes_its_own_calls(tmp_path: Path) -> None:
    with Server(tmp_path, registry_port=0) as server:
        first, second = (
            requests.get(url + "/openapi.json", timeout=10).json()["paths"]
            for url in (server.controller_url, server.registry_url)
        )
    health, signing = {"/livez", "/readyz", "/openapi.json"}, {"/config/v1/auth", "/tap/v1/hand", "/tap/v1/shake"}
    assert health | signing == {*first} & {*second}
    assert {*FACE["paths"]} == {*first} | {*second}


def test_every_row_of_the_table_is_described_once() -> None:
    rows = [call for rows in (table.CONTROLLER, table.REGISTRY) for calls in rows.values() for call in calls]
    described = {(path, method) for path, each in FACE["paths"].items() for method in each}
    assert {(path, call.method.lower()) for call in rows for path in call.paths} == described
    ids = [operation["operationId"] for operation in operations()]
    assert sorted(set(ids)) == sorted(ids)
    assert all(operation["summary"].endswith(".") for operation in operations())


def test_every_reference_leads_somewhere_and_every_schema_is_one() -> None:
    schemas = FACE["components"]["schemas"]
    references = {found["$ref"] for found in objects(FACE) if "$ref" in found}
    assert {f"#/components/schemas/{name}" for name in schemas} == references
    for found in [
        *schemas.values(),
        *(each["schema"] for each in objects(FACE) if isinstance(each.get("schema"), dict)),
    ]:
        jsonschema.Draft202012Validator.check_schema(found)


def test_the_nouns_take_no_property_that_is_not_theirs() -> None:
    nouns = FACE["components"]["schemas"]
    assert {"Node", "Template", "Distribution", "Instance", "Fail"} <= {*nouns}
    assert [] == [name for name, found in nouns.items() if found["additionalProperties"] is not False]
    answers = [answer["content"] for each in operations() for answer in each["responses"].values()]
    open_ones = [found for found in objects(answers) if found.get("type") == "object" and "properties" in found]
    assert [] == [found for found in open_ones if found["additionalProperties"] is not False]


def test_every_way_of_signing_in_is_described_and_what_is_open_says_so() -> None:
    """What the description says is open is what the gate lets through, path by path."""
    schemes = FACE["components"]["securitySchemes"]
    assert {"http", "mutualTLS", "openIdConnect"} == {found["type"] for found in schemes.values()}
    assert len(auth.WAYS) == len(schemes)
    assert [{name: []} for name in schemes] == FACE["security"]
    opened = {path for path, each in FACE["paths"].items() for found in each.values() if found.get("security") == []}
    assert {path for path in FACE["paths"] if auth.OPEN.fullmatch(path)} == opened
    assert {"/livez", "/tap/v1/hand", "/config/v1/auth"} < opened
    assert all("security" not in found or found["security"] == [] for found in operations())


def test_two_nouns_of_one_name_are_refused() -> None:
    row = table.CONTROLLER[next(iter(table.CONTROLLER))][0]
    other = type(row)("GET", "/other", row.handler, "other", answers={"title": "ServerStatus", "type": "object"})
    with pytest.raises(ValueError, match="two nouns are called ServerStatus"):
        describe([{object: (row, other)}])
