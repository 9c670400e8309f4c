"""A repository of the double: git objects under their true names, branches, and what GitHub keeps beside them.

Knows no HTTP. Not a git server: nothing is packed, and only what the API shows is kept.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

IDS = itertools.count(1001)
EPOCH = "2026-01-02T03:04:05Z"


def name_of(kind: str, raw: bytes) -> str:
    return hashlib.sha1(b"%s %d\x00%s" % (kind.encode(), len(raw), raw)).hexdigest()


@dataclass(frozen=True)
class Entry:
    mode: str
    kind: str
    sha: str


@dataclass(frozen=True)
class Commit:
    tree: str
    parents: tuple[str, ...]
    message: str


@dataclass
class Repo:
    """``workflows``: file name to whether it has ``workflow_dispatch``."""

    name: str
    default: str = "main"
    private: bool = True
    blobs: dict[str, bytes] = field(default_factory=dict)
    trees: dict[str, dict[str, Entry]] = field(default_factory=dict)
    commits: dict[str, Commit] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    protected: set[str] = field(default_factory=set)
    pulls: list[dict[str, Any]] = field(default_factory=list)
    statuses: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    workflows: dict[str, bool] = field(default_factory=dict)
    runs: list[dict[str, Any]] = field(default_factory=list)
    id: int = field(default_factory=lambda: next(IDS))

    def blob(self, raw: bytes) -> str:
        sha = name_of("blob", raw)
        self.blobs[sha] = raw
        return sha

    def tree(self, entries: Mapping[str, Entry]) -> str:
        def key(item: tuple[str, Entry]) -> str:
            return item[0] + ("/" if item[1].kind == "tree" else "")

        rows = sorted(entries.items(), key=key)
        raw = b"".join(
            b"%s %s\x00%s" % (each.mode.lstrip("0").encode(), name.encode(), bytes.fromhex(each.sha))
            for name, each in rows
        )
        sha = name_of("tree", raw)
        self.trees[sha] = dict(rows)
        return sha

    def commit(self, tree: str, parents: tuple[str, ...], message: str) -> str:
        lines = [f"tree {tree}", *(f"parent {each}" for each in parents), "", message]
        sha = name_of("commit", "\n".join(lines).encode())
        self.commits[sha] = Commit(tree, parents, message)
        return sha

    def changed(self, tree: str | None, path: str, entry: Entry | None) -> str:
        """The tree with one path set, or removed; ``KeyError`` when there is nothing to remove."""
        entries = dict(self.trees[tree]) if tree else {}
        first, _, rest = path.partition("/")
        if rest:
            below = entries[first].sha if first in entries and entries[first].kind == "tree" else None
            if below is None and entry is None:
                raise KeyError(path)
            made = self.changed(below, rest, entry)
            if self.trees[made]:
                entries[first] = Entry("040000", "tree", made)
            else:
                del entries[first]
        elif entry is None:
            del entries[first]
        else:
            entries[first] = entry
        return self.tree(entries)

    def push(self, files: Mapping[str, str | bytes | None], message: str = "a push", branch: str | None = None) -> str:
        """What somebody else does: a commit on a branch, made where it is not there."""
        branch = branch or self.default
        head = self.refs.get(branch) or self.refs.get(self.default)
        tree = self.commits[head].tree if head else self.tree({})
        for path, text in files.items():
            raw = text.encode() if isinstance(text, str) else text
            tree = self.changed(tree, path, None if raw is None else Entry("100644", "blob", self.blob(raw)))
        self.refs[branch] = self.commit(tree, (head,) if head else (), message)
        return self.refs[branch]

    def text(self, path: str, branch: str | None = None) -> str | None:
        """A file's text at a branch; None when it is not there."""
        tree = self.commits[self.refs[branch or self.default]].tree
        for part in path.split("/"):
            if tree not in self.trees or part not in self.trees[tree]:
                return None
            tree = self.trees[tree][part].sha
        return self.blobs[tree].decode()

    def ancestors(self, sha: str) -> list[str]:
        """The commit and all before it, nearest first."""
        found, left = [], [sha]
        while left:
            sha = left.pop(0)
            if sha not in found:
                found.append(sha)
                left += self.commits[sha].parents
        return found
