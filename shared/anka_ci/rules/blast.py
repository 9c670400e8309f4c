"""Blast radius: who uses what is about to go from the registry or from nodes, and which bytes come free or stay.

Only reads. What cannot be looked at is said and hinders nothing: a registry without a controller can be tidied as well.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from anka_ci.errors import NotAuthorisedError, RefusedError
from anka_ci.inputs import arg
from anka_ci.rules import fleet, instances, sight, usage
from anka_ci.rules.fleet import Channel
from anka_ci.rules.layers import Layers
from anka_ci.rules.usage import Usage, titles

if TYPE_CHECKING:
    from anka_ci.anka import Anka
    from anka_ci.wire.template import Template, Version

MOST = 100
"""So many templates may a registry have for bytes to be worked out unasked: each is a call."""


def fleet_input() -> Any:
    """The input of a step for the fleet file to look into."""
    return arg("Path of a fleet file: tell which of its channels name what goes.", default=None)


def pipelines_input() -> Any:
    """The input of a step for the files to look into."""
    help = "Pipeline files and workflows, by paths or patterns such as ci/*.yml: tell which name what goes."
    return arg(help, default=None)


def bytes_input() -> Any:
    """The input of a step that says whether to work out bytes."""
    help = f"Work out which bytes come free, with a call for every template; auto: for {MOST} templates at most."
    return arg(help, default="auto", choices=("auto", "yes", "no"))


@dataclass(frozen=True, kw_only=True)
class Radius:
    """``uses`` say who uses what goes, and belong to what is confirmed; ``notes`` are for people."""

    uses: tuple[str, ...]
    notes: tuple[str, ...]


def of_versions(
    anka: Anka,
    template: Template,
    going: Sequence[Version],
    *,
    channels: str | None,
    pipelines: Sequence[str] | None,
    bytes: str,
) -> Radius:
    """What hangs on versions that go from the registry."""
    used = Usage(templates=[template]).of_fleet(sight.see(anka, unseen=True))
    used.of_channels(each for each in _channels(anka, channels) if used.find(each.template) is not None)
    if pipelines:
        used.of_pipelines(pipelines)
    told = titles(used.by, ((template.id, version.number) for version in going))
    notes = [f"in use: {each}" for each in told] + used.notes
    return Radius(uses=tuple(sorted(told)), notes=(*notes, *_bytes(anka, template, going, bytes)))


def of_nodes(anka: Anka, template_id: str, name: str, nodes: Collection[str], *, channels: str | None) -> Radius:
    """What hangs on a template that goes from nodes, which are ids: instances that run there, and channels."""
    notes = []
    try:
        there = sight.there(anka) if nodes else []
    except (NotAuthorisedError, RefusedError) as error:
        there = []
        notes = [f"instances that use it there were not looked at: {error.message}"]
    running = [
        f"used there by the instance {instances.title(each)}"
        for each in there
        if each.template_id.lower() == template_id.lower() and each.node_id in nodes
    ]
    sought = {template_id.lower(), name.lower()}
    named = [each for each in _channels(anka, channels) if each.template.lower() in sought]
    told = running + [f"in the channel {each.name}, which brings {each.template}:{each.tag} to nodes" for each in named]
    return Radius(uses=tuple(sorted(told)), notes=(*(f"in use: {each}" for each in told), *notes))


def _channels(anka: Anka, path: str | None) -> list[Channel]:
    return [] if path is None else [each for each in fleet.read(path) if each.within(anka.context.name)]


def _bytes(anka: Anka, template: Template, going: Sequence[Version], wanted: str) -> list[str]:
    """What people are told of the bytes."""
    rows = [] if wanted == "no" else anka.registry.templates()
    if wanted == "no" or (wanted == "auto" and len(rows) > MOST):
        return ["which bytes come free was not worked out; `bytes: yes` does"]
    templates = usage.shown(anka, rows)
    numbers = {version.number for version in going}
    pairs = [
        (each, version)
        for each in templates
        for version in each.versions or ()
        if each.id == template.id and version.number in numbers
    ]
    layers = Layers(templates)
    uses = layers.uses(pairs)
    free, stay = layers.freed(uses), layers.kept(uses)
    return [f"frees {free}" + ("" if stay.most == 0 else f"; {stay} stay, because other versions have them too")]
