"""``anka-ci render``: write the faces of a checkout, or with ``--check`` tell how they differ from what is there.

A face is a file in another language that is rendered from the steps; only files that say so in their first line are
ever replaced or removed.
"""

from __future__ import annotations

import argparse
import difflib
import importlib
import re
from pathlib import Path

from anka_ci.console import Console
from anka_ci.errors import DriftError, NotOursError, UsageError
from anka_ci.render import Faces

MAKERS = ("anka_ci.faces", "anka_ci_actions.faces", "anka_ci_jenkins.faces", "anka_ci.server.openapi")
PARTS = (("actions/README.md", "tokens", "anka_ci_actions.service.permissions"),)
"""Parts of files that people write: the file, the part's name, and the module whose ``table()`` is the part."""
MARK = "by `anka-ci render`"
"""In the first two lines of every face."""
PLACES = ("action.yml", "actions/*/action.yml", "jenkins/vars/*.groovy", "jenkins/vars/*.txt", "shared/*.*")
"""Where faces are; one that nothing makes any more is stale."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--check", action="store_true", help="write nothing; print what differs, and fail if any does")
    parser.add_argument("--checkout", type=Path, metavar="DIR", help="the checkout; found from here when left out")


def main(options: argparse.Namespace, console: Console) -> int:
    """Write or check; ``DriftError`` for faces that differ, ``NotOursError`` for a file in the way."""
    root = checkout(options.checkout)
    part = parts(root)
    wanted = faces() | part
    there = {path: _text(root / path) for path in wanted}
    stale = sorted(path for path in made(root) if path not in wanted)
    changed = [path for path, text in wanted.items() if there[path] != text]
    if options.check:
        for path in changed:
            console.out(_diff(path, there[path], wanted[path]))
        for path in stale:
            console.out(f"stale: {path}\n")
        if changed or stale:
            raise DriftError(
                f"{len(changed) + len(stale)} faces are not as the steps say", hint="run `anka-ci render` and commit"
            )
        console.out(f"{len(wanted)} faces are as the steps say\n")
        return 0
    for path in changed:
        found = there[path]
        if found is not None and path not in part and not _is_made(found):
            raise NotOursError(f"{path} was not made by `anka-ci render`", hint="move it away, then render again")
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(wanted[path], encoding="utf-8")
    for path in stale:
        (root / path).unlink()
    console.out("".join(f"wrote {path}\n" for path in changed) + "".join(f"removed {path}\n" for path in stale))
    console.out(f"{len(wanted)} faces, {len(changed)} written, {len(stale)} removed\n")
    return 0


def checkout(folder: Path | None = None) -> Path:
    """The checkout that ``folder``, or the current one, is in; ``UsageError`` when it is none."""
    start = (folder or Path.cwd()).absolute()
    for place in (start, *start.parents):
        if (place / "shared" / "anka_ci" / "steps").is_dir():
            return place
    raise UsageError(f"{start} is in no checkout of anka-ci", hint="faces belong to the source; give --checkout DIR")


def faces() -> Faces:
    """Every face there has to be."""
    found: Faces = {}
    for maker in MAKERS:
        found |= importlib.import_module(maker).faces()
    return found


def parts(root: Path) -> Faces:
    """The files of a checkout that are rendered in part, whole; ``UsageError`` for one that lost the marks of its part.

    A part stands between ``<!-- NAME: made from … by `anka-ci render`; do not edit -->`` and ``<!-- /NAME -->``.
    """
    found: Faces = {}
    for path, name, module in PARTS:
        text = found.get(path) or _text(root / path)
        if text is None:
            continue
        marks = re.findall(rf"<!-- {name}: made from [^\n]* {MARK}; do not edit -->\n|<!-- /{name} -->\n", text)
        if len(marks) != 2:
            raise UsageError(f"{path} has no part {name!r}", hint="put its two marks back, as `git diff` shows them")
        before, after = text.split(marks[0])[0], text.split(marks[1])[1]
        found[path] = before + marks[0] + importlib.import_module(module).table() + marks[1] + after
    return found


def made(root: Path) -> list[str]:
    """The files of a checkout that say that they were rendered."""
    files = [file for place in PLACES for file in root.glob(place) if file.is_file()]
    return [file.relative_to(root).as_posix() for file in files if _is_made(_text(file) or "")]


def _is_made(text: str) -> bool:
    return any(MARK in line for line in text.split("\n", 2)[:2])


def _text(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8")
    except (FileNotFoundError, UnicodeDecodeError):
        return None


def _diff(path: str, there: str | None, wanted: str) -> str:
    before = [] if there is None else there.splitlines(keepends=True)
    name = path if there is not None else "/dev/null"
    return "".join(difflib.unified_diff(before, wanted.splitlines(keepends=True), name, f"{path} (rendered)"))
