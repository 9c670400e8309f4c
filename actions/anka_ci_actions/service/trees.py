"""The folders of a commit: what is in one, and what a file that is written would replace there.

Reads only, and reads no content. See https://docs.github.com/en/rest/git/trees.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from anka_ci.errors import RefusedError
from anka_ci_actions.service.connection import Connection
from anka_ci_actions.service.failures import part
from anka_ci_actions.service.permissions import READ_FILES

Entry = Mapping[str, Any]
LINK = "120000"
FILES = {"100644", "100755", LINK}
"""Modes of files, runnable files, and links, whose text is where they lead."""


def of_commit(connection: Connection, repo: str, commit: str) -> str:
    """The tree of a commit. ``repo`` is how the path of a call about the repository begins."""
    return str(part(connection.get(READ_FILES, f"{repo}/git/commits/{commit}"), "tree", "sha"))


def folder(connection: Connection, repo: str, tree: str, path: str, free: Collection[str] = ()) -> list[Entry]:
    """The entries of a folder below a tree; empty when it is not there, or is none. One read per part of ``path``.

    ``RefusedError`` when a write of one of the files ``free`` would replace more than a file: a folder or a submodule
    of that name, or what is in the place of the folder itself.
    """
    entries, there = _entries(connection, repo, tree), ""
    for name in filter(None, path.split("/")):
        there = _below(there, name)
        found = next((each for each in entries if each["path"] == name), None)
        if found is None or found["type"] != "tree":
            if found is not None and free:
                raise _in_the_way(repo, there, found)
            return []
        entries = _entries(connection, repo, str(found["sha"]))
    for each in entries:
        if each["mode"] not in FILES and _below(path, each["path"]) in free:
            raise _in_the_way(repo, _below(path, each["path"]), each)
    return entries


def _below(path: str, name: str) -> str:
    return f"{path}/{name}" if path else name


def _entries(connection: Connection, repo: str, tree: str) -> list[Entry]:
    body = connection.get(READ_FILES, f"{repo}/git/trees/{tree}")
    if body.get("truncated"):
        raise RefusedError(f"a folder of {_slug(repo)} has more files than GitHub lists", tree=tree)
    return list(part(body, "tree"))


def _in_the_way(repo: str, path: str, entry: Entry) -> RefusedError:
    what = {"tree": "a folder", "commit": "a submodule"}.get(entry["type"], "a file")
    said = f"{path} of {_slug(repo)} is {'a link' if entry['mode'] == LINK else what}, which a write would replace"
    return RefusedError(said, hint="move it away; nothing was written")


def _slug(repo: str) -> str:
    return repo.removeprefix("/repos/")
