"""The commands under ``anka registry``, and the top-level ``push`` and ``pull`` of 3.x.

Reads through the registry door, moves through ``pull`` and ``push``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from anka_ci.errors import NotFoundError, UsageError
from anka_ci.standin import pull as pulling
from anka_ci.standin import push as pushing
from anka_ci.standin.connecting import connect
from anka_ci.standin.desk import Desk
from anka_ci.standin.local import bytes_of
from anka_ci.standin.output import NOT_FOUND, Failure, Reply, day, details, size, table
from anka_ci.standin.words import CONNECTION, CONNECTION_LONG, Words, exactly, options, parse
from anka_ci.wire.values import emit_time

if TYPE_CHECKING:
    from anka_ci.anka import Anka
    from anka_ci.wire.template import Template, Version


def main(desk: Desk, words: list[str]) -> Reply:
    """``registry [CONNECTION] SUB-COMMAND …``."""
    before, rest = _split(words)
    connection = parse(before, CONNECTION)
    if not rest:
        return Reply(text="usage: anka registry [--remote NAME|URL] [--cacert PATH] " + "|".join(sorted(COMMANDS)))
    name, *left = rest
    if name not in COMMANDS:
        raise UsageError(f"no such command: registry {name}", hint="there is " + ", ".join(sorted(COMMANDS)))
    known, do = COMMANDS[name]
    found = parse(left, {**CONNECTION_LONG, **known})
    merged = Words(values={**connection.values, **found.values}, all=found.all, rest=found.rest)
    return do(desk, merged)


def _split(words: list[str]) -> tuple[list[str], list[str]]:
    """The connection options, and what begins with the sub-command."""
    place = 0
    while place < len(words) and words[place].startswith("-"):
        takes = CONNECTION.get(words[place].partition("=")[0], ("", False))[1]
        place += 2 if takes and "=" not in words[place] else 1
    return words[:place], words[place:]


def _open(desk: Desk, words: Words) -> Anka:
    return connect(desk.remotes, words, desk.environment, desk.cancelled)


def _number(words: Words) -> int | None:
    text = words.get("version")
    if text is not None and not text.isdigit():
        raise UsageError(f"--version {text!r} is no number from 0 on")
    return None if text is None else int(text)


def add(desk: Desk, words: Words) -> Reply:
    name, url = exactly(words, 2, 2, "anka registry add [--force] NAME URL")
    _probe(desk, words, url)
    desk.remotes.add(name, url, words.values)
    return Reply()


def set_(desk: Desk, words: Words) -> Reply:
    name, *url = exactly(words, 1, 2, "anka registry set NAME [URL]")
    if url:
        _probe(desk, words, url[0])
        desk.remotes.add(name, url[0], words.values)
    else:
        desk.remotes.choose(name)
    return Reply()


def _probe(desk: Desk, words: Words, url: str) -> None:
    """Ask the registry whether it is there, unless told not to; 2.x does not ask."""
    if desk.voice.generation > 2 and not words.flag("force"):
        asked = Words(values={**words.values, "registry_path": url})
        _open(desk, asked).registry.status()


def remove(desk: Desk, words: Words) -> Reply:
    names = list(desk.remotes.all()) if words.flag("all") else list(words.rest)
    if not names and not words.flag("all"):
        raise UsageError("usage: anka registry remove [--all] NAME…")
    desk.remotes.remove(names)
    return Reply()


def list_repos(desk: Desk, words: Words) -> Reply:
    """2.x answers with a mapping, 3.x with a list; the table of ``-d`` is that of 2.x, which scripts cut to pieces."""
    known, default = desk.remotes.all(), desk.remotes.default()
    names = exactly(words, 0, 1, "anka registry list-repos [--default] [NAME]")
    if names:
        return Reply(body=desk.remotes.url(names[0]), text=desk.remotes.url(names[0]))
    if words.flag("default"):
        known = {name: each for name, each in known.items() if name == default}
    rows: list[dict[str, Any]] = [
        {"default": name == default, "name": name, "url": each["url"]} for name, each in known.items()
    ]
    text = table(("name", "url"), [(f"{r['name']} (default)" if r["default"] else r["name"], r["url"]) for r in rows])
    parts = {row["name"]: _parts(row["url"]) for row in rows}
    if words.flag("default"):
        text = "".join(table(("id", name), list(each.items())) for name, each in parts.items())
    body: Any = rows
    if desk.voice.generation == 2:
        body = {row["name"]: {"default": row["default"], **parts[row["name"]]} for row in rows}
    return Reply(body=body, text=text)


def _parts(url: str) -> dict[str, str]:
    scheme, _, rest = url.partition("://")
    host, _, port = rest.partition("/")[0].rpartition(":")
    return {"host": host or port, "scheme": scheme, "port": port if host else {"http": "80"}.get(scheme, "443")}


def list_(desk: Desk, words: Words) -> Reply:
    anka = _open(desk, words)
    templates = [pulling.find(anka, name, desk.arch) for name in words.rest]
    templates = templates or pulling.every(anka)
    key = "id" if desk.voice.generation == 2 else "uuid"
    rows: list[dict[str, Any]] = []
    for template in templates:
        latest = template.versions[-1].tag if template.versions else ""
        first = template.versions[0].creation_date if template.versions else None
        row: dict[str, Any] = {"name": template.name, key: template.id, "latest": latest, "version": latest}
        row |= {"creation_date": emit_time(first or 0), "size": template.size, "arch": template.arch}
        rows.append(row)
    lines = [(f"{r['name']} ({r['latest']})", r[key], r["creation_date"], r["arch"]) for r in rows]
    return Reply(body=rows, text=table(("name (latest tag)", "uuid", "creation_date", "arch"), lines))


def describe(desk: Desk, words: Words) -> Reply:
    (sought,) = exactly(words, 1, 1, "anka registry describe [--tag TAG] VM")
    anka = _open(desk, words)
    template = pulling.find(anka, sought, desk.arch)
    body = template.emit()
    if words.flag("tag") or words.flag("version"):
        body["versions"] = [pulling.version(template, words.get("tag"), _number(words)).emit()]
    return Reply(body=body, text=_tags(template))


def _tags(template: Template) -> str:
    rows = [
        (
            each.tag,
            "" if each.numbered is None else each.number,
            size(each.size or 0),
            day(each.creation_date),
            each.description,
        )
        for each in reversed(template.versions or ())
    ]
    return table(("tag", "version", "size", "creation_date", "description"), rows)


def show(desk: Desk, words: Words) -> Reply:
    sought, *prop = exactly(words, 1, 2, "anka registry show [--tag TAG] VM [PROPERTY]")
    anka = _open(desk, words)
    template = pulling.find(anka, sought, desk.arch)
    if prop and prop[0] in ("tag", "tags"):
        if words.flag("latest"):
            return Reply(body=template.newest.tag, text=template.newest.tag)
        rows = [
            {"tag": each.tag, **({} if each.numbered is None else {"version": each.number})}
            for each in reversed(template.versions or ())
        ]
        return Reply(body=rows, text=_tags(template))
    found = pulling.version(template, words.get("tag"), _number(words))
    body = _shown(template, found, anka.registry.config(template, found))
    if not prop:
        return Reply(body=body, text=details({**body, "size": size(body["size"]), "image_size": size(body["size"])}))
    if prop[0] not in body:
        raise Failure(f"{prop[0]}: not found", NOT_FOUND)
    return Reply(body=body[prop[0]], text=str(body[prop[0]]))


def _shown(template: Template, version: Version, config: Mapping[str, Any]) -> dict[str, Any]:
    cpu, ram = config.get("cpu"), str(config.get("ram", ""))
    return {
        "name": template.name,
        "uuid": template.id,
        "version": version.tag,
        **({} if version.numbered is None else {"number": version.number}),
        "creation_date": emit_time(version.creation_date or 0),
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
    sought, *_ = exactly(words, 1, 2, "anka registry check-download-size [--tag TAG] VM")
    anka = _open(desk, words)
    template = pulling.find(anka, sought, desk.arch)
    wanted = pulling.version(template, words.get("tag"), _number(words))
    machine = next((each for each in desk.library.machines() if each.id.lower() == template.id.lower()), None)
    if pulling.here(desk.library, machine, template, wanted):
        return Reply(body={}, message=f"{wanted.tag}: available locally")
    files = {*wanted.images, *wanted.state_files}
    paths = [desk.library.images / file for file in files]
    total = wanted.size or 0
    cached = min(total, sum(path.stat().st_size for path in paths if path.exists()))
    body = {"size": total, "cached": cached, "available": desk.library.free(), "bytes": total - cached}
    return Reply(body=body, text=details({key: size(value) for key, value in body.items()}))


def pull(desk: Desk, words: Words) -> Reply:
    sought, *_ = exactly(words, 1, 1, "anka registry pull [--tag TAG] [--local] [--shrink] VM")
    tag, shrink = words.get("tag"), words.flag("shrink")
    if words.flag("local"):
        return _pull_local(desk, sought, tag, shrink)
    asked = pulling.Pull(
        sought=sought,
        tag=tag,
        number=_number(words),
        shrink=shrink,
        fetch_only=words.flag("fetch_only"),
        threads=desk.threads,
    )
    return pulling.pull(desk.library, _open(desk, words), asked, desk.arch, desk.voice)


def _pull_local(desk: Desk, sought: str, tag: str | None, shrink: bool) -> Reply:
    """Check out a tag that is here: the one named, the current one, or the newest."""
    with desk.library.locked(desk.cancelled):
        machine = desk.library.find(sought)
        if machine.meta.status == "running":
            raise Failure(f"{machine.name}: the VM is running", hint=f"stop it first: anka stop {machine.name}")
        tags = machine.tags()
        stored = machine.stored(tag) if tag else next(iter(tags), None)
        if stored is None:
            raise Failure(f"{machine.name}:{tag or 'tag'}: not found", NOT_FOUND)
        desk.library.checkout(machine, stored)
        if shrink:
            pulling.shrink(desk.library, machine, stored.meta.tag)
        body: dict[str, Any] = {"uuid": machine.id, "name": machine.name, "tag": stored.meta.tag}
        body |= {"bytes_received": 0, "bytes_shared": desk.library.size(stored.meta)}
    return Reply(body=body, message=f"{machine.id}: tag {stored.meta.tag} checked out")


def push(desk: Desk, words: Words) -> Reply:
    sought, *tags = exactly(words, 1, 2, "anka registry push --tag TAG VM")
    tag = words.get("tag") or (tags[0] if tags else None)
    if tag is None:
        raise UsageError("the tag is missing", hint="usage: anka registry push --tag TAG VM")
    asked = pushing.Push(
        sought=sought,
        tag=tag,
        description=words.get("description") or "",
        onto=words.get("remote_vm"),
        force=words.flag("force"),
        threads=desk.threads,
    )
    anka = None if words.flag("local") else _open(desk, words)
    return pushing.push(desk.library, anka, asked, desk.cancelled, desk.voice)


def revert(desk: Desk, words: Words) -> Reply:
    """Remove a version and all newer ones from the registry; ``--all``, or the first version: the template."""
    (sought,) = exactly(words, 1, 1, "anka registry revert [--tag TAG] [--all] --yes VM")
    anka = _open(desk, words)
    template = pulling.find(anka, sought, desk.arch)
    chosen = None if words.flag("all") else pulling.version(template, words.get("tag"), _number(words))
    if not words.flag("yes"):
        lost = template.versions or () if chosen is None else (chosen, *template.newer_than(chosen))
        names = ", ".join(each.tag for each in lost)
        raise Failure(f"are you sure you want to revert {template.name}? It loses {names}", hint="say so with --yes")
    if chosen is None:
        anka.registry.delete(template)
    else:
        anka.registry.revert(template, chosen)
    return Reply(message=f"{template.id}: reverted")


def top(desk: Desk, name: str, words: list[str]) -> Reply:
    """``pull VM [REMOTE]`` and ``push VM [REMOTE]`` of 3.x, with the size check as an option of ``pull``."""
    known = {**CONNECTION_LONG, **COMMANDS[name][0], **options("--check-download-size", "-q --quiet", "-s --shrink")}
    found = parse(words, known)
    sought, *remote = exactly(found, 1, 2, f"anka {name} --tag TAG VM [REMOTE]")
    values = {**found.values, **({"remote": remote[0]} if remote else {})}
    asked = Words(values=values, all=found.all, rest=(sought,))
    if name == "push":
        return push(desk, asked)
    try:
        return check_download_size(desk, asked) if asked.flag("check_download_size") else pull(desk, asked)
    except NotFoundError as error:
        raise Failure(f"{error.sought}: not found", NOT_FOUND, hint=error.hint) from error


_SELECT = options("-t --tag=", "-v --version=")
COMMANDS: Mapping[str, tuple[Mapping[str, tuple[str, bool]], Callable[[Desk, Words], Reply]]] = {
    "add": (options("-f --force"), add),
    "set": (options("-f --force"), set_),
    "delete": (options("-a --all"), remove),
    "remove": (options("-a --all"), remove),
    "list-repos": (options("-d --default"), list_repos),
    "list": ({}, list_),
    "show": ({**_SELECT, **options("--latest")}, show),
    "describe": (_SELECT, describe),
    "check-download-size": (_SELECT, check_download_size),
    "pull": ({**_SELECT, **options("-l --local", "-s --shrink", "--fetch-only")}, pull),
    "push": (options("-t --tag=", "-d --description=", "-v --remote-vm=", "-f --force", "-l --local"), push),
    "revert": (options("-t --tag=", "-v --version=", "-a --all", "-y --yes"), revert),
}
