"""How fast a layer is pushed and pulled, and how much memory it takes: ``make bench``, by hand.

Not part of the suite. Client and server are processes of their own; the limit they are held against, measured in the
same run on the same disk, is to copy the same file with an fsync and to hash it once.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from anka_ci.inputs import size

BLOCK = 1 << 20
MIB = 1 << 20
DIVISOR = MIB if sys.platform == "darwin" else 1 << 10
"""What ``ru_maxrss`` is counted in: bytes on macOS, KiB on Linux."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="4GiB", help="bytes of the layer, such as 512MiB")
    parser.add_argument("--folder", type=Path, help="where to work; four times the size is needed")
    parser.add_argument("--rounds", type=int, default=1, help="how often everything is measured")
    options = parser.parse_args()
    count = int(size(options.size))
    with tempfile.TemporaryDirectory(prefix="anka-ci-bench-", dir=options.folder) as folder:
        for number in range(options.rounds):
            bench(Path(folder) / str(number), count)
    return 0


def bench(folder: Path, count: int) -> None:
    """One round: make the layer, measure the limit, push it, pull it into another library."""
    folder.mkdir()
    rows: list[tuple[str, Cost]] = []
    with Served(folder / "data") as served:

        def anka(home: str, *words: str) -> float:
            cost = served.anka(folder / home, *words)
            rows.append((" ".join(words[:2]), cost))
            return cost.seconds

        anka("one", "create", "vm")
        anka("one", "start", "vm")
        guest = next((folder / "one" / "vm_lib").glob("*/guest")) / "disk.img"
        fill(guest, count)
        anka("one", "stop", "vm")
        rows.clear()
        anka("one", "describe", "vm")
        layer = max((folder / "one" / "img_lib").glob("*.ank"), key=lambda file: file.stat().st_size)
        copied, hashed = limit(layer, folder / "copy")
        pushed = anka("one", "registry", "push", "--tag", "t", "vm")
        pulled = anka("two", "registry", "pull", "--tag", "t", "vm")
    report(rows, layer.stat().st_size, copied, hashed, served.cost)
    print(f"\nratio to the limit: push {pushed / (copied + hashed):.2f}, pull {pulled / (copied + hashed):.2f}\n")


def report(rows: list[tuple[str, Cost]], count: int, copied: float, hashed: float, server: Cost) -> None:
    print(f"{'':24}{'seconds':>9}{'MiB/s':>9}{'CPU s':>9}{'peak MiB':>10}")
    for name, seconds in (("copy + fsync", copied), ("SHA-256", hashed), ("limit: both", copied + hashed)):
        print(f"{name:24}{seconds:9.2f}{count / MIB / seconds:9.0f}")
    names = {"describe vm": "commit (tar + SHA-256)", "registry push": "push", "registry pull": "pull"}
    for name, cost in rows:
        rate = count / MIB / cost.seconds
        print(f"{names.get(name, name):24}{cost.seconds:9.2f}{rate:9.0f}{cost.cpu:9.2f}{cost.peak:10.0f}")
    print(f"{'server, for both':42}{server.cpu:9.2f}{server.peak:10.0f}")


def fill(file: Path, count: int) -> None:
    """Random bytes, flushed, so that nothing of this is written back while something is measured."""
    with file.open("wb", buffering=0) as target:
        for start in range(0, count, BLOCK):
            target.write(os.urandom(min(BLOCK, count - start)))
        os.fsync(target.fileno())


def limit(file: Path, copy: Path) -> tuple[float, float]:
    """Seconds to copy a file with an fsync, and to hash it once."""
    buffer = memoryview(bytearray(BLOCK))

    def transfer() -> None:
        with file.open("rb", buffering=0) as source, copy.open("wb", buffering=0) as target:
            while got := source.readinto(buffer):
                target.write(buffer[:got])
            os.fsync(target.fileno())

    def hashing() -> None:
        hashed = hashlib.sha256()
        with file.open("rb", buffering=0) as source:
            while got := source.readinto(buffer):
                hashed.update(buffer[:got])

    found = timed(transfer), timed(hashing)
    copy.unlink()
    return found


def timed(call: Callable[[], object]) -> float:
    started = time.monotonic()
    call()
    return time.monotonic() - started


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a process took: seconds on the wall and of CPU, and its resident memory at most, in MiB."""

    seconds: float
    cpu: float
    peak: float


def ended(child: subprocess.Popen[bytes], started: float) -> Cost:
    """Wait for a process."""
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    return Cost(seconds=time.monotonic() - started, cpu=used.ru_utime + used.ru_stime, peak=used.ru_maxrss / DIVISOR)


class Served:
    """``anka-ci serve`` as a process; ``cost`` is what it took, once it has ended."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self.cost = Cost(seconds=0, cpu=0, peak=0)

    def __enter__(self) -> Served:
        ready = self._data.with_name("ready.json")
        words = ["serve", "--data", str(self._data), "--run-guests", "--ready-file", str(ready)]
        self._child = subprocess.Popen(
            [sys.executable, "-Im", "anka_ci.cli", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        while not ready.exists():
            if self._child.poll() is not None:
                raise SystemExit("the server did not start")
            time.sleep(0.05)
        self._anka = json.loads(ready.read_text())["anka"]
        return self

    def __exit__(self, *exc: object) -> None:
        self._child.terminate()
        self.cost = ended(self._child, time.monotonic())

    def anka(self, home: Path, *words: str) -> Cost:
        """Run the stand-in."""
        environment = {"PATH": os.defpath, "ANKA_HOME": str(home)}
        started = time.monotonic()
        child = subprocess.Popen([self._anka, *words], env=environment, stdout=subprocess.DEVNULL)
        cost = ended(child, started)
        if child.returncode:
            raise SystemExit(f"anka {' '.join(words)} ended with {child.returncode}")
        return cost


if __name__ == "__main__":
    if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / DIVISOR > 100:
        raise SystemExit("a child's peak counts from its parent's; start this from a small process")
    sys.exit(main())
