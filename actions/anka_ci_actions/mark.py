"""The mark of a workflow file of ours: its first line, a comment.

Text only; nothing is read or written here. Whoever removes the line takes the file over.
"""

from __future__ import annotations

import re

from anka_ci.adapter.jobs import Job, Mark, canonical

_LINE = re.compile(r"# Made from (?P<source>.+) by `anka-ci job` \(sha256 (?P<hash>[0-9a-f]{64})\)(;.*)?")


def put(job: Job) -> str:
    """A job as its file holds it."""
    said = "; change that file, or a template, not this one"
    return f"# Made from {job.mark.source} by `anka-ci job` (sha256 {job.mark.hash}){said}\n{job.text}"


def take(text: str) -> tuple[str, Mark | None]:
    """A file's canonical text without its mark, and the mark; None when it carries none."""
    text = canonical(text)
    first, _, rest = text.partition("\n")
    found = _LINE.fullmatch(first.removeprefix("\ufeff"))
    return (rest, Mark(source=found["source"], hash=found["hash"])) if found else (text, None)
