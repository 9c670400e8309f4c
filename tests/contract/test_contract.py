"""Every operation of the OpenAPI description, asked with generated requests, has to keep to it.

10,000 requests, in two halves that run beside each other, to servers whose nodes are virtual: as described, against
the description, and with a body that is none. No answer may be a 5xx, have a status that is not described, or break its
schema. Generated text alone would name nothing that exists, so an id is often a placeholder, for which a real one is
put in right before the request is sent. ``ANKA_CI_CONTRACT_SEED`` is the number to begin with, for other requests.
"""

from __future__ import annotations

import base64
import collections
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, OAEP
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from anka_ci.clock import ManualClock
from anka_ci.secret import Secret
from anka_ci.server.app import Server
from anka_ci.server.seed import ID

REQUESTS = int(os.environ.get("ANKA_CI_CONTRACT_REQUESTS", "10000"))
HALVES = 2
SECONDS = 300.0
"""Processor time of one half, which is how long it takes on a core of its own."""
LEAST_OK = 0.3
SEED = int(os.environ.get("ANKA_CI_CONTRACT_SEED", "1"))
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
FORMATS = ("template-id", "tag", "node-id", "group-id", "distribution-id", "instance-id", "api-key-id", "tap-secret")
TOKEN = "a root token of the contract tests"
AUTH: dict[str, Any] = {"auth": ("token", "api-key"), "token": Secret(TOKEN)}
KEY = "contract"
REMOVING = ("deleteTemplate", "registryDelete", "revert", "registryRevert")
DISTRIBUTE = "/api/v1/registry/vm/distribute"


