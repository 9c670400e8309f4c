"""What a step means that takes a template and a tag, or a channel that stands for both.

Reads the fleet file and nothing else. Which nodes a channel is for is the business of ``audit`` and ``reconcile``.
"""

from __future__ import annotations

from dataclasses import dataclass

from anka_ci.errors import NotFoundError, RefusedError, UsageError
from anka_ci.rules import fleet, selection


@dataclass(frozen=True, kw_only=True)
class Meant:
    """``tag`` None: the latest; ``arch`` empty: any. ``notes`` are for people: what a channel stands for."""

    template: str
    tag: str | None
    arch: str = ""
    notes: tuple[str, ...] = ()


def check(template: str | None, channel: str | None, path: str | None, **more: object) -> None:
    """``ValueError`` unless there is a template or a channel with its file; ``more`` are what a channel leaves out."""
    selection.only_one(template=template, channel=channel)
    if channel is None and path is not None:
        raise ValueError("fleet without channel: it is the file that has the channel")
    if channel is not None and path is None:
        raise ValueError("channel needs fleet, the file that has it")
    for name, value in more.items():
        if channel is not None and value is not None:
            raise ValueError(f"channel does not go with {name}: it names the tag")


def meant(template: str | None, tag: str | None, channel: str | None, path: str | None, context: str) -> Meant:
    """What the inputs name, once they are checked.

    ``NotFoundError`` for a channel that the file does not have, ``UsageError`` for one of another context.
    """
    if channel is None or path is None:
        return Meant(template=str(template), tag=tag)
    channels = {each.name: each for each in fleet.read(path)}
    found = channels.get(channel)
    if found is None:
        raise NotFoundError("channel", channel, where=path, known=channels)
    if not found.within(context):
        hint = f"say `context: {found.context}`, or name a channel of this context"
        raise UsageError(f"the channel {channel} is meant for the context {found.context}, not {context}", hint=hint)
    note = f"the channel {channel} names {found.template}:{found.tag}"
    return Meant(template=found.template, tag=found.tag, arch=found.arch, notes=(note,))


def check_arch(meant: Meant, arch: str | None) -> None:
    """``RefusedError`` for a channel of another architecture than this host's ``arch``, None: it is not told."""
    if meant.arch and arch and meant.arch != arch:
        raise RefusedError(f"{meant.notes[0]} for {meant.arch}, and this host is {arch}", hint="name another channel")
