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
from anka_ci.standin.local import bytes_of
from anka_ci.standin.output import NOT_FOUND, Failure, Reply, day, details, size, table
from anka_ci.standin.words import Words, exactly
from anka_ci.wire.template import Template, Version
from anka_ci.wire.values import emit_time


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
        rows.append(row | {"creation_date": moment(first), "size": each.size, "arch": each.arch})
        machine = machines.get(each.id.lower())
        here = bool(each.versions) and pulling.here(desk.library, machine, each, each.newest)
        lines.append((f"{each.name} ({latest})", each.id, day(first), "available locally" if here else ""))
    return Reply(body=rows, text=table(("name (latest tag)", "uuid", "creation_date", "status*"), lines))


def _latest(template: Template) -> str:
    return template.newest.tag if template.versions else ""


def moment(seconds: float | None) -> str:
    """A time as Anka's JSON has it: ``2022-01-06T12:34:52Z``."""
    return emit_time(int(seconds or 0)).replace(".000000", "")


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


def _tags(versions: tuple[Version, ...]) -> str:
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
    """A version, or one property of it; the tags of a template, newest first."""
    sought, *prop = exactly(words, 1, 2, "anka registry show [--tag TAG] VM [PROPERTY]")
    anka = opened(desk, words)
    template = pulling.find(anka, sought, desk.arch)
    if prop and prop[0] in ("tag", "tags"):
        return _show_tags(template, latest=words.flag("latest"))
    found = pulling.version(template, words.get("tag"), chosen(words))
    body = _shown(template, found, anka.registry.config(template, found))
    if not prop:
        return Reply(body=body, text=details({**body, "size": size(body["size"]), "image_size": size(body["size"])}))
    if prop[0] not in body:
        raise Failure(f"{prop[0]}: not found", NOT_FOUND)
    return Reply(body=body[prop[0]], text=str(body[prop[0]]))


def _show_tags(template: Template, *, latest: bool) -> Reply:
    if latest:
        return Reply(body=template.newest.tag, text=template.newest.tag)
    rows = [
        {"tag": each.tag, **({} if each.numbered is None else {"version": each.number})}
        for each in reversed(template.versions or ())
    ]
    return Reply(body=rows, text=_tags(template.versions or ()))


def _shown(template: Template, version: Version, config: Mapping[str, Any]) -> dict[str, Any]:
    cpu, ram = config.get("cpu"), str(config.get("ram", ""))
    return {
        "name": template.name,
        "uuid": template.id,
        "version": version.tag,
        **({} if version.numbered is None else {"number": version.number}),
        "creation_date": moment(version.creation_date),
        "cpu_cores": cpu.get("cores", 0) if isinstance(cpu, dict) else 0,
        "ram": ram,
        "ram_size": bytes_of(ram),
        "hard_drive": version.size or 0,
        "image_size": version.size or 0,
        "size": version.size or 0,
        "description": version.description,
        "arch": template.arch,
    }


def check_download_size(desk: Desk, words: Words) -> Reply:
    """What a pull would fetch; layers that are here under their names count as cached."""
    (sought,) = exactly(words, 1, 1, "anka registry check-download-size [--tag TAG] VM")
    anka = opened(desk, words)
    template = pulling.find(anka, pulling.named(desk.library, anka, sought), desk.arch)
    wanted = pulling.version(template, words.get("tag"), chosen(words))
    machine = next((each for each in desk.library.machines() if each.id.lower() == template.id.lower()), None)
    if pulling.here(desk.library, machine, template, wanted):
        return Reply(body={}, message=f"{wanted.tag}: available locally")
    files = {*wanted.images, *wanted.state_files}
    paths = [desk.library.images / file for file in files]
    total = wanted.size or 0
    cached = min(total, sum(path.stat().st_size for path in paths if path.exists()))
    body = {"size": total, "cached": cached, "available": desk.library.free(), "bytes": total - cached}
    return Reply(body=body, text=details({key: size(value) for key, value in body.items()}))
