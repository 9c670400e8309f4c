"""A distribution to a fleet on a bad day, drawn from a seed: what is expected is worked out from the script alone.

Client and server are in one process and on one clock, which stands still until someone sleeps on it.
"""

from __future__ import annotations

import math
import random
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path

from anka_ci.anka import Anka
from anka_ci.clock import Cancelled, Deadline, ManualClock
from anka_ci.desk import perform
from anka_ci.errors import FellShortError, RefusedError
from anka_ci.server.app import Server
from anka_ci.settings import Context

ENDINGS = 5
"""Of the hundred pairs of digits that names end with, so many are befallen by each fault: one node in twenty."""
FAULTS = {
    "lost": "does: offline, at: 0s",  # from the start, and shown as offline when it is planned
    "away": "does: offline, at: {at}s, for: {lasts}s",  # comes back
    "gone": "does: offline, at: {at}s",  # does not
    "restarted": "does: restart, at: {at}s",
    "full": "does: full",
    "full-for-a-while": "does: full, for: {filled}s",
    "evicting": "does: evict",
    "stuck": "does: stuck",
    "silent": "does: silent",
    "silent-for-a-while": "does: silent, for: {filled}s",
}
"""What befalls nodes, as the fault scripts of the server say it."""
BROKEN = (
    "does: drop",
    "does: cut",
    "does: lose",
    "does: answer, status: 503",
    "does: answer, status: 429",
    "does: 'null'",
)
WARM = 150.0
"""Seconds from the server's start to the plan: by then the controller shows what is offline."""


class Limit(ManualClock):
    """A clock on which nothing may take longer than is thought: that would be a wait that hangs."""

    def __init__(self) -> None:
        super().__init__()
        self.end = math.inf

    def sleep(self, seconds: float, cancelled: Cancelled | None = None) -> None:
        super().sleep(seconds, cancelled)
        assert self.now() < self.end, "it hangs"


@dataclass
class Day:
    """What was drawn, and what came of it."""

    seed: int
    inputs: dict[str, str]
    timeout: float | None
    kinds: dict[str, str]
    error: str = ""
    outputs: dict[str, object] = field(default_factory=dict)
    holds: dict[str, bool] = field(default_factory=dict)
    offline: set[str] = field(default_factory=set)
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"seed {self.seed}: {self.inputs}, timeout {self.timeout}"

    def names(self, key: str) -> set[str]:
        found = self.outputs.get(key)
        return {*found} if isinstance(found, (list, tuple)) else set()

    @property
    def enough(self) -> bool:
        """Whether the policy is met by the nodes that really hold the tag: said anew, not by the rules."""
        must = {*self.inputs.get("must-have", "").split()}
        quota = self.inputs.get("at-least", "all")
        way = self.inputs.get("offline", "fail" if quota == "all" else "tolerate")
        lacking = {name for name, held in self.holds.items() if not held}
        out = {name for name in lacking if name in self.offline and name not in must}
        counted = len(self.holds) - (len(out) if way == "exclude" else 0)
        has = sum(self.holds.values())
        if lacking & must or not has:
            return False
        if quota == "all":
            return not lacking - (out if way in ("exclude", "tolerate") else set())
        if way == "fail" and "offline" in self.inputs and lacking & self.offline:
            return False
        wanted = math.ceil(int(quota[:-1]) * counted / 100) if quota.endswith("%") else int(quota)
        return has >= wanted


