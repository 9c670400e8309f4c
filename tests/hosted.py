"""A server and a GitHub in small, and doors to both: for the tests of steps that start, end and sweep runners."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import pytest
import requests

from actions.github_double import runners as github_runners
from actions.github_double.server import TOKEN, Double
from anka_ci.anka import Anka
from anka_ci.desk import perform
from anka_ci.result import Event, Said, StepResult
from anka_ci.runners import Runners
from anka_ci.secret import Redactor, Secret
from anka_ci.server.seed import ID
from anka_ci.wire.manifest import Layer, Manifest
from anka_ci_actions.service import runners as service
from faulty import Faulty

SCOPE = "mobile/app"


def add_template(url: str, name: str, id_: str) -> None:
    """Put a template into the registry at ``url`` whose guest holds the runner's agent."""
    blobs = requests.Session()

    def put(content: bytes) -> str:
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        sent = blobs.post(f"{url}/v2/{id_}/blobs/uploads/", params={"digest": digest}, data=content, timeout=10)
        assert 201 == sent.status_code
        return digest

    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        folder = tarfile.TarInfo("actions-runner")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(folder)
        file = tarfile.TarInfo("actions-runner/run.sh")
        text = github_runners.run_sh().encode()
        file.size, file.mode = len(text), 0o755
        tar.addfile(file, io.BytesIO(text))
    sample = Manifest.read(blobs.get(f"{url}/v2/{ID}/manifests/base", timeout=10).content)
    assert sample is not None
    config = blobs.get(f"{url}/v2/{ID}/blobs/{sample.config_digest}", timeout=10).content
    put(config)
    only = Layer(file="a" * 32 + ".ank", digest=put(layer.getvalue()), size=len(layer.getvalue()))
    manifest = replace(sample, id=id_, name=name, layers=(only,)).emit()
    assert 201 == blobs.put(f"{url}/v2/{id_}/manifests/base", data=manifest, timeout=10).status_code


@contextmanager
def github(registry_url: str) -> Iterator[dict[str, str]]:
    """A GitHub in small, and a template with the agent in the registry: what the examples of runners need. The
    environment of a step that uses it."""
    with Double() as double:
        double.add(SCOPE)
        add_template(registry_url, "sonoma-runner", "0b0a4d4e-9d0e-43dc-54dc-1f5d1a4c2e77")
        yield {"ANKA_CI_GITHUB_URL": double.url, "ANKA_CI_GITHUB_TOKEN": TOKEN}
        github_runners.of(double).close()


class Hosted:
    """The doors of ``world``, with the runners of ``double`` beside them. ``agents``: runners are online at once, as
    no virtual node runs anything."""

    def __init__(self, world: Faulty, double: Double) -> None:
        self.world, self.double, self.clock = world, double, world.clock
        self.github = github_runners.of(double)
        self.redactor = Redactor()
        self.agents = True
        self.env = double.env
        self.anka = self.doors()

    def open(self, anka: Anka, scope: str | None, token: Secret | None) -> Runners:
        return service.open(anka, scope, token, env=self.env, redactor=self.redactor)

    def doors(self, **more: Any) -> Anka:
        return self.world.doors(**({"tell": self.tell, "runners_by": self.open} | more))

    def tell(self, event: Event) -> None:
        self.world.told.append(event)
        if self.agents and isinstance(event, Said) and event.text.startswith("waiting for "):
            self.github.connect(event.text.split()[2])

    def step(self, name: str, anka: Anka | None = None, *, plan_only: bool = False, **inputs: str) -> StepResult:
        values = {key.replace("_", "-"): value for key, value in inputs.items()}
        return perform(name, values, anka or self.anka, plan_only=plan_only)

    def start(self, anka: Anka | None = None, **inputs: Any) -> StepResult:
        return self.step("start-runner", anka, **({"template": "sonoma", "scope": SCOPE} | inputs))

    @property
    def names(self) -> list[str]:
        return [each.name for each in self.github.all()]

    @property
    def left(self) -> list[str]:
        """The ids of the instances that are not ended, nor about to be."""
        return [each.id for each in self.world.anka.controller.instances.all() if "Terminat" not in each.state]


@pytest.fixture
def hosted(faulty: Callable[..., Faulty]) -> Iterator[Callable[..., Hosted]]:
    with ExitStack() as opened:

        def start(script: str = "http: []", **more: Any) -> Hosted:
            double = opened.enter_context(Double())
            double.add(SCOPE)
            found = Hosted(faulty(script, **more), double)
            opened.callback(found.github.close)
            return found

        yield start
