"""The way to a registry through a proxy of the environment, of a stand-in in a process of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from subprocess import Popen

import pytest

from anka_ci.server.app import Server
from front import Came, Front


@pytest.mark.parametrize(
    ("more", "used"),
    [
        ({"http_proxy": "PROXY"}, True),
        ({"http_proxy": "PROXY", "no_proxy": "127.0.0.1"}, False),
        ({"http_proxy": "http://127.0.0.1:9", "ANKA_CI_PROXY": "PROXY"}, True),
    ],
)
def test_the_proxy_of_the_environment(
    server: Server, launch: Callable[..., Popen[str]], more: dict[str, str], used: bool
) -> None:
    asked: list[str] = []

    def note(came: Came) -> None:
        asked.append(came.path)

    with Front(server.registry_url, note) as proxy:
        env = {name: value.replace("PROXY", proxy.url) for name, value in more.items()}
        child = launch("-j", "pull", "-t", "base", "sonoma", server.registry_url, **env)
        out, err = child.communicate(timeout=60)
    assert (0, "base") == (child.returncode, json.loads(out)["body"]["tag"]), (out, err)
    # what is asked of the REST view and of the data plane alike
    assert (used, used) == (any("/registry/" in path for path in asked), any("/v2/" in path for path in asked))