def drawn(seed: int, nodes: int) -> tuple[Day, str]:
    """A day, and its fault script."""
    chance = random.Random(seed)
    endings = [f"{number:02}" for number in range(100)]
    chance.shuffle(endings)
    kinds, lines = {}, []
    for number, (kind, fault) in enumerate(FAULTS.items()):
        for ending in endings[number * ENDINGS : (number + 1) * ENDINGS]:
            kinds[ending] = kind
            at, lasts = WARM + chance.choice([0.5, 2, 5]), chance.choice([5, 30, 90, 200])
            filled = WARM + chance.choice([5, 60, 100])
            lines.append(f"  - {{node: 'virtual-*{ending}', {fault.format(at=at, lasts=lasts, filled=filled)}}}")
    http = [
        f"  - {{match: {verb} /api/v1/{path}, {chance.choice(BROKEN)}, after: {chance.randrange(1, 9)}, times: 1}}"
        for verb, path in chance.choices(
            [("GET", "node"), ("GET", "registry/vm/distribute"), ("POST", "registry/vm/distribute")], k=3
        )
    ]
    inputs = {"template": "sonoma", "all": "true", "stall": chance.choice(["60s", "90s", "2m"])}
    inputs["retries"] = str(chance.choice([0, 0, 1, 2]))
    if chance.random() < 0.85:
        inputs["at-least"] = chance.choice([f"{chance.randrange(40, 100)}%", str(chance.randrange(nodes // 2, nodes))])
    if chance.random() < 0.6:
        inputs["offline"] = chance.choice(["exclude", "tolerate", "fail"])
    if chance.random() < 0.4:
        inputs["must-have"] = "\n".join(
            f"virtual-{chance.randrange(1, nodes + 1)}" for _ in range(chance.choice([1, 3]))
        )
    day = Day(seed=seed, inputs=inputs, timeout=chance.choice([None, None, 40.0, 150.0]), kinds={})
    day.kinds = {name: kinds.get(name[-2:], "") for name in (f"virtual-{n + 1}" for n in range(nodes))}
    script = (
        f"virtual: {{bandwidth: 100MiB, registry: 1GiB}}\nhttp:\n{chr(10).join(http)}\nnodes:\n{chr(10).join(lines)}\n"
    )
    return day, script


def lived(seed: int, nodes: int, seeded: Path, folder: Path) -> Day:
    """The day as it went."""
    day, script = drawn(seed, nodes)
    data = Path(shutil.copytree(seeded, folder / f"data-{seed}", symlinks=True))
    file = folder / f"day-{seed}.yml"
    file.write_text(script)
    clock = Limit()
    with Server(data, virtual_nodes=nodes, faults=file, clock=clock) as server:
        clock.advance(WARM)
        began = clock.now()
        clock.end = began + 3600
        context = Context(controller_url=server.controller_url, registry_urls=(server.registry_url,))
        anka = Anka(context, clock=clock, deadline=Deadline(clock, day.timeout))
        try:
            day.outputs = dict(perform("distribute", day.inputs, anka).outputs)
        except (FellShortError, RefusedError) as error:
            day.error, day.outputs = error.message, error.outputs
        day.seconds = clock.now() - began
        seen = Anka(context, clock=clock).controller.nodes() or Anka(context, clock=clock).controller.nodes()
    for node in seen:
        day.holds[node.name] = any(held.name == "sonoma" and held.tag == "v1" for held in node.templates or ())
        if node.state == "Offline":
            day.offline.add(node.name)
    shutil.rmtree(data)
    return day


def wrong(day: Day) -> list[str]:
    """What is not as it has to be, a sentence each."""
    found = []
    holds = {name for name, held in day.holds.items() if held}
    refused = "at best" in day.error
    if day.enough == bool(day.error):
        found.append(f"{day}: the policy is {'' if day.enough else 'not '}met, but: {day.error[:200] or 'success'}")
    if refused and replace(day, holds={name: kind != "lost" for name, kind in day.kinds.items()}).enough:
        found.append(f"{day}: it was refused, and could have been met")
    if not refused:
        told = [name for key in ("succeeded", "already", "failed", "skipped", "pending") for name in day.names(key)]
        if sorted(told) != sorted(day.kinds):
            found.append(f"{day}: the outputs are no partition of the nodes")
        if day.names("succeeded") | day.names("already") != holds:
            found.append(f"{day}: {sorted((day.names('succeeded') | day.names('already')) ^ holds)[:5]} is not as told")
        if not day.names("pending") <= {*day.kinds} - holds:
            found.append(f"{day}: pending nodes hold it")
    for name, kind in day.kinds.items():
        if kind in ("lost", "full", "silent") and day.holds[name]:
            found.append(f"{day}: {name} is {kind} and holds it: the day did not go as drawn")
        if not kind and not refused and not day.holds[name]:
            found.append(f"{day}: nothing befell {name}, and it does not hold it")
    return found
