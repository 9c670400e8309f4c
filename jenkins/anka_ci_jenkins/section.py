"""What only Jenkins knows of a pipeline file: its ``jenkins:`` section.

Reads it, and refuses what it does not know; what the values become is in ``project``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, NoReturn

from anka_ci.adapter.system import Source
from anka_ci.document import Node
from anka_ci.errors import UsageError

INLINE, SCM, MULTIBRANCH = "inline", "scm", "multibranch"
KINDS = (INLINE, SCM, MULTIBRANCH)
"""Where the job's script is: in the job, in a Jenkinsfile of one branch, or in one of every branch."""
KEYS = ("job", "kind", "description", "folders", "library", "scm", "credentials", "keep", "poll")
SCM_KEYS = ("url", "branch", "credentials", "jenkinsfile")
KEEP_KEYS = ("builds", "days")
FOLDERS = "(folders)"
"""The source of a folder in its mark: it belongs to every pipeline file whose job is in it, and goes with none."""
POLL = "H/5 * * * *"
"""When Jenkins looks for pushes, where the file says nothing: about every five minutes."""


@dataclass(frozen=True, kw_only=True)
class Repository:
    """Where the pipeline file and the Jenkinsfile are; ``credentials`` is an id in Jenkins, empty for none."""

    url: str
    branch: str = "main"
    credentials: str = ""
    jenkinsfile: str = "Jenkinsfile"


@dataclass(frozen=True, kw_only=True)
class Section:
    """``job`` is the full name, folders and all; ``credentials`` holds for each secret of the file an id in Jenkins.

    ``folders``: the folders that the job is in are ours too, and made when they are not there. ``keep_builds`` and
    ``keep_days`` say how many builds are kept, and for how long; None for all of them.
    """

    job: str
    kind: str = INLINE
    description: str = ""
    folders: bool = False
    library: str = "anka-ci"
    scm: Repository | None = None
    credentials: Mapping[str, str] = field(default_factory=dict)
    keep_builds: int | None = None
    keep_days: int | None = None
    poll: str = POLL


def read(source: Source) -> Section:
    """The section of a pipeline file; ``UsageError`` with its place for what is wrong with it."""
    node = source.pipeline.jenkins
    found = node.only(KEYS, "jenkins") if node is not None else {}

    def text(key: str, default: str) -> str:
        return found[key].text(f"jenkins: {key}") if key in found else default

    kind = text("kind", INLINE)
    if kind not in KINDS:
        _wrong(found["kind"], f"no kind {kind!r}", f"there is {', '.join(KINDS)}")
    scm = _scm(found.get("scm"))
    if kind != INLINE and scm is None:
        hint = "say where it is: `jenkins: {scm: {url: https://git.example/team/images.git}}`"
        raise UsageError(f"{source.path}: a job of kind {kind} needs a repository", hint=hint, file=source.path)
    keep = found["keep"].only(KEEP_KEYS, "jenkins: keep") if "keep" in found else {}
    poll = text("poll", POLL)
    if "poll" in found and not re.fullmatch(r"(@\w+|\S+( +\S+){4})", poll):
        _wrong(found["poll"], f"poll {poll!r} has not five fields", f"write it like {POLL!r}")
    return Section(
        job=_job(source, found.get("job")),
        kind=kind,
        description=text("description", ""),
        folders=_flag(found.get("folders")),
        library=_library(found.get("library")),
        scm=scm,
        credentials=_credentials(source, found.get("credentials")),
        keep_builds=_count(keep.get("builds")),
        keep_days=_count(keep.get("days")),
        poll=poll,
    )


def _wrong(node: Node, said: str, hint: str) -> NoReturn:
    facts: dict[str, Any] = node.place.facts()
    raise UsageError(f"{node.place}: jenkins: {said}", hint=hint, **facts)


def _job(source: Source, node: Node | None) -> str:
    """The full name. Jenkins refuses some characters in a name, source: ``Jenkins.checkGoodName``."""
    name = node.text("jenkins: job") if node else PurePosixPath(source.path).stem
    parts = name.split("/")
    known = all(re.fullmatch(r"[^?*/\\%!@#$^&|<>\[\]:;\x00-\x1f\x7f]+", part) for part in parts)
    if known and not any(part != part.strip() or part.endswith(".") for part in parts):
        return name
    hint = "such as team/refresh; no part holds any of ?*\\%!@#$^&|<>[]:; or ends with a dot, or has spaces around it"
    if node is None:
        said = f"{source.path}: no job can be named after it"
        raise UsageError(said, hint=f"name it: `jenkins: {{job: NAME}}`, {hint}", file=source.path)
    _wrong(node, f"{name!r} is no name of a job", hint)


def _library(node: Node | None) -> str:
    name = node.text("jenkins: library") if node else "anka-ci"
    if node is not None and not re.fullmatch(r"[\w.-]+(@[\w./-]+)?", name):
        _wrong(node, f"{name!r} is no library", "write NAME or NAME@VERSION, as it is set up in Jenkins")
    return name


def _scm(node: Node | None) -> Repository | None:
    if node is None:
        return None
    found = node.only(SCM_KEYS, "jenkins: scm")
    if "url" not in found:
        _wrong(node, "scm has no url", "such as https://git.example/team/images.git")
    texts = {key: value.text(f"jenkins: scm: {key}") for key, value in found.items()}
    if re.match(r"\w+://[^/@]*:[^/@]*@", texts["url"]):
        _wrong(found["url"], "the url holds a password", "give `credentials`, the id of credentials in Jenkins")
    return Repository(**texts)


def _credentials(source: Source, node: Node | None) -> dict[str, str]:
    """The id for each secret of the file; its own name where nothing else is said."""
    found = {name: name for name in source.pipeline.secrets}
    for name, value in (node.mapping("jenkins: credentials") if node else {}).items():
        if name not in found:
            _wrong(value, f"credentials: {name} is no secret of the file", "list it under `secrets:` too")
        found[name] = value.text(f"credentials {name}")
    return found


def _count(node: Node | None) -> int | None:
    if node is None:
        return None
    text = node.text("jenkins: keep")
    if not re.fullmatch(r"[1-9][0-9]{0,5}", text):
        _wrong(node, f"keep: {text!r} is no number of builds or days", "a whole number, from 1")
    return int(text)


def _flag(node: Node | None) -> bool:
    if node is None:
        return False
    text = node.text("jenkins: folders")
    if text not in ("true", "false"):
        _wrong(node, f"folders: {text!r} is neither true nor false", "write true or false")
    return text == "true"
