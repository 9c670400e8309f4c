"""What only GitHub knows of a pipeline file: its ``github:`` section.

Reads it, and refuses what it does not know; what the values become is in ``workflow``. Texts in it are GitHub's own: an
expression in them is evaluated by GitHub.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from anka_ci.adapter.system import Source
from anka_ci.document import Node
from anka_ci.errors import UsageError

FOLDER = ".github/workflows"
"""Where GitHub looks for workflows. See https://docs.github.com/en/actions/reference/workflows-and-actions."""
KEYS = ("workflow", "run-name", "permissions", "env", "environment", "runner-group", "paths", "queue")
LEVELS = ("read", "write", "none")
QUEUES = ("single", "max")
"""Which runs of a concurrency group wait: the newest, or up to 100. Since May 2026, not on servers of before:
https://github.blog/changelog/2026-05-07-github-actions-concurrency-groups-now-allow-larger-queues."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """``workflow`` is the path of the workflow file; ``paths`` narrow a push, ``queue`` is one of ``QUEUES``;
    the others are as GitHub takes them.
    """

    workflow: str
    run_name: str | None = None
    permissions: Mapping[str, str] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    environment: str | None = None
    runner_group: str | None = None
    paths: tuple[str, ...] = ()
    queue: str | None = None


def read(source: Source) -> Section:
    """The section of a pipeline file; ``UsageError`` with its place for what is wrong with it."""
    node = source.pipeline.github
    found = node.only(KEYS, "github") if node is not None else {}

    def text(key: str) -> str | None:
        return found[key].text(f"github: {key}") if key in found else None

    paths = found.get("paths")
    return Section(
        workflow=_workflow(source, found.get("workflow")),
        run_name=text("run-name"),
        permissions=_permissions(found.get("permissions")),
        env=_env(source, found.get("env")),
        environment=text("environment"),
        runner_group=text("runner-group"),
        paths=tuple(each.text("github: paths") for each in paths.items("github: paths")) if paths else (),
        queue=_queue(found.get("queue")),
    )


def _workflow(source: Source, node: Node | None) -> str:
    name = node.text("github: workflow") if node else f"{PurePosixPath(source.path).stem}.yml"
    if re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*\.ya?ml", name):
        return f"{FOLDER}/{name}"
    if node is None:
        hint = "name it in the pipeline file: `github: {workflow: NAME.yml}`"
        raise UsageError(f"{source.path}: no workflow file can be named after it", hint=hint, file=source.path)
    hint = f"a name such as refresh.yml; the file is in {FOLDER}"
    raise UsageError(f"{node.place}: {name!r} is no name of a workflow file", hint=hint, **node.place.facts())


def _queue(node: Node | None) -> str | None:
    found = node.text("github: queue") if node else None
    if node and found not in QUEUES:
        hint = "max lets up to 100 runs wait, single the newest one only"
        raise UsageError(f"{node.place}: no queue {found!r}", hint=hint, **node.place.facts())
    return found


def _permissions(node: Node | None) -> dict[str, str]:
    found = {}
    for key, level in (node.mapping("github: permissions") if node else {}).items():
        found[key] = level.text(f"permission {key}")
        if not re.fullmatch(r"[a-z][a-z-]*", key) or found[key] not in LEVELS:
            hint = f"write it like `contents: read`; a level is {', '.join(LEVELS)}"
            place = level.place
            raise UsageError(f"{place}: no permission {key}: {found[key]!r}", hint=hint, **place.facts())
    return found


def _env(source: Source, node: Node | None) -> dict[str, str]:
    found = {}
    for key, value in (node.mapping("github: env") if node else {}).items():
        place = value.place
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", key):
            raise UsageError(f"{place}: {key!r} is no name of a variable", **place.facts())
        if key in source.pipeline.secrets:
            hint = "it is in `secrets:` of the file, which wires it; leave it out here"
            raise UsageError(f"{place}: {key} is a secret of the file", hint=hint, **place.facts())
        found[key] = value.text(f"variable {key}")
    return found