class World:
    """A server and what there is at it: real ids for placeholders, made anew when a request has removed them.

    Without a ``clock`` its node is a real one, and what takes seconds is done a few times only.
    """

    def __init__(self, server: Server, clock: ManualClock | None) -> None:
        self.url, self.session, self.clock = server.controller_url, requests.Session(), clock
        self.session.auth = ("root", TOKEN)
        self.rsa = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.made = self.started = 0
        self.found: dict[str, str] = {}
        self.manifests = {
            tag: self.session.get(f"{self.url}/v2/{ID}/manifests/{tag}", timeout=10).json() for tag in ("base", "v1")
        }

    def send(self, case: Case) -> requests.Response:
        name = case.operation.definition.raw["operationId"]
        if name == "deleteNode" and len(self.body("GET", "/api/v1/node")) < 4:
            case.body = {"node_id": "none"}  # a node comes back only with the server
        if name.endswith("AddApiKey") and isinstance(case.body, dict) and case.body.get("id") == "@api-key-id":
            self.made += 1
            case.body["id"] = f"key-{self.made}"  # an id that is there is refused
        case.query, case.body = self.filled(case.query), self.filled(case.body)
        reply = case.call(base_url=self.url, session=self.session, timeout=30)
        if self.clock is not None:
            self.clock.advance(1)
        if reply.status_code == 200 and name in REMOVING:
            self.found.pop("template-id", None)
        return reply

    def filled(self, value: Any) -> Any:
        """The same with real ids in place of ``@noun``."""
        if isinstance(value, dict):
            return {key: self.filled(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.filled(item) for item in value]
        return self.real(value[1:]) if isinstance(value, str) and value[:1] == "@" and value[1:] in FORMATS else value

    def real(self, noun: str) -> str:
        """An id of something that is there now."""
        return {
            "template-id": self.template,
            "tag": lambda: "v1",
            "node-id": lambda: self.body("GET", "/api/v1/node")[-1]["node_id"],
            "group-id": self.group,
            "distribution-id": self.distribution,
            "instance-id": self.instance,
            "api-key-id": self.key,
            "tap-secret": self.secret,
        }[noun]()

    def body(self, method: str, path: str, sent: object = None) -> Any:
        reply = self.session.request(method, self.url + path, json=sent, timeout=30).json()
        assert reply["status"] == "OK", (method, path, sent, reply)
        return reply.get("body")

    def template(self) -> str:
        """A template with two tags; the sample itself is never named, so that its layers stay."""
        if "template-id" not in self.found:
            self.made += 1
            found = self.found["template-id"] = f"00000000-0000-43dc-54dc-{self.made:012}"
            for tag, manifest in self.manifests.items():
                manifest["annotations"] |= {"anka-ci.id": found, "anka-ci.name": f"made-{self.made}"}
                reply = self.session.put(
                    f"{self.url}/v2/{found}/manifests/{tag}",
                    json.dumps(manifest, separators=(",", ":"), sort_keys=True),
                    headers={"Content-Type": manifest["mediaType"]},
                    timeout=30,
                )
                assert reply.status_code == 201, reply.text
        return self.found["template-id"]

    def group(self) -> str:
        groups = self.body("GET", "/api/v1/group")
        if not groups:
            self.made += 1
            groups = [self.body("POST", "/api/v1/group", {"name": f"group {self.made}"})]
        return str(groups[-1]["id"])

    def distribution(self) -> str:
        if "distribution-id" not in self.found:
            sent = {"template_id": self.template()}
            self.found["distribution-id"] = self.body("POST", DISTRIBUTE, sent)["request_id"]
        return self.found["distribution-id"]

    def instance(self) -> str:
        """One that has started, or lately had."""
        known = self.found.get("instance-id")
        if known and self._state(known) == "Started":
            return known
        if self.clock is None and self.started == 4:
            return known or "none"
        self.started += 1
        # The node takes few at a time, and what was started at random is in the way.
        for row in self.body("GET", "/api/v1/vm"):
            self.session.delete(f"{self.url}/api/v1/vm", json={"id": row["instance_id"]}, timeout=30)
        if self.clock is not None:
            self.clock.advance(600)
        (found,) = self.body("POST", "/api/v1/vm", {"vmid": self.template()})
        if self.clock is not None:
            self.clock.advance(600)
        wait(lambda: self._state(found) == "Started")
        self.found["instance-id"] = found
        return str(found)

    def key(self) -> str:
        """An API key that is good for long."""
        sent: dict[str, Any] = {"id": KEY, "groups": ["builders"], "ttl": 1_000_000}
        if self.session.put(f"{self.url}/api/v1/apikey", json=sent, timeout=30).status_code != 200:
            public = self.rsa.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            self.body("POST", "/api/v1/apikey", sent | {"publicKey": base64.b64encode(public).decode()})
        return KEY

    def secret(self) -> str:
        """What only the key's owner can read of the server's hand."""
        sealed = self.session.post(f"{self.url}/tap/v1/hand", json={"id": self.key()}, timeout=30).content
        return self.rsa.decrypt(base64.b64decode(sealed), OAEP(MGF1(SHA256()), SHA256(), None)).decode()

    def _state(self, instance: str) -> str:
        reply = self.session.get(f"{self.url}/api/v1/vm", params={"id": instance}, timeout=30).json()
        return str((reply.get("body") or {}).get("instance_state"))


def wait(done: Callable[[], bool]) -> None:
    """Wait until it is so, for half a minute at most."""
    end = time.monotonic() + 30
    while not done():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.fixture
def world(seeded: Path, tmp_path: Path) -> Iterator[World]:
    """A server whose nodes are virtual, and whose clock each request moves on."""
    shutil.copytree(seeded, tmp_path / "data", symlinks=True)
    clock = ManualClock()
    with Server(tmp_path / "data", virtual_nodes=8, clock=clock, **AUTH) as server:
        yield World(server, clock)


@pytest.fixture
def real_world(seeded: Path, tmp_path: Path) -> Iterator[World]:
    """A server with a real node, whose instances have bytes that can be saved."""
    shutil.copytree(seeded, tmp_path / "real", symlinks=True)
    with Server(tmp_path / "real", nodes=1, **AUTH) as server:
        yield World(server, None)


def sparse(values: Any, needed: set[str], share: float, random: Any) -> Any:
    """Some of the parameters: a request that names all of them at once is hardly ever a sensible one."""
    if not isinstance(values, dict):
        return values
    return {key: each for key, each in values.items() if key in needed or random.random() < share}


def valid(operation: Any) -> st.SearchStrategy[Case]:
    """Requests as the description has them, most of them with few parameters."""
    raw = operation.definition.raw
    queried = {each["name"] for each in raw.get("parameters", ()) if each.get("required")}
    content = raw.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})

    needed = {*content.get("required", ()), *(name for each in content.get("oneOf", ()) for name in each["required"])}

    def thinned(case: Case, random: Any, salt: int) -> Case:
        case.query = sparse(case.query, queried, 0.3, random)
        case.body = sparse(case.body, needed, 0.2, random)
        return case

    strategy = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
    # The salt makes each of them new to Hypothesis; state differs from one to the next, although the text is the same.
    return st.builds(thinned, strategy, st.randoms(use_true_random=False), st.integers(0, 1 << 40))


