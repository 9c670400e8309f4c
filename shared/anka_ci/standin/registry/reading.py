"""What a registry has: list, show, describe, and what a pull would fetch.

Changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from anka_ci.errors import UsageError
from anka_ci.standin import pull as pulling
from anka_ci.standin.connecting import opened
from anka_ci.standin.desk import Desk
from anka_ci.standin.output import NOT_FOUND, Failure, Reply, day, size
from anka_ci.standin.properties import PROPERTIES, Seen, everything, moment, plain
from anka_ci.standin.stored import Meta
from anka_ci.standin.tables import Table, details, table
from anka_ci.standin.told import property_of
from anka_ci.standin.words import Words, exactly
from anka_ci.wire.manifest import Layer
from anka_ci.wire.template import Template, Version


def list_(desk: Desk, words: Words) -> Reply:
    """The templates, each with its newest tag; the columns for people are those of 3.2, of which the last is
    undocumented: here it says whether that tag is in this library."""
    anka = opened(desk, words)
    templates = [pulling.find(anka, name, desk.arch) for name in words.rest]
    templates = templates or pulling.every(anka)
    if desk.voice.generation == 2:
        old = [{"id": each.id, "name": each.name, "latest": _latest(each)} for each in templates]
        return Reply(body=old, text=table(("id", "name", "latest"), [list(each.values()) for each in old]))
    machines = {machine.id.lower(): machine for machine in desk.library.machines()}
    rows: list[dict[str, Any]] = []
    lines = []
    for each in templates:
        latest, first = _latest(each), each.versions[0].creation_date if each.versions else None
        row: dict[str, Any] = {"name": each.name, "uuid": each.id, "latest": latest, "version": latest}
        row |= {"creation_date": moment(first)} if first else {}  # an OCI registry does not tell
        rows.append(row | {"size": each.size, "arch": each.arch})
        machine = machines.get(each.id.lower())
        here = bool(each.versions) and pulling.here(desk.library, machine, each, each.newest)
        lines.append((f"{each.name} ({latest})", each.id, day(first), "available locally" if here else ""))
    return Reply(body=rows, text=table(("name (latest tag)", "uuid", "creation_date", "status*"), lines))


def _latest(template: Template) -> str:
    return template.newest.tag if template.versions else ""


def describe(desk: Desk, words: Words) -> Reply:
    """The template as the registry's REST has it; with a tag or number only that version of it."""
    (sought,) = exactly(words, 1, 1, "anka registry describe [--tag TAG] VM")
    anka = opened(desk, words)
    template = pulling.find(anka, sought, desk.arch)
    body, shown = template.emit(), template.versions or ()
    if words.flag("tag") or words.flag("version"):
        shown = (pulling.version(template, words.get("tag"), chosen(words)),)
        body["versions"] = [each.emit() for each in shown]
    return Reply(body=body, text=_tags(shown))


def chosen(words: Words) -> int | None:
    """The number that ``--version`` names."""
    text = words.get("version")
    if text is not None and not (text.isascii() and text.isdigit()):
        raise UsageError(f"--version {text!r} is no number from 0 on")
    return None if text is None else int(text)


def _tags(versions: tuple[Version, ...]) -> Table:
    rows = [
        (
            each.tag,
            "" if each.numbered is None else each.number,
            size(each.size or 0),
            day(each.creation_date),
            each.description,
        )
        for each in reversed(versions)
    ]
    return table(("tag", "version", "size", "creation_date", "description"), rows)


def show(desk: Desk, words: Words) -> Reply:
    """A version: everything, one property, or one value of a property; the tags of a template, newest first."""
    sought, *prop = exactly(words, 1, 3, "anka registry show [--tag TAG] VM [PROPERTY [NAME]]")
    anka = opened(desk, words)
    template = pulling.find(anka, sought, desk.arch)
    if prop and prop[0] in ("tag", "tags"):
        return _show_tags(template, latest=words.flag("latest"))
    found = pulling.version(template, words.get("tag"), chosen(words))
    seen = _seen(desk, template, found, anka.registry.config(template, found))
    body = _shown(template, found, seen)
    if not prop:
        return Reply(body=body, text=details({key: plain(key, value) for key, value in body.items()}))
    name, *keys = prop
    if name in PROPERTIES and name not in ELSEWHERE:
        return property_of(name, PROPERTIES[name](seen), keys)
    if keys or body.get(name) in (None, ""):
        raise Failure(f"{(keys or [name])[0]}: not found", NOT_FOUND)
    return Reply(body=body[name], text=str(body[name]))


ELSEWHERE = ("mount",)
"""Properties that only a VM of a library has."""


def _show_tags(template: Template, *, latest: bool) -> Reply:
    if latest:
        return Reply(body=template.newest.tag, text=template.newest.tag)
    rows = [
        {"tag": each.tag, **({} if each.numbered is None else {"version": each.number})}
        for each in reversed(template.versions or ())
    ]
    return Reply(body=rows, text=_tags(template.versions or ()))


def _seen(desk: Desk, template: Template, version: Version, config: Mapping[str, Any]) -> Seen:
    """What the properties of a version are read from; of its layers only the newest one's name is known."""
    layers = tuple(Layer(file=file, digest="", size=0) for file in version.images[:1])
    return Seen(
        id=template.id,
        name=template.name,
        tag=version.tag,
        status="",
        meta=Meta(layers=layers, created=float(version.creation_date or 0), description=version.description),
        config=config,
        bytes=version.size or 0,
        old=desk.voice.generation == 2,
    )


def _shown(template: Template, version: Version, seen: Seen) -> dict[str, Any]:
    """The keys of a local VM, but for those of one that runs, and what only the registry has."""
    never = {"access_date", "status", "addons_version"} | (set() if version.creation_date else {"creation_date"})
    found = {key: each for key, each in everything(seen).items() if key not in never}
    number = {} if version.numbered is None else {"number": version.number}
    return {**found, **number, "size": version.size or 0, "arch": template.arch}


def check_download_size(desk: Desk, words: Words) -> Reply:
    """What a pull would fetch; layers that are here under their names count as cached."""
    (sought,) = exactly(words, 1, 1, "anka registry check-download-size [--tag TAG] VM")
    anka = opened(desk, words)
    template = pulling.find(anka, pulling.named(desk.library, anka, sought), desk.arch)
    wanted = pulling.version(template, words.get("tag"), chosen(words))
    machine = next((each for each in desk.library.machines() if each.id.lower() == template.id.lower()), None)
    if pulling.here(desk.library, machine, template, wanted):
        return Reply(body={}, message=f"{wanted.tag}: available locally")
    library = desk.library
    paths = {
        *(library.images / file for file in wanted.images),
        *(library.states / file for file in wanted.state_files),
    }
    total = wanted.size or 0
    cached = min(total, sum(path.stat().st_size for path in paths if path.exists()))
    body = {"size": total, "cached": cached, "available": desk.library.free(), "bytes": total - cached}
    return Reply(body=body, text=details({key: size(value) for key, value in body.items()}))
