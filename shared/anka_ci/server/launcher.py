"""The launcher: ``bin/anka`` in the data folder, through which people, steps and nodes run the stand-in.

It sets defaults only where the caller has set nothing, and it is never installed on anyone's PATH. A child of the
server gets nothing of the person's environment.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from anka_ci import process
from anka_ci.clock import Cancelled
from anka_ci.errors import RefusedError
from anka_ci.secret import Secret
from anka_ci.streams import OnLine


def write(data: Path, defaults: Mapping[str, str]) -> str:
    """Write the launcher of a data folder (whole or not at all) and return its path."""
    path = data / "bin" / "anka"
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["#!/bin/sh", "# The stand-in anka of this data folder; written anew at every start of the server."]
    for name, value in defaults.items():
        lines.append(f'[ -n "${{{name}+set}}" ] || {name}={shlex.quote(value)}')
        lines.append(f"export {name}")
    lines.append(f'exec {shlex.quote(sys.executable)} -Im anka_ci.standin "$@"')
    part = path.with_name(f".anka.{os.getpid()}")
    part.write_text("\n".join(lines) + "\n", encoding="utf-8")
    part.chmod(0o755)
    part.replace(path)
    return str(path)


def environment(home: Path, **more: str) -> dict[str, str]:
    """What a child of the server gets: nothing of the person's environment, and its own library."""
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "ANKA_HOME": str(home),
        "LANG": "C.UTF-8",
        **more,
    }


def sign_in(secret: Secret) -> dict[str, str]:
    """The variables with which a child of the server signs in to it; a command line is there for everyone to read."""
    return {"ANKA_CI_TOKEN": secret.reveal()}


def run(
    argv: Sequence[str],
    env: dict[str, str],
    *,
    on_line: OnLine | None = None,
    cancelled: Cancelled | None = None,
    stall: float | None = None,
) -> object:
    """Run the stand-in in its machine-readable mode; the body of its reply. ``RefusedError`` with its message."""
    done = process.run(argv, env=env, on_line=on_line, cancelled=cancelled, stall=stall)
    lines = done.stdout.strip().splitlines()
    try:
        reply = json.loads(lines[-1]) if lines else {}
    except ValueError:
        reply = {}
    reply = reply if isinstance(reply, dict) else {}
    if done.status != 0 or reply.get("status") != "OK":
        said = reply.get("message") or done.stderr.strip()[-500:] or f"it ended with status {done.status}"
        raise RefusedError(str(said))
    return reply.get("body")
