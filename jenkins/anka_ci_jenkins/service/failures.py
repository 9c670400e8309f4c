"""What goes wrong with Jenkins, in the words of the error tree: what was tried, what came back, what to do.

python-jenkins tells most failures by one class and a text; the status is taken from the answer that is behind it.
Nothing here asks a server.
"""

from __future__ import annotations

import re

from anka_ci.errors import AnkaCiError, NotAuthorisedError, NotFoundError, RefusedError, UnreachableError

STARTING = 503
PASSING = (408, 425, 429, 500, 502, 503, 504)
"""Statuses after which a read is tried again."""


def status(error: BaseException) -> int | None:
    """The status of the answer behind an error; None when there was no answer."""
    seen: BaseException | None = error
    while seen is not None:
        found = getattr(getattr(seen, "response", None), "status_code", None)
        if isinstance(found, int):
            return found
        seen = seen.__cause__ or seen.__context__
    found_text = re.search(r"\[(\d{3})\]", str(error))
    return int(found_text[1]) if found_text else None


def reason(error: BaseException) -> str:
    """Why Jenkins refused: its header ``X-Error``, or the beginning of its text, without HTML."""
    seen: BaseException | None = error
    while seen is not None:
        response = getattr(seen, "response", None)
        if response is not None:
            said = response.headers.get("X-Error") or _plain(response.text or "")
            return str(said) or str(response.reason)
        seen = seen.__cause__ or seen.__context__
    return _plain(str(error))


def failure(error: Exception, tried: str, url: str, permission: str, *, job: str = "") -> AnkaCiError:
    """The error for a failed call: ``tried`` says what was tried, ``permission`` what the user needs for it."""
    code = status(error)
    if code == 401:
        hint = "ANKA_CI_JENKINS_USER and ANKA_CI_JENKINS_TOKEN have to be a user and an API token of that user"
        return NotAuthorisedError(f"{tried}: {url} does not know the user or the token (401)", hint=hint, job=job)
    if code == 403:
        said = reason(error)
        hint = f"the user needs the permission {permission}; with none at all, set ANKA_CI_JENKINS_USER and _TOKEN"
        return NotAuthorisedError(f"{tried}: {url} answers 403: {said}", hint=hint, job=job)
    if code == 404 and not job:
        hint = "the address holds the path of Jenkins too, such as https://ci.example/jenkins"
        return UnreachableError(f"{tried}: {url} answers 404", hint=hint)
    if code == 404:
        return NotFoundError("job", job, where=url, hint="it is not there, or the user may not see it")
    if code == STARTING:
        return UnreachableError(f"{tried}: {url} is not ready (503): {reason(error)}", hint="wait until it has started")
    if code is not None and code >= 500:
        hint = "the log of Jenkins tells more; a configuration that it cannot read is answered so too"
        return UnreachableError(f"{tried}: {url} answers {code}: {reason(error)}", hint=hint, job=job)
    if code is not None and code >= 400:
        return RefusedError(f"{tried}: {url} answers {code}: {reason(error)}", job=job)
    hint = "is that the address of Jenkins, and is it up?"
    return UnreachableError(f"{tried}: no usable answer from {url}: {_plain(str(error))}", hint=hint, job=job)


def _plain(text: str) -> str:
    """A text without HTML, on one line, not too long."""
    bare = re.sub(r"(?is)<(script|style|head)\b.*?</\1>|<[^>]*>", " ", text)
    line = re.sub(r"\s+", " ", bare).strip()
    return line if len(line) <= 200 else line[:200] + " …"