def broken(operation: Any) -> st.SearchStrategy[Case]:
    """Requests whose body is no JSON object, which every operation has to refuse."""
    bodies = st.one_of(st.binary(min_size=1), st.sampled_from([b"{", b"[]", b"1", b"\xff", b'{"a": }', b"null1"]))
    bodies = bodies.filter(lambda body: body.strip() and not body.strip().startswith((b"{}", b'{"')))
    return bodies.map(lambda body: operation.Case(body=body, media_type="application/octet-stream"))


@pytest.mark.parametrize("half", range(HALVES))
def test_every_operation_keeps_to_its_description(world: World, real_world: World, half: int) -> None:
    for noun in FORMATS:
        schemathesis.openapi.format(noun, st.one_of(*[st.just(f"@{noun}")] * 3, st.text(min_size=1)))
    schemathesis.openapi.format("name", st.one_of(st.from_regex("[a-z]{3,9}", fullmatch=True), st.text(min_size=1)))
    document = world.session.get(world.url + "/openapi.json", timeout=10).json()
    # Every request is signed in; that none passes without is test_server_auth's to show.
    config = SchemathesisConfig.from_dict({"generation": {"with-security-parameters": False}})
    schema = schemathesis.openapi.from_dict(document, config=config)
    operations = {
        found.ok().definition.raw["operationId"]: found.ok()
        for found in list(schema.get_all_operations())[half::HALVES]
    }
    assert len(operations) > 20
    answers: dict[str, collections.Counter[int]] = {name: collections.Counter() for name in operations}
    failures: list[str] = []

    def ask(name: str, case: Case) -> None:
        reply = (real_world if name == "saveImage" else world).send(case)
        answers[name][reply.status_code] += 1
        try:
            case.validate_response(reply, checks=CHECKS)
        except Exception as found:  # a group of them; Python 3.10 has no such class
            failures.append(f"{name}: " + "; ".join(str(each) for each in getattr(found, "exceptions", (found,))))

    def ask_many(name: str, strategy: st.SearchStrategy[Case], most: int, turn: int) -> None:
        @seed(SEED + turn)
        @settings(
            max_examples=most,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=strategy)
        def run(case: Case) -> None:
            ask(name, case)

        run()

    started, turn, total = time.process_time(), 0, 0
    while total < REQUESTS / HALVES:
        each = int((REQUESTS / HALVES - total) / len(operations) / 2) + 1
        for name, operation in operations.items():
            ask_many(name, valid(operation), each, turn)
            try:
                ask_many(name, operation.as_strategy(generation_mode=GenerationMode.NEGATIVE), each, turn)
            except Unsatisfiable:  # nothing is described that could be done wrong
                ask_many(name, broken(operation), each, turn)
        turn, total = turn + 1, sum(sum(count.values()) for count in answers.values())

    took, good = time.process_time() - started, sum(count[200] for count in answers.values())
    print(f"{total} requests in {took:.0f} s of processor time, {100 * good // total} % of them OK")
    for name, count in answers.items():
        print(f"  {name}: {count[200]} OK, {count[400] + count[401]} FAIL")
    assert [] == failures[:10], len(failures)
    assert {400} <= {status for count in answers.values() for status in count} - {200} <= {400, 401}
    assert [] == [name for name, count in answers.items() if not (count[200] and count[400] + count[401])]
    assert good / total >= LEAST_OK
    assert took < SECONDS
