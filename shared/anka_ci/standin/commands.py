"""Every command of the stand-in: where it lives, what follows it, and what its ``--help`` says.

Runs nothing by itself. A command's room is loaded when the command is asked for, because HTTP and TLS take as long to
load as all the rest, and most commands need neither.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from anka_ci.errors import UsageError, suggestion
from anka_ci.standin.output import Reply

if TYPE_CHECKING:
    from anka_ci.standin.desk import Desk

USAGE = "--help"
"""The only spelling of it that every release has; behind the VM of ``run`` it belongs to the guest's command."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """One command: ``room`` is its module, ``do`` the function there, ``after`` what follows the options."""

    room: str
    do: str
    after: str
    summary: str
    subs: tuple[str, ...] = ()
    hidden: bool = False
    named: bool = False
    """Whether one function does several commands, and is told which."""

    def run(self, desk: Desk, name: str, words: list[str]) -> Reply:
        do = getattr(self._module(), self.do)
        found: Reply = do(desk, name, words) if self.named else do(desk, words)
        return found

    def help(self, name: str, generation: int) -> Reply:
        """What ``--help`` prints: 2.x and 3.x begin differently."""
        known: Mapping[str, tuple[str, bool]] = getattr(self._module(), "OPTIONS", {}).get(name, {})
        first = (
            f"Usage: anka {name} [OPTIONS] {self.after}" if generation == 2 else f"usage: {name} [options] {self.after}"
        )
        lines = [first.rstrip(), "", f"   {self.summary}"]
        if self.subs:
            lines += ["", "commands:", *(f"  {each}" for each in self.subs)]
        spelled: dict[str, list[str]] = {}
        for spelling, (value, takes) in known.items():
            spelled.setdefault(value + (" <val>" if takes else ""), []).append(spelling)
        if spelled:
            lines += ["", "options:"]
            lines += [
                "  " + ",".join(each) + (" <val>" if value.endswith(">") else "") for value, each in spelled.items()
            ]
        return Reply(body={"usage": "\n".join(lines)}, text="\n".join(lines))

    def _module(self) -> Any:
        return import_module(f"anka_ci.standin.{self.room}")


MODIFY = ("add", "delete", "set", "name", "cpu", "ram", "network", "port", "disk", "display", "label", "mount")
COMMANDS: Mapping[str, Command] = {
    "list": Command(room="told", do="list_", after="[VM...]", summary="List the VMs of this library"),
    "config": Command(room="local", do="config", after="[NAME [VALUE]]", summary="Show or change settings"),
    "show": Command(
        room="told",
        do="show",
        after="VM [PROPERTY]",
        summary="Show what a VM, or one of its tags, is like",
        subs=(
            "name",
            "uuid",
            "description",
            "tag",
            "cpu",
            "ram",
            "display",
            "disk",
            "network",
            "port",
            "label",
            "mount",
        ),
    ),
    "describe": Command(room="told", do="describe", after="VM", summary="Show a VM's configuration", hidden=True),
    "modify": Command(
        room="modify",
        do="modify",
        after="VM PROPERTY ...",
        summary="Change the configuration of a stopped VM",
        subs=MODIFY,
    ),
    "run": Command(room="running", do="run", after="VM COMMAND [ARGUMENT...]", summary="Run a command in a guest"),
    "create": Command(
        room="life", do="create", after="NAME [INSTALLER]", summary="Make an empty VM; no macOS is installed here"
    ),
    "start": Command(room="life", do="start", after="VM...", summary="Start or resume VMs"),
    "stop": Command(room="life", do="stop", after="VM...", summary="Stop VMs"),
    "suspend": Command(
        room="life", do="suspend", after="VM...", summary="Suspend VMs; on ARM this stops them", hidden=True
    ),
    "reboot": Command(room="life", do="reboot", after="VM...", summary="Stop running VMs and start them again"),
    "clone": Command(room="life", do="clone", after="VM NAME...", summary="Make new VMs from a VM or one of its tags"),
    "push": Command(room="registry", do="top", named=True, after="VM [REGISTRY]", summary="Push a VM into a registry"),
    "pull": Command(
        room="registry", do="top", named=True, after="VM [REGISTRY]", summary="Pull a template from a registry"
    ),
    "mount": Command(
        room="mounts",
        do="mount",
        after="VM [PATH[:NAME]]",
        summary="Link a folder of this machine into a running guest",
    ),
    "unmount": Command(room="mounts", do="unmount", after="VM [MOUNT...]", summary="Take such links away again"),
    "delete": Command(room="life", do="delete", after="VM...", summary="Delete VMs, or a local tag"),
    "registry": Command(room="registry", do="main", after="COMMAND ...", summary="Commands that talk to registries"),
    "cp": Command(
        room="copying",
        do="cp",
        after="VM:[PATH] PATH | PATH... VM:[PATH]",
        summary="Copy files between this machine and a guest",
    ),
    "license": Command(
        room="local",
        do="license",
        after="COMMAND",
        summary="Show the licence; a stand-in needs none",
        subs=("show", "activate", "validate", "remove", "accept-eula"),
    ),
    "export": Command(room="exporting", do="export", after="VM FILE", summary="Write a VM or a tag into an archive"),
    "import": Command(room="importing", do="import_", after="[FILE]", summary="Read a VM or a tag from an archive"),
    "version": Command(room="local", do="version", after="", summary="Show the release that is played", hidden=True),
}

NOT_HERE = {
    "view": "a guest here is a folder and has no display",
    "usb": "a guest here is a folder and has no USB devices",
    "attach": "a guest here is a folder and has no USB devices",
    "detach": "a guest here is a folder and has no USB devices",
    "log": "this command keeps no log: what goes wrong is in its answer",
}
"""Anka's commands that no integration was seen to run, and why there is none of them."""


def overview(generation: int) -> Reply:
    """What ``anka`` alone prints: every command, but those that Anka hides too."""
    first = "Usage: anka [OPTIONS] COMMAND [ARGS]..." if generation == 2 else "usage: anka [options] <command>"
    lines = [first, "", "   The stand-in for the Anka command line: no Mac, no virtual machines", "", "options:"]
    lines += ["  -j,--machine-readable    One line of JSON", "  --version                The release that is played"]
    lines += ["", "commands:"]
    lines += [f"  {name:<24} {each.summary}" for name, each in COMMANDS.items() if not each.hidden or generation == 2]
    return Reply(body={"usage": "\n".join(lines)}, text="\n".join(lines))


def perform(desk: Desk, words: list[str]) -> Reply:
    """Run the command that ``words`` begin with."""
    generation = desk.voice.generation
    if not words or words[0] in (USAGE, "help"):
        return overview(generation)
    name, *rest = words
    name = "version" if name == "--version" else name
    command = COMMANDS.get(name)
    if name in NOT_HERE:
        raise UsageError(f"{name}: Anka's command of that name is not in this stand-in", hint=NOT_HERE[name])
    if command is None:
        hint = suggestion(name, COMMANDS) or "see `anka --help`"
        raise UsageError(f"no such command: {name}", hint=hint)
    asked = rest[:1] == [USAGE] or (USAGE in rest and name != "run")
    if asked and command.room != "registry":  # whose commands tell of themselves
        return command.help(name, generation)
    return command.run(desk, name, rest)
