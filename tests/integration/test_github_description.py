"""GitHub's REST API as it is published: every request of ours fits it, and so does every answer of the double.

What PyGithub sends to the double is recorded, and shown to Prism, which holds it against the description; calls that
need no state go to Prism directly. What an Enterprise Server of each published release knows is compared without one.
"""

from __future__ import annotations

import functools
import http.client
import json
import os
import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from actions.github_double import server, workflows
from actions.github_double.server import Answer, Double, Request
from anka_ci.clock import ManualClock
from anka_ci.errors import NotFoundError, RefusedError
from anka_ci.secret import Redactor
from anka_ci_actions.service import Connection, Repository, connect
from anka_ci_actions.service.permissions import STATUS
from anka_ci_actions.service.runners import Runners
from integration.conftest import wait_until

A = ".github/workflows/a.yml"
SHA = "0123456789abcdef0123456789abcdef01234567"
LATER = {"return_run_details"}
"""What github.com takes and an older Enterprise Server does not; the service asks again without it."""


def node() -> Path:
    """Where ``.ci/tools`` puts what comes from npm."""
    found = Path(os.environ.get("ANKA_CI_NODE") or Path.home() / ".cache/anka-ci/node") / "node_modules"
    for part in (".bin/prism", "@octokit/openapi/generated/api.github.com.json"):
        if not (found / part).exists():
            pytest.skip(f"{found / part} is missing: npm could not install it, see what .ci/tools says")
    return found


@functools.cache
def description(name: str) -> dict[str, Any]:
    """A published description, of OpenAPI 3.0, as JSON Schema reads it."""

    def read(value: Any) -> Any:
        if isinstance(value, list):
            return [read(each) for each in value]
        if not isinstance(value, dict):
            return value
        found = {key: read(each) for key, each in value.items() if key not in ("example", "examples")}
        if found.pop("nullable", None) is True:
            return {"anyOf": [found, {"type": "null"}]}
        return found

    found = json.loads((node() / "@octokit/openapi/generated" / name).read_text())
    return {"paths": read(found["paths"]), "components": read(found["components"])}


def described(name: str, request: Request) -> dict[str, Any] | None:
    """What a description says of a request; None when it knows no such call."""
    found: dict[str, Any] | None = description(name)["paths"].get(request.template, {}).get(request.verb.lower())
    return found


