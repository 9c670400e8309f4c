"""Quantities as people write and read them: durations, sizes, shares.

Pure text and numbers; which input wants which is not known here.
"""

from __future__ import annotations

import re


class Duration(float):
    """Seconds. Written ``90s``, ``30m``, ``2h``, ``1d``, ``1h30m``, or a plain number of seconds."""


class Size(int):
    """Bytes. Written ``512MiB``, ``10GiB``, ``1.5GB``, or a plain number of bytes."""


class Percent(float):
    """A share from 0 to 100. Written ``50%`` or ``50``."""


_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_SIZES = {
    unit + suffix: base**power
    for power, unit in enumerate(("", "k", "m", "g", "t", "p"))
    for suffix, base in (("ib", 1024), ("b", 1000), ("i", 1024))
    if unit or suffix == "b"
}


def duration(text: str) -> Duration:
    """``1h30m``, ``90s`` or ``90`` as seconds."""
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return Duration(text)
    parts = re.findall(r"(\d+(?:\.\d+)?)\s*([smhd])", text)
    if not parts or not re.fullmatch(r"(\s*\d+(\.\d+)?\s*[smhd])+\s*", text):
        raise ValueError(f"{text!r} is not a duration; write 90s, 30m, 2h or 1h30m")
    return Duration(sum(float(number) * _UNITS[unit] for number, unit in parts))


def size(text: str) -> Size:
    """``512MiB``, ``1.5GB`` or ``4096`` as bytes."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([a-zA-Z]*)", text)
    unit = match.group(2).lower() if match else "?"
    if not match or (unit and unit not in _SIZES):
        raise ValueError(f"{text!r} is not a size; write 512MiB, 10GiB or a number of bytes")
    return Size(float(match.group(1)) * _SIZES.get(unit, 1)) if unit or "." in text else Size(match.group(1))


def percent(text: str) -> Percent:
    """``50%`` or ``50`` as a share of 100."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%?", text)
    if not match or float(match.group(1)) > 100:
        raise ValueError(f"{text!r} is not a percentage from 0 to 100")
    return Percent(match.group(1))


def show_duration(seconds: float) -> str:
    """Seconds as people write them: ``45s``, ``30m``, ``1h30m``."""
    rest = round(seconds)
    if rest < 1:
        return f"{seconds:g}s"
    parts = []
    for unit in "dhms":
        count, rest = divmod(rest, _UNITS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)


def show_size(count: float) -> str:
    """Bytes as people read them: ``512 B``, ``1.5 MiB``, ``26 GiB``."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if count < 1024 or unit == "TiB":
            break
        count /= 1024
    return f"{count:.0f} {unit}" if unit == "B" or count >= 100 else f"{count:.1f} {unit}"
