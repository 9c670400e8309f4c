"""X.509 certificates as far as a person needs them: whom they name, who signed them, and until when they hold.

Reads only; checks no signature and trusts nothing (a TLS library does that). Source: RFC 5280, section 4.1.
"""

from __future__ import annotations

import base64
import binascii
import calendar
import re
from collections.abc import Iterator
from dataclasses import dataclass

_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)
_NAMES = {b"\x55\x04\x03": "CN", b"\x55\x04\x0a": "O", b"\x55\x04\x0b": "OU"}
"""Object identifiers 2.5.4.3, .10 and .11: the parts of a name that Anka looks at."""
_TIMES = (0x17, 0x18)
_SEQUENCE, _VERSION = 0x30, 0xA0


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """One certificate. Names are written ``CN=anka, O=ios``; times are seconds since 1970."""

    subject: str
    issuer: str
    not_before: float
    not_after: float

    @classmethod
    def read(cls, der: bytes) -> Certificate:
        """From DER; ``ValueError`` when it is no certificate."""
        try:
            tag, whole = next(_parts(der))
            _, signed = next(_parts(whole))
            fields = [(tag, body) for tag, body in _parts(signed)]
            fields = fields[1:] if fields[0][0] == _VERSION else fields
            _serial, _algorithm, issuer, validity, subject = fields[:5]
            times = [(kind, text) for kind, text in _parts(validity[1]) if kind in _TIMES]
            (first, start), (second, end) = times
        except (StopIteration, IndexError, ValueError) as error:
            raise ValueError("it is no X.509 certificate") from error
        if tag != _SEQUENCE:
            raise ValueError("it is no X.509 certificate")
        return cls(
            subject=_name(subject[1]),
            issuer=_name(issuer[1]),
            not_before=_time(first, start),
            not_after=_time(second, end),
        )

    @classmethod
    def read_pem(cls, text: bytes) -> list[Certificate]:
        """Every certificate of a PEM file, in its order; ``ValueError`` when there is none, or one cannot be read."""
        found = []
        for match in _PEM.finditer(text):
            try:
                found.append(cls.read(base64.b64decode(b"".join(match.group(1).split()), validate=True)))
            except binascii.Error as error:
                raise ValueError(f"its base64 is broken: {error}") from None
        if not found:
            raise ValueError("it holds no PEM certificate")
        return found


def _parts(data: bytes) -> Iterator[tuple[int, bytes]]:
    """The elements of DER, one after the other: tag and content."""
    at = 0
    while at < len(data):
        tag, length = data[at], data[at + 1]
        at += 2
        if length & 0x80:
            count = length & 0x7F
            if not 1 <= count <= 4:
                raise ValueError("a length of DER that is none")
            length = int.from_bytes(data[at : at + count], "big")
            at += count
        if at + length > len(data):
            raise ValueError("DER that ends early")
        yield tag, data[at : at + length]
        at += length


def _name(data: bytes) -> str:
    """A distinguished name: its common name, organisations and units."""
    found = []
    for _, group in _parts(data):
        for _, pair in _parts(group):
            (_, kind), (_, value) = list(_parts(pair))[:2]
            if kind in _NAMES:
                found.append(f"{_NAMES[kind]}={value.decode('utf-8', 'replace')}")
    return ", ".join(found)


def _time(tag: int, text: bytes) -> float:
    """``UTCTime`` (two digits of the year, 1950 to 2049) or ``GeneralizedTime``, both in UTC."""
    digits = text.decode("ascii", "replace").removesuffix("Z")
    if tag == 0x17:
        digits = ("19" if digits[:2] >= "50" else "20") + digits
    if not re.fullmatch(r"\d{14}", digits):
        raise ValueError(f"a time of a certificate that is none: {digits}")
    year, rest = int(digits[:4]), [int(digits[at : at + 2]) for at in range(4, 14, 2)]
    return float(calendar.timegm((year, *rest)))
