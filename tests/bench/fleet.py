"""What a distribution to many virtual nodes costs: ``make bench-fleet``, by hand.

Not part of the suite. Client and server are one process on one clock that is slept on, so waiting itself costs nothing:
the seconds are those of both sides' work, JSON and loopback HTTP included.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from anka_ci.anka import Anka
from anka_ci.clock import Cancelled, ManualClock
from anka_ci.desk import perform
from anka_ci.server.app import Server
from anka_ci.server.seed import ID
from anka_ci.settings import Context

ROUNDS = 10
DIVISOR = 1 << 20 if sys.platform == "darwin" else 1 << 10
"""What ``ru_maxrss`` is counted in: bytes on macOS, KiB on Linux."""
HEAD = "nodes   list   start  status |   wait: polls  simulated    work |  memory"


class Sleeping(ManualClock):
    """A clock that stands still until someone sleeps on it, and counts how often that is."""

    slept = 0

    def sleep(self, seconds: float, cancelled: Cancelled | None = None) -> None:
        self.slept += 1
        super().sleep(seconds, cancelled)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, action="append", help="how many nodes; may be given again")
    options = parser.parse_args()
    print(HEAD)
    for nodes in options.nodes or (10, 100, 1000, 2000, 10_000):
        with tempfile.TemporaryDirectory(prefix="anka-ci-bench-") as folder:
            bench(Path(folder), nodes)
    return 0


def bench(folder: Path, nodes: int) -> None:
    """One row: a fleet of so many nodes."""
    clock = Sleeping()
    with Server(folder, sample=True, sample_bytes=3 << 20, virtual_nodes=nodes, clock=clock) as server:
        anka = Anka(Context(controller_url=server.controller_url, registry_urls=(server.registry_url,)), clock=clock)
        listed = best(anka.controller.nodes)
        began = time.perf_counter()
        request = anka.controller.distribute(template_id=ID, tag="base", version=0)
        started = time.perf_counter() - began
        clock.advance(1)
        status = best(lambda: anka.controller.distribution(request))
        anka.controller.cancel_distribution(request)
        clock.slept, before = 0, clock.now()
        began, work = time.perf_counter(), time.process_time()
        done = perform("distribute", {"template": ID, "all": "true"}, anka)
        work = time.process_time() - work
        assert len(done.outputs["succeeded"]) == nodes  # type: ignore[arg-type]
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / DIVISOR
        row = f"{nodes:>5} {listed * 1e3:>3.0f} ms {started * 1e3:>4.0f} ms {status * 1e3:>4.0f} ms |"
        row += f" {clock.slept + 1:>13} {clock.now() - before:>8.1f} s {work:>5.2f} s | {memory:>3.0f} MiB"
        print(row, flush=True)


def best(call: Callable[[], Any]) -> float:
    """Seconds of the quickest of some calls."""
    found = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        call()
        found.append(time.perf_counter() - began)
    return min(found)


if __name__ == "__main__":
    sys.exit(main())
