"""What moves, and what a registry loses: pull, push, revert.

Prints nothing; the bytes themselves move in ``pull`` and ``push`` of the stand-in.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from anka_ci.errors import AnkaCiError, UnreachableError, UsageError
from anka_ci.standin import pull as pulling
from anka_ci.standin import push as pushing
from anka_ci.standin.asking import confirm
from anka_ci.standin.connecting import opened
from anka_ci.standin.desk import Desk
from anka_ci.standin.local import settings
from anka_ci.standin.output import NOT_FOUND, Failure, Reply, Voice, moved
from anka_ci.standin.registry.reading import chosen
from anka_ci.standin.words import Words, exactly


def _voice(desk: Desk, words: Words) -> Voice:
    return dataclasses.replace(desk.voice, quiet=words.flag("quiet"))


def pull(desk: Desk, words: Words) -> Reply:
    """Fetch a version and check it out; ``--local`` only the latter, without a network.

    ``--fetch-only``, or the setting ``pull_checkout`` 0, leaves the VM as it is. With ``pull_failback`` 1 a registry
    that is down does not matter when the tag is here (3.4 on).
    """
    (sought,) = exactly(words, 1, 1, "anka registry pull [--tag TAG] [--local] [--shrink] VM")
    tag, shrink, number = words.get("tag"), words.flag("shrink"), chosen(words)
    if words.flag("local"):
        if words.flag("fetch_only") or number is not None:
            option = "--fetch-only" if words.flag("fetch_only") else "--version"
            raise UsageError(f"--local checks out a tag that is here, and {option} needs the registry")
        return _pull_local(desk, sought, tag, shrink)
    asked = pulling.Pull(
        sought=sought,
        tag=tag,
        number=number,
        shrink=shrink,
        fetch_only=words.flag("fetch_only") or settings(desk)["pull_checkout"] == "0",
        threads=desk.threads,
    )
    try:
        anka = opened(desk, words)
        return pulling.pull(desk.library, anka, asked, desk.arch, _voice(desk, words))
    except UnreachableError as error:
        if settings(desk)["pull_failback"] != "1" or number is not None:
            raise
        try:
            return _pull_local(desk, sought, tag, shrink, checkout=not asked.fetch_only)
        except AnkaCiError:
            raise error from None


def _pull_local(desk: Desk, sought: str, tag: str | None, shrink: bool, *, checkout: bool = True) -> Reply:
    """Check out a tag that is here: the one named, the current one, or the newest."""
    with desk.library.locked(desk.cancelled):
        machine = desk.library.find(sought)
        if machine.meta.status == "running":
            raise Failure(f"{machine.name}: the VM is running", hint=f"stop it first: anka stop {machine.name}")
        tags = machine.tags()
        stored = machine.stored(tag) if tag else next(iter(tags), None)
        if stored is None:
            raise Failure(f"{machine.name}:{tag or 'tag'}: not found", NOT_FOUND)
        if checkout:
            desk.library.checkout(machine, stored)
        if shrink:
            pulling.shrink(desk.library, machine, stored.meta.tag)
        body: dict[str, Any] = {"uuid": machine.id, "name": machine.name, "tag": stored.meta.tag}
        body |= {"bytes_received": 0, "bytes_shared": desk.library.size(stored.meta)}
        return moved(desk.voice, "pulled", body)


def push(desk: Desk, words: Words) -> Reply:
    """Store a VM as a new version and as a local tag; ``--local`` only the latter. The tag may stand behind the VM."""
    sought, *tags = exactly(words, 1, 2, "anka registry push --tag TAG VM")
    tag = words.get("tag") or (tags[0] if tags else None)
    if tag is None:
        raise UsageError("the tag is missing", hint="usage: anka registry push --tag TAG VM")
    if tags and tags[0] != tag:
        raise UsageError(f"two tags are named: {tag} and {tags[0]}", hint="name one")
    onto, local = words.get("remote_vm"), words.flag("local")
    if local and onto is not None:
        raise UsageError("--local makes a local tag only, and --remote-vm names a template of a registry")
    asked = pushing.Push(
        sought=sought,
        tag=tag,
        description=words.get("description") or "",
        onto=onto,
        force=words.flag("force"),
        shallow=words.flag("shallow"),
        threads=desk.threads,
    )
    anka = None if local else opened(desk, words)
    return pushing.push(desk.library, anka, asked, desk.cancelled, _voice(desk, words))


def revert(desk: Desk, words: Words) -> Reply:
    """Remove a version and all newer ones from the registry; ``--all``, or the first version: the template."""
    (sought,) = exactly(words, 1, 1, "anka registry revert [--tag TAG] [--all] --yes VM")
    number = chosen(words)
    if words.flag("all") and (words.flag("tag") or number is not None):
        raise UsageError("--all removes the template, and a version of it is named too", hint="choose one of both")
    anka = opened(desk, words)
    registry = anka.registry.stack("revert")
    template = pulling.find(anka, sought, desk.arch)
    one = None if words.flag("all") else pulling.version(template, words.get("tag"), number)
    lost = template.versions or () if one is None else (one, *template.newer_than(one))
    names = ", ".join(each.tag for each in lost)
    confirm(desk, f"are you sure you want to revert {template.name}, which loses {names}", yes=words.flag("yes"))
    if one is None:
        registry.delete(template)
    else:
        registry.revert(template, one)
    return Reply(message=f"{template.id}: reverted")
