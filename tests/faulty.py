"""A server that a fault script disturbs, and doors to it, both on one clock that stands still until it is slept on."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import requests

from anka_ci.anka import Anka
from anka_ci.clock import Deadline, ManualClock
from anka_ci.desk import perform
from anka_ci.result import Event, Said, StepResult
from anka_ci.server.app import Server
from anka_ci.server.seed import ID
from anka_ci.settings import Context
from anka_ci.wire.manifest import Layer, Manifest

OTHER = "0b0a4d4e-9d0e-43dc-54dc-1f5d1a4c2e77"
"""The id of the second template."""


class Faulty:
    """A server that a script disturbs, and doors to it on the same clock."""

    def __init__(self, server: Server, clock: ManualClock) -> None:
        self.server, self.clock = server, clock
        self.told: list[Event] = []
        self.anka = self.doors()

    def doors(self, timeout: float | None = None, **more: Any) -> Anka:
        context = Context(
            controller_url=self.server.controller_url,
            registry_urls=(self.server.registry_url,),
            anka=(self.server.anka,),
        )
        return Anka(
            context, clock=self.clock, **({"tell": self.told.append, "deadline": Deadline(self.clock, timeout)} | more)
        )

    def distribute(self, anka: Anka | None = None, **inputs: str) -> StepResult:
        inputs = {"template": "sonoma", "all": "true"} | inputs
        chosen = {key.replace("_", "-"): value for key, value in inputs.items() if value}
        return perform("distribute", chosen, anka or self.anka)

    def warnings(self) -> str:
        return "\n".join(event.text for event in self.told if isinstance(event, Said))

    def second_template(self) -> None:
        """Put a template of 2 MiB beside the sample."""
        repository = f"{self.server.registry_url}/v2/{{}}"
        found = requests.get(repository.format(ID) + "/manifests/base", timeout=10)
        manifest = Manifest.read(found.content)
        assert manifest is not None
        config = requests.get(f"{repository.format(ID)}/blobs/{manifest.config_digest}", timeout=10).content
        content = b"another layer..." * (1 << 17)
        for blob in (content, config):
            digest = "sha256:" + hashlib.sha256(blob).hexdigest()
            url = repository.format(OTHER) + "/blobs/uploads/"
            assert 201 == requests.post(url, params={"digest": digest}, data=blob, timeout=10).status_code
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        layer = Layer(file="f" * 32 + ".ank", digest=digest, size=len(content))
        other = replace(manifest, id=OTHER, name="ventura", layers=(layer,)).emit()
        assert 201 == requests.put(repository.format(OTHER) + "/manifests/base", data=other, timeout=10).status_code


@pytest.fixture
def faulty(seeded: Path, tmp_path: Path) -> Iterator[Callable[..., Faulty]]:
    with ExitStack() as opened:

        def start(script: str, *, virtual_nodes: int = 2, **more: Any) -> Faulty:
            number = len(list(tmp_path.glob("data-*")))
            data = Path(shutil.copytree(seeded, tmp_path / f"data-{number}", symlinks=True))
            file = tmp_path / f"faults-{number}.yml"
            file.write_text(dedent(script))
            clock = ManualClock()
            more = {"groups": {"ios": ("*",)}} | more
            server = Server(data, virtual_nodes=virtual_nodes, faults=file, clock=clock, **more)
            return Faulty(opened.enter_context(server), clock)

        yield start
