"""Which registry the door opens onto: the context's registries in their order, for REST calls and bytes alike."""

from __future__ import annotations

import contextlib
import dataclasses
import socket
from collections.abc import Iterator

import pytest

from anka_ci import registry
from anka_ci.anka import Anka
from anka_ci.desk import perform
from anka_ci.errors import NotAuthorisedError, UnreachableError
from anka_ci.result import Said
from foreign import OK, foreign, reply

BROKEN = {
    "server error 503": reply(503, b"overloaded", "Retry-After: 600"),
    "an HTML page": reply(200, b"<html>welcome</html>"),
    "no Anka registry": reply(404, b"404 page not found\n"),
    "says that it is nothing": reply(200, OK),
    "says that it is Starting": reply(200, b'{"status":"OK","message":"","body":{"status":"Starting"}}'),
    "the disk is gone": reply(400, b'{"status":"FAIL","message":"the disk is gone"}'),
}


@contextlib.contextmanager
def nobody() -> Iterator[str]:
    """An address at which nothing listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{unused.getsockname()[1]}"


def beside(anka: Anka, *urls: str) -> tuple[Anka, list[str]]:
    """Doors whose context has other registries before its own, and the warnings that are told."""
    told: list[str] = []

    def tell(event: object) -> None:
        if isinstance(event, Said) and event.level == "warning":
            told.append(event.text)

    context = dataclasses.replace(anka.context, registry_urls=(*urls, *anka.context.registry_urls))
    return Anka(context, tell=tell), told


@pytest.mark.parametrize("why", BROKEN)
def test_a_registry_that_does_not_work_is_told_and_passed_over_at_once(anka: Anka, why: str) -> None:
    with foreign(BROKEN[why]) as first:
        doors, told = beside(anka, first.url)
        assert "sonoma" == doors.registry.template("sonoma").name
        assert anka.context.registry_urls[0] == doors.registry.url
    assert 1 == len(first.asked)
    (warning,) = told
    assert why in warning
    assert "trying the next registry" in warning


def test_a_dead_and_a_silent_one_are_passed_over(anka: Anka, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "PROBE", 0.3)
    with nobody() as dead, socket.create_server(("127.0.0.1", 0)) as silent:
        doors, told = beside(anka, dead, f"http://127.0.0.1:{silent.getsockname()[1]}")
        assert anka.context.registry_urls[0] == doors.registry.url
    assert 2 == len(told)


def test_bytes_are_moved_from_the_registry_that_answered(anka: Anka) -> None:
    with nobody() as dead:
        doors, _ = beside(anka, dead)
        assert "v1" == perform("pull", {"template": "sonoma", "tag": "v1"}, doors).outputs["tag"]


def test_a_refused_sign_in_is_not_passed_over(anka: Anka) -> None:
    with foreign(reply(401, b'{"status":"FAIL","message":"Authentication Required"}')) as first:
        doors, told = beside(anka, first.url)
        with pytest.raises(NotAuthorisedError):
            doors.registry.templates()
    assert [] == told


def test_when_none_answers_each_is_named_with_its_reason(anka: Anka) -> None:
    with nobody() as dead, foreign(BROKEN["an HTML page"]) as other:
        context = dataclasses.replace(anka.context, registry_urls=(dead, other.url))
        with pytest.raises(UnreachableError, match="none of the context's 2 registries answers") as caught:
            Anka(context).registry.templates()
    assert dead in caught.value.message
    assert "an HTML page" in caught.value.message


def test_the_only_registry_is_not_asked_first_whether_it_runs(anka: Anka) -> None:
    with foreign(reply(200, b'{"status":"OK","message":"","body":[]}')) as only:
        assert [] == Anka(dataclasses.replace(anka.context, registry_urls=(only.url,))).registry.templates()
    assert ["/registry/v2/vm"] == [asked.split()[1] for asked in only.asked]
