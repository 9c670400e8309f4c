"""A foreign ``anka``: a small shell script that writes down how it was called and answers from a table.

A double of somebody else's program, for what the stand-in does not say: other releases, failures, noise.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from anka_ci.anka import Anka
from anka_ci.clock import Cancelled, Deadline, ManualClock
from anka_ci.result import Event
from anka_ci.settings import Context

WIRE = Path(__file__).parent / "wire" / "anka"


def ok(body: object = None, **more: object) -> str:
    """A good answer, as the command prints it: one line without an end."""
    return json.dumps({"status": "OK", "body": {} if body is None else body, "message": "", **more})


def failed(message: str, **more: object) -> str:
    return json.dumps({"status": "ERROR", "body": {}, "message": message, **more})


class ForeignAnka:
    """``folder/anka`` tells ``version``, and else what ``says`` taught it; what it was not taught fails."""

    def __init__(self, folder: Path, version: str = "3.8.5") -> None:
        self._folder = folder
        self._rules: list[str] = []
        self.program = folder / "anka"
        self.says("* version", ok({"product": "Anka", "version": version, "build": "1"}))

    def says(self, pattern: str, stdout: str = "", stderr: str = "", status: int = 0, *, times: int = 0) -> None:
        """Answer calls whose words match a shell pattern; with ``times`` only the first so many."""
        name = self._folder / f"rule-{len(self._rules)}"
        name.with_suffix(".out").write_text(stdout)
        name.with_suffix(".err").write_text(stderr)
        used = (
            f'used=$(cat {shlex.quote(f"{name}.n")} 2>/dev/null || echo 0); [ "$used" -lt {times} ] &&' if times else ""
        )
        count = f"echo $((used + 1)) >{shlex.quote(f'{name}.n')}; " if times else ""
        say = f"{count}cat {shlex.quote(f'{name}.err')} >&2; cat {shlex.quote(f'{name}.out')}; exit {status}"
        escaped = pattern.replace(" ", "\\ ")
        self._rules.append(f'case "$*" in {escaped}) {used} {{ {say}; }};; esac')
        log = shlex.quote(str(self._folder / "calls"))
        variables = shlex.quote(str(self._folder / "variables"))
        text = ["#!/bin/sh", f"export -p >{variables}", f"{{ printf '%s\\037' \"$@\"; echo; }} >>{log}", *self._rules]
        self.program.write_text("\n".join([*text, 'echo "anka: unheard of: $*" >&2; exit 64', ""]))
        self.program.chmod(0o755)

    @property
    def calls(self) -> list[list[str]]:
        """The words of every call, without ``--machine-readable``; the questions for its version left out."""
        try:
            lines = (self._folder / "calls").read_text().splitlines()
        except FileNotFoundError:
            return []
        found = [[word for word in line.split("\037")[:-1] if word != "--machine-readable"] for line in lines]
        return [words for words in found if words != ["version"]]

    @property
    def variables(self) -> dict[str, str]:
        """The environment of the last call."""
        lines = (self._folder / "variables").read_text().splitlines()
        pairs = (line.removeprefix("export ").split("=", 1) for line in lines if "=" in line)
        return {name: "".join(shlex.split(value)) for name, value in pairs if value.count("'") % 2 == 0}

    @property
    def asked(self) -> int:
        """How often it was called at all."""
        return len((self._folder / "calls").read_text().splitlines())

    def doors(self, told: list[Event] | None = None, *, timeout: float | None = None, **context: object) -> Anka:
        """The doors to it, on a clock that moves when it is slept on."""
        clock = ManualClock()
        return Anka(
            Context(anka=(str(self.program),), **context),  # type: ignore[arg-type]
            clock=clock,
            deadline=Deadline(clock, timeout),
            cancelled=Cancelled(),
            tell=(told if told is not None else []).append,
        )
