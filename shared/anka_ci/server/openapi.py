"""The OpenAPI 3.1 description of the REST calls, made from their rows and the nouns; served at ``/openapi.json``.

The data plane (``/v2/``) is not in it: the OCI Distribution specification describes that. Nothing here knows HTTP, so
that the description is a face too, ``shared/openapi.json``, made without a server.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from anka_ci import __version__
from anka_ci.server.call import LARGEST, Call, Parameter, Parameters
from anka_ci.wire import schema
from anka_ci.wire.schema import Schema

if TYPE_CHECKING:
    from anka_ci.server.table import Table

ABOUT = (
    "Parameters are read from query and body alike, in any letter case and with the other spellings that Anka has had "
    "(x-spellings); a number or a flag may be a text, null and empty are the same as absent, but for what a "
    "revert is to select and for lists that mean all when they are left out; an object with keys of the caller's has "
    f"{LARGEST} characters as JSON at most; unknown parameters are ignored, and the Content-Type does not matter. A "
    "failure has status 400, or 200 with `serve --legacy-fail-200`. Signing in is off unless `serve --auth` names "
    "ways; then each of those will do, and what needs none says so."
)
WAYS: Mapping[str, Schema] = {
    "rootToken": {
        "type": "http",
        "scheme": "basic",
        "description": "The user is root, or empty; the password is the root token.",
    },
    "clientCertificate": {
        "type": "mutualTLS",
        "description": "A certificate with a CN and an O (or OU), from the authority that the server trusts.",
    },
    "apiKeySession": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "base64 of the JSON in `data` of /tap/v1/shake",
        "description": "A session of an API key: /tap/v1/hand gives a secret that only the key can read, /tap/v1/shake "
        "a session for it.",
    },
    "openId": {
        "type": "openIdConnect",
        "openIdConnectUrl": "/oidc/.well-known/openid-configuration",
        "description": "An access token for client credentials. /config/v1/auth names the provider; this address is "
        "that of the server's own.",
    },
}
"""The ways of signing in, as ``serve --auth`` names them: token, certificate, api-key, oidc."""
FAIL = schema.noun(
    "Fail",
    {"status": {"const": "FAIL"}, "message": {"type": "string", "minLength": 1}, "body": schema.NULL},
    optional=("body",),
)


class Description:
    """Answers with the description of the calls of ``tables``, which are those of one port."""

    def __init__(self, tables: Iterable[Table]) -> None:
        self._found = describe(tables)

    def show(self, given: Parameters) -> Any:
        """What this server answers, as OpenAPI 3.1."""
        return self._found


CALLS = (Call("GET", "/openapi.json", Description.show, "openapi", answers=schema.OPEN, bare=True),)


def describe(tables: Iterable[Table]) -> dict[str, Any]:
    """The description of some tables; of two rows for the same path and method, the first counts."""
    components: dict[str, Any] = {}
    paths: dict[str, dict[str, Any]] = {}
    for call in (call for table in tables for calls in table.values() for call in calls):
        for number, path in enumerate(call.paths):
            operations = paths.setdefault(path, {})
            operations.setdefault(call.method.lower(), _operation(call, number, components))
    return {
        "openapi": "3.1.0",
        "info": {"title": "anka-ci embedded registry and controller", "version": __version__, "description": ABOUT},
        "security": [{way: []} for way in WAYS],
        "paths": dict(sorted(paths.items())),
        "components": {"schemas": dict(sorted(components.items())), "securitySchemes": WAYS},
    }


def faces() -> dict[str, str]:
    """``shared/openapi.json``: both services, as on one port."""
    from anka_ci.server.table import CONTROLLER, REGISTRY

    made = {"x-made": "from shared/anka_ci/server/table.py by `anka-ci render`; do not edit."}
    text = json.dumps(made | describe((CONTROLLER, REGISTRY)), indent=2, ensure_ascii=False)
    return {"shared/openapi.json": text + "\n"}


def _operation(call: Call, number: int, components: dict[str, Any]) -> dict[str, Any]:
    """A row as one operation; ``number`` counts the paths of the row, 0 being the documented one."""
    found: dict[str, Any] = {"operationId": call.id + (f"Alias{number}" if number else ""), "summary": call.summary}
    if call.open:
        found["security"] = []
    queried = [_query(parameter) for parameter in call.parameters if parameter.place != "body"]
    if queried:
        found["parameters"] = queried
    if body := _body([parameter for parameter in call.parameters if parameter.place != "query"], call.one_of):
        found["requestBody"] = body
    media = "text/plain" if call.bare and call.answers == schema.TEXT else "application/json"
    answer = call.answers if call.bare and call.answers is not None else _envelope(call)
    found["responses"] = {"200": _response("It worked.", answer, components, media)}
    refusals = {"400": "It failed; the message says why."}
    if not call.open or call.method != "GET":  # anyone may try the handshake, which may fail
        refusals["401"] = "Not signed in."
    refusals["403"] = "Not permitted, or asked by a page of another site."
    found["responses"] |= {code: _response(text, FAIL, components) for code, text in refusals.items()}
    return found


def _query(parameter: Parameter) -> dict[str, Any]:
    needed = parameter.required and parameter.place == "query"
    found = {"name": parameter.name, "in": "query", "description": parameter.help, "schema": parameter.schema}
    return found | ({"required": True} if needed else {}) | _spellings(parameter)


def _body(parameters: list[Parameter], one_of: Sequence[str]) -> dict[str, Any] | None:
    """What the body holds. One that may be in the query as well is needed in one of them only."""
    if not parameters:
        return None
    properties = {
        parameter.name: {"description": parameter.help, **parameter.schema, **_spellings(parameter)}
        for parameter in parameters
    }
    needed = [parameter.name for parameter in parameters if parameter.required and parameter.place == "body"]
    content: dict[str, Any] = {"type": "object", "properties": properties}
    if needed:
        content["required"] = needed
    if one_of:
        content["oneOf"] = [{"required": [name]} for name in one_of]
    return {"required": bool(needed), "content": {"application/json": {"schema": content}}}


def _spellings(parameter: Parameter) -> dict[str, Any]:
    return {"x-spellings": list(parameter.spellings)} if parameter.spellings else {}


def _envelope(call: Call) -> Schema:
    """The envelope of a success. Its ``body`` is there with null or absent when a call has nothing to answer."""
    properties: dict[str, Schema] = {"status": {"const": "OK"}, "message": schema.TEXT}
    if call.answers is not None or call.null:
        properties["body"] = schema.NULL if call.answers is None else call.answers
    return {key: value for key, value in schema.noun("", properties).items() if key != "title"}


def _response(text: str, found: Schema, components: dict[str, Any], media: str = "application/json") -> dict[str, Any]:
    return {"description": text, "content": {media: {"schema": _parted(found, components)}}}


def _parted(found: Any, components: dict[str, Any]) -> Any:
    """The same with every schema that has a title moved into the components."""
    if isinstance(found, list):
        return [_parted(item, components) for item in found]
    if not isinstance(found, Mapping):
        return found
    inner = {key: _parted(value, components) for key, value in found.items()}
    title = found.get("title")
    if not isinstance(title, str):
        return inner
    if components.setdefault(title, inner) != inner:
        raise ValueError(f"two nouns are called {title}")
    return {"$ref": f"#/components/schemas/{title}"}
