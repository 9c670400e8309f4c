"""The envelope of Anka's REST replies: ``{"status": "OK", "message": "", "body": …}``.

Success is ``OK`` in any case; any other word is failure (FAIL, ERROR and Error have all been sent). Source: Anka Build
Cloud's API documentation, and its 2019 page for ``Error``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_ABSENT = object()


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """A parsed reply. ``body`` is None when it was null or absent."""

    ok: bool
    message: str
    body: Any

    @classmethod
    def read(cls, content: bytes) -> Envelope | None:
        """Parse a reply; None when it is not an envelope at all (an HTML page, a cut-off body, plain text)."""
        try:
            found = json.loads(content)
        except (ValueError, RecursionError):
            return None
        if not isinstance(found, Mapping) or not isinstance(found.get("status"), str):
            return None
        message = found.get("message")
        return cls(
            ok=found["status"].upper() == "OK",
            message=message if isinstance(message, str) else "",
            body=found.get("body"),
        )


def emit_ok(body: Any = _ABSENT, message: str = "") -> bytes:
    """A success; without ``body`` the key is absent (the controller's way), with None it is null (the registry's)."""
    found: dict[str, Any] = {"status": "OK", "message": message}
    if body is not _ABSENT:
        found["body"] = body
    return _dump(found)


def emit_fail(message: str, body: Any = _ABSENT) -> bytes:
    """A failure."""
    found: dict[str, Any] = {"status": "FAIL", "message": message}
    if body is not _ABSENT:
        found["body"] = body
    return _dump(found)


def _dump(found: object) -> bytes:
    return json.dumps(found, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
