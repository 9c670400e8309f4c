"""Moving a channel to another tag: in its fleet file, and then on its nodes.

The file is written first: it says what is wanted, and what did not get to a node `reconcile` brings there. Only the one
text of the file is changed.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anka_ci.errors import ConfirmationError, RefusedError, UsageError
from anka_ci.inputs import arg
from anka_ci.plan import Action, Plan
from anka_ci.rules import drift, fleet, reconciling, survey
from anka_ci.rules.drift import Aim
from anka_ci.rules.fleet import Channel
from anka_ci.rules.survey import Survey
from anka_ci.wire.template import Version

if TYPE_CHECKING:
    from anka_ci.anka import Anka

Chooser = Callable[[Aim, Mapping[str, Channel]], Version]
"""From a channel with its template, and the file's channels by name: the version that it is to have."""


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """What a step that moves a channel tells."""

    channel: str = arg("The channel.")
    id: str = arg("The template's id.")
    name: str = arg("The template's name.")
    former: str = arg("The tag that the channel named before.")
    tag: str = arg("The tag that it is to have now.")
    written: bool = arg("Whether the fleet file was changed.")
    channels: tuple[dict[str, Any], ...] = arg(
        "What was sent: channel, wanted, nodes that succeeded, failed, or were still at it."
    )
    reasons: tuple[dict[str, Any], ...] = arg("Why nodes failed: channel, node, state, reason.")
    unverified: tuple[str, ...] = arg("Names of the nodes that do not report what they hold, and were sent nothing.")


def plan(step: str, anka: Anka, path: str, name: str, choose: Chooser, *, write: bool, distribute: bool) -> Plan:
    """The plan of a step that moves the channel ``name`` to the version that ``choose`` gives."""
    text = fleet.text(path)
    channels = {each.name: each for each in survey.chosen(path, None, anka.context.name)}
    if name not in channels:
        survey.chosen(path, [name], anka.context.name)
        raise UsageError(f"the channel {name} is meant for another context than {anka.context.name}")
    found = survey.take(anka, [channels[name]], group=None, names=None, what=step)
    (aim,) = found.aims
    if aim.template is None:
        raise channels[name].place.wrong(f"channel {name}: the registry has no template {aim.channel.template!r}")
    version = choose(aim, channels)
    former, new = aim.channel.tag, replace(aim.channel, tag=version.tag)
    moved = fleet.moved(text, path, name, version.tag) if write and former != version.tag else text
    actions = []
    if moved != text:
        said = f"write {version.tag} for {former} into the channel {name} of {path}"
        with_ = {"path": path, "channel": name, "former": former, "tag": version.tag}
        actions.append(Action(verb="write", text=said, with_=with_))
    there = _there(found, replace(aim, channel=new))
    sent, notes, unable = list[Action](), list[str](), list[dict[str, Any]]()
    if distribute:
        reconciling.check(there)
        sent, notes = reconciling.sending(anka, there)
        unable = reconciling.unable(there)
    newest = aim.template.newest
    if version.number < newest.number:
        notes.append(f"jobs that name no tag still get the newest, {aim.template.name}:{newest.tag}")
    notes += reconciling.untold(unable)
    expects: dict[str, Any] = {
        **{"channel": name, "id": aim.template.id, "name": aim.template.name},
        **{"former": former, "tag": version.tag, "written": moved != text},
        "channels": [reconciling.expected(action) for action in sent],
        "reasons": unable,
        "unverified": there.unverified if distribute else [],
    }
    lost = tuple(reconciling.losses(there, sent))
    actions += [*sent, *reconciling.nothing(unable, sent)]
    return Plan(
        step=step, actions=tuple(actions), loses=lost, bytes=None if sent else 0, expects=expects, notes=tuple(notes)
    )


def _there(found: Survey, aim: Aim) -> Survey:
    """The survey as it is with the channel moved; nodes that the channel does not mean are left out of it."""
    return replace(found, aims=[aim], drift=list(drift.of_channels([aim], found.nodes)))


def run(plan: Plan, anka: Anka) -> dict[str, Any]:
    """Do it; the outputs. ``FellShortError`` when a node did not get the tag."""
    known = {**plan.expects, "written": False}
    for action in plan.actions:
        if action.verb == "write":
            _write(action.with_)
            known["written"] = True
    sent = [action for action in plan.actions if action.verb in ("distribute", "follow") and action.with_]
    known = reconciling.run(anka, sent, known)
    del known["evicted"]
    reconciling.judge(known)
    return known


def _write(with_: Mapping[str, Any]) -> None:
    """Write the file anew beside it and put it in its place; ``ConfirmationError`` when it was changed meanwhile."""
    path = Path(with_["path"])
    text = fleet.text(str(path))
    now = next((each.tag for each in fleet.read(str(path)) if each.name == with_["channel"]), None)
    if now != with_["former"]:
        raise ConfirmationError(f"{path} has changed since the plan: {with_['channel']} names {now}", hint="plan again")
    content = fleet.moved(text, str(path), with_["channel"], with_["tag"])
    target = path.resolve()
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
                file.write(content)
            Path(name).chmod(target.stat().st_mode & 0o777)
            Path(name).replace(target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise RefusedError(f"{path} cannot be written: {error.strerror}", hint="or say write: false") from error
