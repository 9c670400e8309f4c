"""The registries that this user knows by name: add, set, remove, list-repos.

Asks a registry only whether it is there, before it is remembered.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from anka_ci.errors import UsageError
from anka_ci.standin.connecting import opened
from anka_ci.standin.desk import Desk
from anka_ci.standin.output import NO_REGISTRY, Failure, Reply
from anka_ci.standin.tables import Table, Text, table
from anka_ci.standin.words import Words, exactly

NOT_KNOWN = ("force", "all", "default", "list")
"""Options that say something of the command and not of the registry."""


def add(desk: Desk, words: Words) -> Reply:
    """Remember a registry, which becomes the default; one of that name is replaced (undocumented).

    From 3.0 on it is asked first whether it is there, unless ``--force`` says not to.
    """
    name, url = exactly(words, 2, 2, "anka registry add [--force] NAME URL")
    _probe(desk, words, {**words.values, "registry_path": url})
    desk.remotes.add(name, url, words.values)
    return Reply()


def set_(desk: Desk, words: Words) -> Reply:
    """Make a registry the default; with a URL it is found there from now on, and options replace those kept of it.

    From 3.0 on it is asked first whether it is there, unless ``--force`` says not to.
    """
    name, *urls = exactly(words, 1, 2, "anka registry set [--force] NAME [URL]")
    url = urls[0] if urls else desk.remotes.url(name)
    kept = desk.remotes.all().get(name)
    if kept is None:
        hint = f"add it first: anka registry add {name} {url}"
        raise Failure(f"no registry named {name} is configured", NO_REGISTRY, hint=hint)
    given = {key: value for key, value in words.values.items() if key not in NOT_KNOWN}
    _probe(desk, words, {**kept, **given, "registry_path": url})
    if urls or given:
        desk.remotes.add(name, url, {**kept, **given})
    else:
        desk.remotes.choose(name)
    return Reply()


def _probe(desk: Desk, words: Words, values: Mapping[str, str]) -> None:
    """Ask the registry whether it is there. 2.x did not, and has no ``--force``."""
    if not words.flag("force") and desk.voice.generation > 2:
        opened(desk, Words(values=values)).registry.status()


def remove(desk: Desk, words: Words) -> Reply:
    """Forget registries; when the default is among them, the last that is left becomes it (undocumented)."""
    if words.flag("all") and words.rest:
        raise UsageError("--all forgets every registry, and names are given too", hint="choose one of both")
    names = list(desk.remotes.all()) if words.flag("all") else list(words.rest)
    if not names and not words.flag("all"):
        raise UsageError("usage: anka registry remove [--all] NAME…")
    desk.remotes.remove(names)
    return Reply()


def list_repos(desk: Desk, words: Words) -> Reply:
    """2.x answers with a mapping, 3.x with a list; a name alone gets its URL.

    For people ``--default`` is the table of 2.x in every release, because scripts cut its first row to pieces.
    """
    names = exactly(words, 0, 1, "anka registry list-repos [--default] [NAME]")
    if names:
        return Reply(body=desk.remotes.url(names[0]), text=desk.remotes.url(names[0]))
    chosen = words.flag("default")
    rows = [_default(desk)] if chosen else _rows(desk)
    text: Text
    if chosen:
        text = _parted(rows[0], ("id", rows[0]["name"]))
    elif desk.voice.generation == 2:
        text = _titled(rows)
    else:
        text = table(("name", "url"), [(_marked(each), each["url"]) for each in rows])
    return Reply(body=_body(desk, rows), text=text)


def list_default(desk: Desk) -> Reply:
    """``registry --default`` of 3.9: the bare name."""
    row = _default(desk)
    return Reply(body=_body(desk, [row]), text=row["name"])


def _rows(desk: Desk) -> list[dict[str, Any]]:
    default = desk.remotes.default()
    return [{"default": name == default, "name": name, "url": each["url"]} for name, each in desk.remotes.all().items()]


def _default(desk: Desk) -> dict[str, Any]:
    found = next((each for each in _rows(desk) if each["default"]), None)
    if found is None:
        raise Failure("No registry configured", NO_REGISTRY, hint="add one: anka registry add NAME URL")
    return found


def _body(desk: Desk, rows: list[dict[str, Any]]) -> Any:
    if desk.voice.generation > 2:
        return rows
    return {row["name"]: {"default": row["default"], **_parts(row["url"])} for row in rows}


def _marked(row: Mapping[str, Any]) -> str:
    return f"{row['name']} (default)" if row["default"] else str(row["name"])


def _titled(rows: list[dict[str, Any]]) -> Text:
    """As 2.x prints it: a heading and a table for each; before them the table of nothing that its pages show."""
    return ("++\n++\n", *(part for row in rows for part in (f"\n{_marked(row)}\n\n", _parted(row), "\n")))


def _parted(row: Mapping[str, Any], *first: tuple[str, str]) -> Table:
    head, *rest = [*first, *_parts(row["url"]).items()]
    return table(head, rest)


def _parts(url: str) -> dict[str, str]:
    scheme, _, rest = url.partition("://")
    host, _, port = rest.partition("/")[0].rpartition(":")
    return {"host": host or port, "scheme": scheme, "port": port if host else {"http": "80"}.get(scheme, "443")}
