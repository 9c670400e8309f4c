"""How single values are spelt on the wire: times, counts, progress, and the names that may be used at all.

Lenient on the way in (an optional field of an older release is None), strict on the way out.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Mapping
from typing import Any

from anka_ci.errors import UsageError

LONGEST_NAME = 128
NEVER = "0001-01-01T00:00:00Z"
"""The zero time of Go, which Anka's servers send for "never"."""


def text(obj: Mapping[str, Any], *keys: str, default: str = "") -> str:
    """The first of ``keys`` that holds something, as text."""
    for key in keys:
        value = obj.get(key)
        if value is not None and value != "":
            return value if isinstance(value, str) else str(value)
    return default


def integer(obj: Mapping[str, Any], *keys: str) -> int | None:
    """The first of ``keys`` that holds a whole number, also as a numeric string; None otherwise."""
    for key in keys:
        value = obj.get(key)
        if isinstance(value, bool) or value is None:
            continue
        if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
            return int(value)
        if isinstance(value, str) and re.fullmatch(r"-?\d{1,18}", value.strip()):
            return int(value)
    return None


def names(obj: Mapping[str, Any], key: str) -> tuple[str, ...]:
    """A list of texts; None and absence are the empty list (``state_files`` was null in 2021)."""
    value = obj.get(key)
    return tuple(str(item) for item in value) if isinstance(value, (list, tuple)) else ()


def read_time(value: object) -> float | None:
    """RFC 3339 with 0 to 9 fractional digits, or Unix seconds, as Unix seconds; None for never, empty and nonsense."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value) or None
    if not isinstance(value, str) or not value or value.startswith("0001-01-01"):
        return None
    match = re.fullmatch(r"(\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d)(\.\d+)?\s*(Z|z|[+-]\d\d:?\d\d)?", value)
    if not match:
        return None
    zone = (match.group(3) or "Z").upper().replace("Z", "+00:00")
    zone = zone if ":" in zone else f"{zone[:3]}:{zone[3:]}"
    try:
        whole = dt.datetime.fromisoformat(match.group(1).replace("t", "T").replace(" ", "T") + zone)
    except ValueError:
        return None
    return whole.timestamp() + float(match.group(2) or 0)


def retry_after(value: str | None, now: float) -> float | None:
    """The header ``Retry-After``, which is seconds or a date, as seconds from ``now``; None when it is neither."""
    found = (value or "").strip()
    if re.fullmatch(r"[0-9]{1,9}", found):
        return float(found)
    try:
        import email.utils  # which takes longer to load than all of this

        return max(0.0, email.utils.parsedate_to_datetime(found).timestamp() - now)
    except (TypeError, ValueError, IndexError):
        return None


def emit_time(seconds: float) -> str:
    """Unix seconds as RFC 3339 in UTC with microseconds."""
    moment = dt.datetime.fromtimestamp(seconds, dt.timezone.utc)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def emit_share(value: float) -> float | int:
    """Progress from 0 to 1; whole at the ends, because old clients decode it as an integer there."""
    value = min(1.0, max(0.0, value))
    return int(value) if value in (0.0, 1.0) else round(value, 4)


def check_tag(tag: str) -> str:
    """A tag that works everywhere, or ``UsageError``.

    Anka documents no grammar; seen in the field are ``+ : . / _ -`` and letters and digits. Refused is what breaks
    command lines, paths or tables: empty, more than 128 characters, white space, control characters, a leading ``-``,
    and ``.`` or ``..`` as a path part.
    """
    return _check("tag", tag, re.search(r"\s", tag) is not None and "white space")


def check_name(name: str) -> str:
    """A template or VM name that works everywhere, or ``UsageError``; inner spaces are legal."""
    return _check("name", name, (name != name.strip() or re.search(r"[^\S ]", name) is not None) and "white space")


def _check(noun: str, value: str, space: str | bool) -> str:
    wrong: str | bool = False
    if not value:
        wrong = "is empty"
    elif len(value) > LONGEST_NAME:
        wrong = f"is longer than {LONGEST_NAME} characters"
    elif any(ord(char) < 32 or ord(char) == 127 or 0xD800 <= ord(char) < 0xE000 for char in value):
        wrong = "holds a control character"
    elif space:
        wrong = f"holds {space}"
    elif value.startswith("-"):
        wrong = "begins with '-', which commands read as an option"
    elif any(part in (".", "..") for part in value.split("/")):
        wrong = "holds '.' or '..' as a path part"
    if wrong:
        raise UsageError(f"the {noun} {value[:200]!r} {wrong}", hint=f"choose another {noun}")
    return value


def present(**fields: object) -> dict[str, Any]:
    """What is not empty; the number 0 is not empty."""
    return {key: value for key, value in fields.items() if value not in (None, "", [], {})}