@pytest.fixture(scope="module")
def prism() -> Iterator[int]:
    """Prism on a port of this machine, holding requests against github.com's description."""
    modules = node()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    words = ["mock", "-h", "127.0.0.1", "-p", str(port), modules / "@octokit/openapi/generated/api.github.com.json"]
    child = subprocess.Popen(
        [modules / ".bin/prism", *words],
        env={**os.environ, "NODE_OPTIONS": "--max-old-space-size=4096"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def answers() -> bool:
        assert child.poll() is None, "Prism ended"
        with socket.socket() as asked:
            return asked.connect_ex(("127.0.0.1", port)) == 0

    try:
        wait_until(answers, 120)
        yield port
    finally:
        child.kill()
        child.wait()


def judged(port: int, request: Request) -> tuple[int, str]:
    """What Prism says of a request: the status, and why. It takes no slash within a part of a path."""
    flat = re.sub("(/git/refs?/)(.+)", lambda match: match[1] + match[2].replace("/", "%2F"), request.path)
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {key: value for key, value in request.headers.items() if key not in ("Host", "Content-Length")}
    body = None if request.body is None else json.dumps(request.body)
    query = "&".join(f"{key}={value}" for key, value in request.query.items())
    line.request(request.verb, flat + (f"?{query}" if query else ""), body, headers)
    reply = line.getresponse()
    text = reply.read().decode()
    line.close()
    return reply.status, f"{request.verb} {request.path} {request.body}: {reply.status} {text[:300]}"


@pytest.fixture(scope="module")
def told() -> list[tuple[Request, Answer]]:
    """Every request and answer of all that the service can do, refusals among them."""
    with Double() as double:
        repo = double.add("octo/there", {A: "a\n", "README.md": "hello\n"})
        repo.workflows = {"refresh.yml": True, "push.yml": False}
        there = connect(double.env, clock=ManualClock())
        files(there, double)
        runs(there, double)
        for scope in ("octo/there", "octo"):
            agents(Runners(there.connection, scope, Redactor()), "macs" if "/" not in scope else None)
        double.run_details = False
        there.dispatch("refresh.yml", "main", {"tag": "v2"})
        double.rename("octo/there", "octo/here")
        connect(double.env | {"GITHUB_REPOSITORY": "octo/there"}, clock=ManualClock()).default_branch()
        return [*double.told]


def files(there: Repository, double: Double) -> None:
    head = there.head(there.default_branch())
    assert head is not None
    there.files("main", ".github/workflows")
    head = there.commit("main", {A: None, "b.yml": "b\n"}, "Change", expected_head=head)
    for text in ("one\n", "two\n"):
        there.commit("anka-ci/jobs", {A: text}, "Propose", expected_head=head, base="main")
        there.propose("anka-ci/jobs", "main", text, "Body")
    there.set_status(head, "anka", "pending", "on its way", "https://example.com/1")
    there.set_status(head, "anka", "success", "")
    double.repos["octo/there"].protected.add("main")
    with pytest.raises(RefusedError):
        there.commit("main", {"c.yml": "c\n"}, "Change", expected_head=head)
    assert None is there.head("gone")


def runs(there: Repository, double: Double) -> None:
    started = there.dispatch("refresh.yml", "main", {})
    there.run(started.id)
    steps = [("Set up job", "success"), ("Push", "failure")]
    double.repos["octo/there"].runs[0]["jobs"] = [{"id": 7, "name": "push", "conclusion": "failure", "steps": steps}]
    assert ["job 'push' in step 'Push'"] == there.failed(started.id)
    assert there.cancel(started.id)
    assert not there.cancel(started.id)
    assert there.run(started.id).ended
    workflows.start(double.repos["octo/there"], "push.yml", "main")
    with pytest.raises(RefusedError):
        there.dispatch("push.yml", "main", {})
    with pytest.raises(NotFoundError):
        there.run(1)


def agents(there: Runners, group: str | None) -> None:
    made = there.register("anka-ci-1", ["self-hosted", "anka"], group=group).runner
    assert [made.id] == [each.id for each in there.list()] == [there.get(made.id).id]
    there.remove(made.id)
    with pytest.raises(NotFoundError):
        there.get(made.id)


def test_every_route_of_the_double_was_asked(told):
    declared = {(each.verb, each.template) for each in server.ROUTES}
    assert declared == {(each.verb, each.template) for each, _ in told}


def test_every_request_fits_the_description(told, prism):
    wrong = [said for status, said in (judged(prism, request) for request, _ in told) if status >= 400]
    assert [] == wrong


def test_every_answer_of_the_double_fits_the_description(told):
    wrong = []
    components = description("api.github.com.json")["components"]
    for request, answer in told:
        call = described("api.github.com.json", request)
        assert call is not None, f"{request.verb} {request.template}"
        stated = call["responses"].get(str(answer.status))
        if stated is None:
            if answer.status not in (
                301,
                307,
                404,
                422,
            ):  # a rename, what is not there, and what makes no sense, anywhere
                wrong.append(f"{request.verb} {request.template}: {answer.status}")
            continue
        if "$ref" in stated:
            stated = components["responses"][stated["$ref"].rsplit("/", 1)[1]]
        schema = stated.get("content", {}).get("application/json", {}).get("schema")
        if schema is None:
            assert answer.body is None or answer.status >= 300, f"{request.verb} {request.template} has no body"
            continue
        for error in Draft202012Validator({"components": components, **schema}).iter_errors(answer.body):
            wrong.append(f"{request.verb} {request.template} {answer.status}: {error.json_path}: {error.message[:150]}")
    assert [] == sorted(set(wrong))


@pytest.mark.parametrize("release", ["ghec", "ghes-3.17", "ghes-3.18", "ghes-3.19"])
def test_an_enterprise_server_knows_every_call_and_all_that_is_sent(told, release):
    wrong = set()
    for request, _ in told:
        call = described(f"{release}.json", request)
        if call is None:
            wrong.add(f"{request.verb} {request.template}")
            continue
        schema = call.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
        known = set(schema.get("properties", {}))
        more = set(request.body or ()) - known - LATER
        wrong |= {f"{request.verb} {request.template}: {key}" for key in more}
    assert set() == wrong


def test_calls_straight_to_prism_get_on_with_what_github_shows_as_examples(prism):
    env = {"ANKA_CI_GITHUB_TOKEN": "x" * 20, "GITHUB_API_URL": f"http://127.0.0.1:{prism}"}
    there = connect(env, repo="octocat/Hello-World", clock=ManualClock())
    assert ("octocat/Hello-World", "master") == (there.slug, there.default_branch())
    assert 30433642 == there.run(30433642).id
    assert there.cancel(42)
    assert there.set_status(SHA, "anka", "success", "on 3 nodes", "https://example.com/1")
    found = there.dispatch("refresh.yml", "main", {"tag": "v2"})
    assert (int, True) == (type(found.id), found.url.startswith("https://"))


def test_prism_refuses_what_does_not_fit(prism):
    env = {"ANKA_CI_GITHUB_TOKEN": "x" * 20, "GITHUB_API_URL": f"http://127.0.0.1:{prism}"}
    line: Connection = connect(env, repo="octocat/Hello-World", clock=ManualClock()).connection
    with pytest.raises(RefusedError, match="422"):
        line.call(STATUS, "POST", f"/repos/octocat/Hello-World/statuses/{SHA}", body={"state": "done"})
    with pytest.raises(NotFoundError):
        line.get(STATUS, "/repos/octocat/Hello-World/no-such-call")
