"""Every parameter of every call: what it is not is refused by name, over HTTP, before anything is done.

Made from the table of calls, so that a new row is tried as well.
"""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from anka_ci.server.app import Server
from anka_ci.server.call import LARGEST, Call, Parameter
from anka_ci.server.table import CONTROLLER, REGISTRY

ROWS = [call for rows in (CONTROLLER, REGISTRY) for calls in rows.values() for call in calls if call.parameters]
WRONG: dict[str, list[Any]] = {
    "text": [5, True, 1.5, [], ["x"], {"a": 1}],
    "number": [-1, 1.5, True, "x", "-1", "1.0", "1e3", "²", " 1", 10**12, "9" * 4000, 9**999, [], [1], {"a": 1}],
    "flag": ["yes", 2, 1.5, "none", [], [True], {"a": 1}],
    "texts": [5, True, [5], [""], [None], [[]], {"a": 1}],
    "object": ["x", 5, True, [], [{}]],
    "objects": ["x", 5, True, {"a": 1}, [5], [None], ["x"]],
}
"""Values that a parameter of a type cannot have. Null and empty text are not among them: they are absence."""


def fitting(parameter: Parameter) -> Any:
    """A value of the right type, whatever it names."""
    return {
        "text": parameter.choices[0] if parameter.choices else "x",
        "number": parameter.least,
        "flag": True,
        "texts": ["x"],
        "object": {},
        "objects": [],
    }[parameter.type]


def cases(call: Call, parameter: Parameter) -> list[tuple[Any, str]]:
    """Values, and how the refusal of each begins."""
    found = [(value, f"{parameter.name} ") for value in WRONG[parameter.type]]
    if parameter.type in ("text", "texts"):
        long = "x" * (parameter.longest + 1)
        found.append((long, f"{parameter.name} has {len(long)} characters"))
    if parameter.type == "texts":
        found.append((["x", long], f"{parameter.name} has {len(long)} characters"))
    if parameter.choices:
        found.append(("nonsense", f"{parameter.name} 'nonsense' has to be "))
    if parameter.type == "number":
        found += [(beyond, f"{parameter.name} ") for beyond in (parameter.least - 1, parameter.most + 1)]
    if parameter.type == "object":
        found.append(({"a": "x" * LARGEST}, f"{parameter.name} has more than {LARGEST} characters"))
    if parameter.type == "objects":
        found.append(([{"a": "x" * LARGEST}], f"{parameter.name} has more than {LARGEST} characters"))
    if parameter.named:
        found.append(([], f"{parameter.name} is given but names nothing"))
    if parameter.required:
        found += [(nothing, f"{parameter.name} is missing") for nothing in (None, "")]
    return found


def test_what_a_parameter_cannot_be_is_refused_by_its_name(tmp_path: Path) -> None:
    wrong, count = [], 0
    with Server(tmp_path / "data", auth=[]) as server:
        address = urlsplit(server.controller_url)
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=10)
        for call in ROWS:
            for parameter in call.parameters:
                others = {each.name: fitting(each) for each in call.parameters if each.required and each != parameter}
                for value, said in cases(call, parameter):
                    for name in {parameter.name, *parameter.spellings}:
                        connection.request(call.method, call.path, json.dumps({**others, name: value}))
                        reply = connection.getresponse()
                        content = json.loads(reply.read())
                        count += 1
                        if (reply.status, content["status"]) != (400, "FAIL") or not content["message"].startswith(
                            said
                        ):
                            wrong.append((call.id, name, str(value)[:50], reply.status, content))
        connection.close()
    assert [] == wrong
    assert count > 1000
