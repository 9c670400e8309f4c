"""The doors on the replies that Anka documents, from the same files that the server is tested against."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from anka_ci.anka import Anka
from anka_ci.clock import ManualClock
from anka_ci.errors import NotFoundError
from anka_ci.settings import Context
from shared.test_transport import _no_proxy, foreign, reply  # noqa: F401

WIRE = Path(__file__).parent.parent / "wire"
ID = "5d1b40b9-7e1c-43dc-94dc-2fa0f10ee91e"


def wire(name: str) -> Any:
    return json.loads((WIRE / f"{name}.json").read_text())


def answered(name: str) -> bytes:
    found = wire(name)
    return reply(found["status"], json.dumps(found["reply"]).encode())


def doors(url: str) -> Anka:
    return Anka(Context(controller_url=url, registry_urls=(url,)), clock=ManualClock())


@pytest.mark.parametrize(("name", "size"), [("registry-list", 3150336), ("registry-list-v1", None)])
def test_templates(name: str, size: int | None) -> None:
    with foreign(answered(name)) as server:
        (template,) = doors(server.url).registry.templates()
    assert (ID, "sonoma", size) == (template.id, template.name, template.size)


def test_a_template() -> None:
    with foreign(answered("registry-show")) as server:
        template = doors(server.url).registry.by_id(ID)
    assert [("base", 0, 2952192), ("v1", 1, 3150336)] == [
        (version.tag, version.number, version.size) for version in template.versions or ()
    ]
    assert ("03ee1c8038afe6f8bf25c1b9f6be5e25.ank", 1741354557) == (
        template.newest.images[0],
        template.newest.creation_date,
    )


def test_a_template_of_2019_has_no_sizes() -> None:
    found = wire("registry-show")["reply"]
    for each in (found["body"], *found["body"]["versions"]):
        for key in ("size", "arch", "state_file", "last_pull", "last_push", "creation_date"):
            each.pop(key, None)
    with foreign(reply(200, json.dumps(found).encode())) as server:
        template = doors(server.url).registry.by_id(ID)
    assert (None, None) == (template.size, template.newest.size)
    assert "size" not in template.emit()
    assert "size" not in template.newest.emit()


def test_an_unknown_template() -> None:
    with foreign(answered("unknown-template-in-registry")) as server:
        with pytest.raises(NotFoundError, match="no template 'nothing'"):
            doors(server.url).registry.by_id("nothing")


def test_a_configuration() -> None:
    with foreign(answered("registry-show"), answered("registry-info")) as server:
        registry = doors(server.url).registry
        template = registry.by_id(ID)
        assert "8G" == registry.config(template, template.newest)["ram"]


def test_a_distribution() -> None:
    with foreign(answered("distribute"), answered("distribution")) as server:
        controller = doors(server.url).controller
        request = controller.distribute(template_id=ID, tag="v1", version=1)
        found = controller.distribution(request)
    assert wire("distribute")["reply"]["body"]["request_id"] == request
    assert (ID, "v1", 1) == (found.template_id, found.tag, found.version)
    assert ["node-1", "node-2", "node-3"] == list(found.nodes)


def test_a_status() -> None:
    with foreign(answered("controller-status")) as server:
        status = doors(server.url).controller.status()
    assert ("Running", "http://127.0.0.1:8089") == (status.status, status.registry_url)
