"""The registry by way of the controller, and the calls of registries that are older than most of theirs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from anka_ci.errors import NotFoundError
from anka_ci.registry import Registry
from anka_ci.server.seed import ID
from faulty import Faulty, faulty
from shared.test_client_instances import PLAIN_404, doors, fail, ok
from shared.test_transport import _no_proxy, foreign  # noqa: F401

__all__ = ["faulty"]


def test_all_that_the_controller_shows_is_what_the_registry_has(faulty: Callable[..., Faulty]) -> None:
    anka = faulty("http: []").anka
    view: Registry = anka.controller.registry
    assert ("Running", anka.registry.url) == (view.status().status, view.status().registry_url)
    assert anka.registry.templates() == view.templates()
    template = view.template("sonoma")
    assert anka.registry.by_id(ID) == template
    assert anka.registry.config(template, template.newest) == view.config(template, template.newest)
    assert anka.registry.disk().total == view.disk().total
    left = view.revert(template, template.newest)
    assert left is not None
    assert (["base"], left) == ([each.tag for each in left.versions or ()], anka.registry.by_id(ID))
    view.delete(left)
    assert ([], []) == (view.templates(), anka.registry.templates())
    with pytest.raises(NotFoundError, match=f"no template '{ID}'"):
        view.by_id(ID)


TEMPLATE = {"id": ID, "name": "sonoma", "versions": [{"tag": "v1", "number": 0}]}


@pytest.mark.parametrize("answer", [PLAIN_404, fail("unknown parameter", 200)])
def test_a_configuration_where_it_is_a_flag(answer: bytes) -> None:
    with foreign(ok(TEMPLATE), answer, ok({"ram": "2G"})) as server:
        registry = doors(server.url).registry
        template = registry.by_id(ID)
        assert {"ram": "2G"} == registry.config(template, template.newest)
        assert "/registry/vm?info=true&id=" in server.asked[-1]
    with foreign(answer, ok(TEMPLATE)) as server:  # one that has neither
        registry = doors(server.url).registry
        with pytest.raises(NotFoundError, match="no configuration 'sonoma:v1'"):
            registry.config(template, template.newest)


def test_before_1_13_there_is_only_the_first_list() -> None:
    with foreign(PLAIN_404, ok([{ID: "sonoma"}]), PLAIN_404, ok(TEMPLATE), PLAIN_404, fail("Not found")) as server:
        registry = doors(server.url).registry
        assert ID == registry.template("sonoma").id
        with pytest.raises(NotFoundError, match="no template 'x'"):
            registry.by_id("x")
