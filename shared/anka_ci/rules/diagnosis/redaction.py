"""What of a server's answers and of a settings file may go into a report that a person hands on.

Decides by names: what a known secret looks like is the redactor's to know, but a server tells secrets that we have
never seen, such as an instance's VNC password. Reads and writes nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from anka_ci.secret import MASK

HEADERS = {
    "age", "allow", "alt-svc", "cache-control", "connection", "content-encoding", "content-length", "content-type",
    "date", "etag", "expires", "keep-alive", "last-modified", "location", "retry-after", "server",
    "strict-transport-security", "transfer-encoding", "upgrade", "vary", "via", "x-cache", "x-request-id",
}  # fmt: skip
"""Headers whose values are told; of any other only the name, because cookies and the like are secrets."""
SECRET = re.compile(
    r"pass(word|phrase|wd)?$|passw|token|secret|credential|authorization|cookie|private|api.?key|uak|session"
    r"|vnc_connection|(^|[-_])script|metadata|^headers?$|proxy-auth",
    re.IGNORECASE,
)
"""Keys whose values are not told: secrets, and what people put secrets into (scripts, their output, metadata)."""
NAMED = re.compile(r"[-_](env|file|path|name|id)$", re.IGNORECASE)
"""Keys that name where a secret is, and hold none: ``token-env``, ``token-file``."""
MOST = 1 << 20
"""Bytes of one answer that are told."""
BEGINNING = 2000
"""Characters of an answer that is no JSON: enough to tell who answers."""


def headers(found: Mapping[str, str]) -> dict[str, str]:
    """The headers of an answer, the values of unknown ones masked."""
    return {name: value if name.lower() in HEADERS else MASK for name, value in found.items()}


def body(content: bytes) -> object:
    """An answer: as JSON with the values of secret keys masked, else as its first characters."""
    if len(content) > MOST:
        return f"left out: {len(content)} bytes"
    try:
        return tree(json.loads(content))
    except (ValueError, RecursionError):
        return content[: 4 * BEGINNING].decode("utf-8", "replace")[:BEGINNING]


def tree(value: object) -> object:
    """JSON-like data with the values of secret keys masked; one that is empty or a plain yes or no stays."""
    if isinstance(value, dict):
        return {str(key): MASK if _hides(str(key), item) else tree(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [tree(item) for item in value]
    return MASK if isinstance(value, str) and "PRIVATE KEY-----" in value else value


def _hides(key: str, value: object) -> bool:
    return bool(SECRET.search(key)) and not NAMED.search(key) and value not in (None, "", [], {}) and value is not True
