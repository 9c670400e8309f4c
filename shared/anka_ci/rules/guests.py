"""Guests: what is run in a VM of this host, and what becomes of the VM when that has failed.

User text travels to the guest's shell on its standard input, and values in a file for the environment; neither is ever
put into an argument or into another text. Nothing here decides what a script may do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from anka_ci.errors import AnkaCiError, RefusedError, UsageError
from anka_ci.plan import Loss
from anka_ci.result import Printed
from anka_ci.rules import checkout, instances, removal
from anka_ci.rules.lineage import Content
from anka_ci.secret import Redactor, Secret

if TYPE_CHECKING:
    from anka_ci.anka import Anka
    from anka_ci.wire.vm import Vm

SHELLS = ("sh", "bash", "zsh")
"""Shells that know ``-euc``; macOS has all three."""
TAKES_STDIN = 'anka_ci_script=$(cat); eval "$anka_ci_script"'
"""The whole text that a shell is given as an argument: it reads the script to its end before it runs any of it, so a
connection that breaks off runs no half script, and what the script starts finds no rest of it on its standard input."""
LONGEST_OUTPUT = 1 << 16
"""Bytes of what the guest printed that an output holds: the end of it."""
ENDING = 60.0
"""Seconds that stopping and resetting a VM get after a failure; Anka documents no limit for a forced stop."""

Values = Mapping[str, "str | Secret"]


@dataclass(frozen=True, kw_only=True)
class Work:
    """What is run: the arguments, and the text for its standard input (empty: none)."""

    argv: tuple[str, ...]
    script: str = ""

    @property
    def title(self) -> str:
        """The first words or the first line of it, for people."""
        if not self.script:
            return " ".join(self.argv)[:80]
        lines = [
            line.strip() for line in self.script.splitlines() if line.strip() and not line.lstrip().startswith("#")
        ]
        return f"the script `{lines[0][:60]}`" + (" …" if len(lines) > 1 else "") if lines else "an empty script"


def work(command: Sequence[str] | None, script: str | None, file: str | None, shell: str) -> Work:
    """The command as it is, or the script (a text, or a file of it) by a shell that stops at the first failure."""
    if command is not None:
        return Work(argv=tuple(command))
    text = instances.script(script, file)
    if not text.strip():
        raise UsageError("the script is empty", hint="give a command, or a script that does something")
    if "\0" in text:
        raise UsageError("the script holds a NUL character", hint="it has to be text")
    return Work(argv=(shell, "-euc", TAKES_STDIN), script=text)


def values(plain: Mapping[str, Any], secret: Mapping[str, Any]) -> dict[str, str | Secret]:
    """The variables that the guest gets; ``ValueError``, which shows no value, for what cannot reach it.

    A file for ``anka run --env-file`` is one ``NAME=value`` on each line; that it knows quotes is not documented.
    """
    found: dict[str, str | Secret] = {}
    for key, given in (("env", plain), ("secret-env", secret)):
        for name, value in given.items():
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
                raise ValueError(f"{key}: {name!r} is no name of a variable")
            if name in found:
                raise ValueError(f"{name} is given in both env and secret-env")
            if not isinstance(value, (str, int)):  # 13.10 is the number 13.1
                raise ValueError(f"{key}: {name} wants text; put it in quotes")
            text = str(value).lower() if isinstance(value, bool) else str(value)
            if re.search(r"[\0\r\n]", text):
                raise ValueError(f"{key}: {name} holds a line break, which does not reach a guest; encode it as base64")
            found[name] = text if key == "env" else Secret(text)
    return found


@dataclass(frozen=True, kw_only=True)
class Fallback:
    """What becomes of the VM when the run fails: it is left as it is, or stopped and set back to ``tag`` if that is
    not empty."""

    stop: bool
    tag: str = ""
    loses: tuple[Loss, ...] = ()
    notes: tuple[str, ...] = ()


def fallback(anka: Anka, vm: Vm, wanted: str) -> Fallback:
    """What ``reset``, ``stop`` or ``keep`` means for a VM as it is now.

    One that runs already is somebody's, and is left to run. One without a tag has nothing to be set back to. What it
    had of its own before, and would lose with a reset, is a loss.
    """
    if wanted == "keep":
        return Fallback(stop=False)
    if vm.status == "running":
        return Fallback(stop=False, notes=(f"{vm.name} runs already, so it is left as it is whatever happens",))
    if wanted == "stop":
        return Fallback(stop=True)
    if not vm.tag:
        note = f"{vm.name} has no tag to be set back to: after a failure it is stopped and holds what was done"
        return Fallback(stop=True, notes=(note,))
    content = Content.of_config(anka.host.config(vm.id))
    kept = checkout.tagged(anka, vm, content)
    if content.state and not kept:  # what state a local tag has is not told, so it is up to the registry
        home, _ = removal.known(anka, vm)
        kept = any(content.same(Content.of_version(each)) for each in home.versions or () if each.tag == vm.tag)
    text = f"if the run fails, what was changed in the VM {vm.name} since its tag {vm.tag}"
    return Fallback(stop=True, tag=vm.tag, loses=() if kept else (Loss(text=text, little=True),))


@dataclass(frozen=True, kw_only=True)
class Ran:
    """How it ended: the guest's status, and the end of what it printed on its standard output, secrets as ``***``."""

    status: int
    output: str


