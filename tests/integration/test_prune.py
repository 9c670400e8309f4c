"""A prune that is cut off between two templates: what was removed is told, the rest is whole, and is the next one's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request

import pytest

from anka_ci.clock import ManualClock
from integration.conftest import serve, wait_until
from stocked import id_of, stock

TEMPLATES = 6
POLICY = ("--templates", "nightly-*", "--older-than", "1d")
FAULTS = 'http: [{match: "DELETE /registry/vm", does: stall, for: 60s, after: 2}]\n'


def started(served, folder, *words):
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "ANKA_CI_REGISTRY_URL": served.url}
    env["ANKA_CI_CONTROLLER_URL"] = served.controller_url
    command = [sys.executable, "-Im", "anka_ci.cli", "prune", *POLICY, "--json", *words]
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def prune(served, folder, *words):
    out, err = (child := started(served, folder, *words)).communicate(timeout=60)
    assert 0 == child.returncode, err
    return json.loads(out)["steps"][0]["outputs"]


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_prune_that_is_cut_off_is_gone_on_with(sent, tmp_path):
    stock(
        tmp_path / "data", ManualClock(time.time()), [(9, f"nightly-{each}", "v0", "ab") for each in range(TEMPLATES)]
    )
    (tmp_path / "faults.yml").write_text(FAULTS)
    with serve(tmp_path, "--faults", str(tmp_path / "faults.yml")) as served:
        report = prune(served, tmp_path)
        assert TEMPLATES == len(report["removals"])
        child = started(served, tmp_path, "--apply", "--confirm", report["digest"])
        try:
            wait_until(lambda: TEMPLATES - 2 == len(_templates(served)))
            began = time.monotonic()
            child.send_signal(sent)
            out, _ = child.communicate(timeout=20)
        finally:
            child.kill()
        assert time.monotonic() - began < 5
    told = [] if sent == signal.SIGKILL else json.loads(out)["steps"][0]["outputs"]["removed"]
    if sent != signal.SIGKILL:
        assert (130, ["nightly-0:v0", "nightly-1:v0"]) == (child.returncode, told[:2])
    with serve(tmp_path) as served:
        there = _templates(served)
        left = [f"nightly-{each}" for each in range(TEMPLATES) if id_of(f"nightly-{each}") in there]
        # A server goes on with a request whose client has gone, so the third template may be removed as well.
        assert {*told} <= {f"nightly-{each}:v0" for each in range(TEMPLATES)} - {f"{each}:v0" for each in left}
        assert len(left) in (TEMPLATES - 2, TEMPLATES - 3)
        rest = prune(served, tmp_path)
        assert left == [row["template"] for row in rest["removals"]]
        done = prune(served, tmp_path, "--apply", "--confirm", rest["digest"])
        assert [f"{each}:v0" for each in left] == done["removed"]
        assert {} == _templates(served)
        assert not [file for file in (tmp_path / "data" / "blobs").rglob("*") if file.is_file()]


def _templates(served):
    with urllib.request.urlopen(f"{served.url}/registry/v2/vm") as reply:
        return {row["id"]: row["name"] for row in json.loads(reply.read())["body"]}
