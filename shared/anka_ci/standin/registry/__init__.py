"""The commands under ``anka registry``, and the top-level ``push`` and ``pull`` of 3.x: which there are, in every
spelling that a release has had for them.

Does nothing itself: ``remembered`` knows the registries, ``reading`` asks one, ``moving`` changes one or the library.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from anka_ci.errors import NotFoundError, UsageError, suggestion
from anka_ci.standin.desk import Desk
from anka_ci.standin.output import NOT_FOUND, Failure, Reply
from anka_ci.standin.registry import moving, reading, remembered
from anka_ci.standin.words import CONNECTION, Options, Words, exactly, options, parse, spelled


@dataclass(frozen=True, kw_only=True)
class Command:
    """One command: what it does, what follows its options, and the options; ``hidden`` from the list of commands."""

    do: Callable[[Desk, Words], Reply]
    after: str
    summary: str
    options: Options
    hidden: bool = False


_SELECT = options("-t --tag=", "-v --version=")
_PULL = {**_SELECT, **options("-l --local", "-s --shrink", "--fetch-only", "-q --quiet")}
_PUSH = options(
    *("-t --tag=", "-d --description=", "-v --remote-vm=", "-f --force", "-l --local", "-s --shallow", "-q --quiet"),
)
_SHOW = {**_SELECT, **options("--latest")}
_REVERT = {**_SELECT, **options("-a --all", "-y --yes")}
_ALL, _FORCE, _DEFAULT = options("-a --all"), options("-f --force"), options("-d --default")
_REMOVE = Command(do=remembered.remove, after="[--all] NAME...", summary="Forget registries", options=_ALL)
COMMANDS: Mapping[str, Command] = {
    "add": Command(do=remembered.add, after="NAME URL", summary="Remember a registry", options=_FORCE),
    "set": Command(do=remembered.set_, after="NAME [URL]", summary="Make one the default", options=_FORCE),
    "remove": _REMOVE,
    "delete": Command(**{**vars(_REMOVE), "hidden": True}),
    "list-repos": Command(
        do=remembered.list_repos, after="[NAME]", summary="The registries that are remembered", options=_DEFAULT
    ),
    "list": Command(do=reading.list_, after="[VM...]", summary="The templates in a registry", options={}),
    "show": Command(do=reading.show, after="VM [PROPERTY [NAME]]", summary="What a template is like", options=_SHOW),
    "describe": Command(do=reading.describe, after="VM", summary="A template as the registry has it", options=_SELECT),
    "check-download-size": Command(
        do=reading.check_download_size, after="VM", summary="Bytes that a pull would fetch", options=_SELECT
    ),
    "pull": Command(do=moving.pull, after="VM", summary="Fetch a version and check it out", options=_PULL),
    "push": Command(do=moving.push, after="VM [TAG]", summary="Store a VM as a new version", options=_PUSH),
    "revert": Command(
        do=moving.revert, after="VM", summary="Remove a version and all newer ones from a registry", options=_REVERT
    ),
}
_SIZE = options("--check-download-size")
TOP: Mapping[str, Options] = {"pull": {**_PULL, **_SIZE}, "push": _PUSH}
"""Options of the top-level commands of 3.x."""
HELP = ("--help", "-h", "help")
FLAGS = options("--list", "--default")
"""What 3.9 has in place of ``list-repos`` and ``list-repos --default``; taken whichever release is played."""


def main(desk: Desk, words: list[str]) -> Reply:
    """``registry [CONNECTION] SUB-COMMAND …``; without one its usage, as Anka prints it."""
    known = {**CONNECTION, **FLAGS}
    before, rest = _split(words, known)
    connection = parse(before, known)
    if connection.flag("list") or connection.flag("default"):
        if rest:
            raise UsageError(f"--list and --default take no command, and there is {rest[0]}")
        return remembered.list_default(desk) if connection.flag("default") else remembered.list_repos(desk, connection)
    if not rest or rest[0] in HELP:
        return _overview(desk)
    name, *left = rest
    command = COMMANDS.get(name)
    if command is None:
        hint = suggestion(name, COMMANDS) or "there is " + ", ".join(sorted(COMMANDS))
        raise UsageError(f"no such command: registry {name}", hint=hint)
    if "--help" in left:
        return _usage(desk, f"registry {name}", command.after, command.summary, command.options)
    found = parse(left, {**CONNECTION, **command.options})
    both = {key: (*connection.all.get(key, ()), *found.all.get(key, ())) for key in {*connection.all, *found.all}}
    return command.do(desk, Words(values={**connection.values, **found.values}, all=both, rest=found.rest))


def _split(words: list[str], known: Options) -> tuple[list[str], list[str]]:
    """The options before the sub-command, and what begins with it."""
    place = 0
    while place < len(words) and words[place].startswith("-") and words[place] not in HELP:
        spelling, equals, _ = spelled(words[place], known)
        place += 2 if known.get(spelling, ("", False))[1] and not equals else 1
    return words[:place], words[place:]


def top(desk: Desk, name: str, words: list[str]) -> Reply:
    """``pull VM [REMOTE]`` and ``push VM [REMOTE]`` of 3.x, with the size check as an option of ``pull``."""
    command = COMMANDS[name]
    if "--help" in words:
        return _usage(desk, name, "VM [REGISTRY]", command.summary, TOP[name])
    found = parse(words, {**CONNECTION, **TOP[name]})
    sought, *remote = exactly(found, 1, 2, f"anka {name} --tag TAG VM [REGISTRY]")
    if remote and found.get("remote") not in (None, remote[0]):
        raise UsageError(f"two registries are named: {found.get('remote')} and {remote[0]}", hint="name one")
    values = {**found.values, **({"remote": remote[0]} if remote else {})}
    asked = Words(values=values, all=found.all, rest=(sought,))
    try:
        return (
            reading.check_download_size(desk, asked) if asked.flag("check_download_size") else command.do(desk, asked)
        )
    except NotFoundError as error:
        raise Failure(f"{error.sought}: not found", NOT_FOUND, hint=error.hint) from error


def _overview(desk: Desk) -> Reply:
    first = "Usage: anka registry [OPTIONS] COMMAND [ARGS]..."
    lines = [first if desk.voice.generation == 2 else "usage: registry [options] <command>", ""]
    lines += ["   Remember registries, and move templates", "", "options:", *_spellings({**CONNECTION, **FLAGS})]
    lines += ["", "commands:", *(f"  {key:<22}{each.summary}" for key, each in COMMANDS.items() if not each.hidden)]
    return _said(lines)


def _usage(desk: Desk, name: str, after: str, summary: str, known: Options) -> Reply:
    """2.x names the whole command, 3.x only the last word of it."""
    first = f"Usage: anka {name} [OPTIONS] {after}" if desk.voice.generation == 2 else ""
    lines = [first or f"usage: {name.split()[-1]} [options] {after}", "", f"   {summary}"]
    return _said([*lines, "", "options:", *_spellings(known)] if known else lines)


def _spellings(known: Options) -> list[str]:
    """Every option once, with all its spellings."""
    found: dict[str, list[str]] = {}
    for spelling, (name, takes) in known.items():
        found.setdefault(name + ("=" if takes else ""), []).append(spelling)
    return ["  " + ", ".join(each) + (" <val>" if name.endswith("=") else "") for name, each in found.items()]


def _said(lines: list[str]) -> Reply:
    text = "\n".join(lines)
    return Reply(body={"usage": text}, text=text)