def run(anka: Anka, vm: str, wanted: Work, variables: Values, **how: Any) -> Ran:
    """Run it and tell each line as it comes; secrets are ``***`` in that, in what comes back, and in errors.

    ``how``: ``folder``, ``timeout`` in seconds, ``wait_network``. ``RefusedError`` for a status other than 0.
    """
    mask = Redactor(value for value in variables.values() if isinstance(value, Secret))
    last: list[str] = []

    def on_line(stream: str, line: str) -> None:
        text = mask(line.rstrip())
        last.append(text)
        del last[: -instances.LINES]
        anka.tell(Printed(text=text, stream=stream))

    plain = {name: value.reveal() if isinstance(value, Secret) else value for name, value in variables.items()}
    text = wanted.script.encode() if wanted.script else None
    try:
        done = anka.host.run(vm, wanted.argv, env=plain, input=text, on_line=on_line, **how)
    except AnkaCiError as error:
        error.message, error.hint = mask(error.message), mask(error.hint)
        raise
    ran = Ran(status=done.status, output=output(mask(done.stdout)))
    if done.status == 0:
        return ran
    hint = "\n  ".join(["it printed last:", *last]) if last else "it printed nothing"
    refused = RefusedError(f"{mask(wanted.title)} ended with status {done.status} in the VM", hint=hint, vm=vm)
    refused.outputs = {"exit-status": ran.status, "output": ran.output}
    raise refused


def output(text: str) -> str:
    """The end of a text, at most ``LONGEST_OUTPUT`` bytes of it, without its last line breaks."""
    return text.rstrip("\n").encode()[-LONGEST_OUTPUT:].decode("utf-8", "ignore")


def part(anka: Anka, vm: str, *, stop: bool, tag: str) -> str:
    """After a failure: stop the VM at once and check ``tag`` out, as far as asked for; a sentence on what became of it.

    An interruption leaves little time, and a deadline that is over does not count here.
    """
    if not stop:
        return "the VM is left as it is"
    later, done = anka.afterwards(instances.PARTING if anka.cancelled else ENDING), ""
    try:
        later.host.stop(vm, force=True)
        done = "the VM was stopped"
        if tag:
            later.host.reset(vm, tag)
            done = f"the VM was set back to its tag {tag}"
    except AnkaCiError as error:
        hint = f"set it back with: anka registry pull --local --tag {tag} {vm}" if tag else f"stop it: anka stop {vm}"
        done += (
            f"{', but it' if done else 'the VM'} could not be {'set back' if done else 'stopped'}: {error.message}; "
        )
        return done + hint
    return done
