"""A ``run`` step: a shell text, run by ``sh -euc`` as it was written.

No value is ever put into the text; values travel as environment variables. The command ``anka`` is the context's.
"""

from __future__ import annotations

import os
import shlex
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from anka_ci import process
from anka_ci.errors import RefusedError, UsageError
from anka_ci.result import Printed

if TYPE_CHECKING:
    from anka_ci.anka import Anka

OURS = ("ANKA_CI_INPUTS", "ANKA_CI_INPUTS_FILE", "ANKA_CI_COMMIT_STATUS", "ANKA_CI_STATUS_TOKEN")
"""Variables of the command itself, which an ``anka-ci`` inside the text must not take for its own."""


def run(id: str, text: str, env: Mapping[str, str], anka: Anka) -> dict[str, object]:
    """Run the text to its end; its outputs.

    Each line that it prints is told as it comes. ``RefusedError`` when it ends with a status other than 0; what
    ``process.run`` raises when it is interrupted or takes too long.
    """
    last = ""

    def on_line(stream: str, line: str) -> None:
        nonlocal last
        last = line.strip() or last
        anka.tell(Printed(text=line.rstrip(), stream=stream))

    with anka_on_path(anka, env) as full:
        done = process.run(
            ["sh", "-euc", text, id],
            env={key: value for key, value in full.items() if key not in OURS},
            timeout=anka.deadline.left(),
            on_line=on_line,
            cancelled=anka.cancelled,
        )
    if done.status != 0:
        how = f"ended with status {done.status}" if done.status > 0 else f"was killed by signal {-done.status}"
        raise RefusedError(f"{id}: the script {how}", hint=f"its last line: {last[:300]}" if last else "")
    return {"exit-code": 0}


@contextmanager
def anka_on_path(anka: Anka, env: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """The environment in which ``anka`` is the context's command, first on the PATH, for as long as this lasts."""
    try:
        command = anka.host.command
    except UsageError:  # no such command here: only a text that uses it needs it
        yield dict(env)
        return
    words = [str(Path(command[0]).absolute()) if "/" in command[0] else command[0], *command[1:]]
    with tempfile.TemporaryDirectory(prefix="anka-ci-") as folder:
        wrapper = Path(folder) / "anka"
        # The wrapper looks its program up on the PATH it was made for, so that `anka` does not find itself.
        path = env.get("PATH", os.defpath)
        wrapper.write_text(f'#!/bin/sh\nPATH={shlex.quote(path)}\nexec {shlex.join(words)} "$@"\n', encoding="utf-8")
        wrapper.chmod(0o700)
        yield {**env, "PATH": folder + os.pathsep + path}
