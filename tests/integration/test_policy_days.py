"""Two hundred bad days of two thousand nodes: a distribution ends as its policy says, every time, and none hangs."""

from __future__ import annotations

import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from fleetday import FAULTS, Day, lived, wrong

SEEDS, NODES = 200, 2000


def test_the_outcome_equals_the_policy_every_time(
    seeded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    began = time.monotonic()
    with ProcessPoolExecutor(min(2, os.cpu_count() or 1), mp_context=multiprocessing.get_context("spawn")) as pool:
        days: list[Day] = list(pool.map(partial(lived, nodes=NODES, seeded=seeded, folder=tmp_path), range(SEEDS)))
    good = sum(not day.error for day in days)
    seconds = time.monotonic() - began
    with capsys.disabled():  # a run is to show how long it takes
        print(f"\n{SEEDS} days of {NODES} nodes: {good} good enough, {SEEDS - good} not, in {seconds:.0f} s")
    assert [] == [said for day in days for said in wrong(day)]
    assert 40 < good < 160, "days that all end alike prove little"
    assert {*FAULTS, ""} == {*days[0].kinds.values()}
