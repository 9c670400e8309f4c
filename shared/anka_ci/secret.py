"""Secrets: values that are never printed, and the redactor that keeps them out of every text.

A secret's text leaves this module only through ``reveal()``.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import quote, quote_plus

MASK = "***"
_URL_PASSWORD = re.compile(r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]{0,30}://)(?P<who>[^\s/@'\"]+)@")


class Secret:
    """A value that prints as ``***`` however it is shown."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return MASK

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __reduce__(self) -> tuple[type[Secret], tuple[str]]:
        return (Secret, (MASK,))


class Redactor:
    """Replaces known secrets and credentials inside URLs by ``***``.

    A secret is found line by line, and inside base64 (at any place), URL-encoded text, JSON and HTML.
    """

    def __init__(self, secrets: Iterable[Secret] = ()) -> None:
        self._known: set[str] = set()
        self.listener: Callable[[list[str]], None] | None = None
        """Told of every text that has to be masked when it is learned, so that a CI system can mask it too."""
        for secret in secrets:
            self.add(secret)

    def add(self, secret: Secret) -> None:
        """Learn one more secret; fewer than three characters would mask ordinary text, so those are left alone."""
        text, before = secret.reveal(), set(self._known)
        lines, least = [line.strip() for line in text.splitlines()], 3
        if "-----BEGIN" in text:
            # A key is secret as one line too; that it begins and ends is not, and its last line may be a few letters.
            lines, least = [line for line in lines if not line.startswith("-----")], 16
            lines.append("".join(lines))
        for part in {text, text.strip(), *lines}:
            if len(part) >= least:
                self._known |= {
                    part,
                    repr(part)[1:-1],
                    json.dumps(part)[1:-1],
                    html.escape(part),
                    html.escape(part, False),
                }
                self._known |= _url_forms(part)
                self._known |= _base64_forms(part)
        learned = self._known - before
        if learned and self.listener is not None:
            self.listener(sorted(learned, key=len, reverse=True))

    @property
    def values(self) -> list[str]:
        """Every text that has to be masked, longest first."""
        return sorted(self._known, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        for value in self.values:
            text = text.replace(value, MASK)
        return _URL_PASSWORD.sub(_without_password, text)

    def tree(self, value: object) -> object:
        """The same JSON-like value with every string redacted, keys included."""
        if isinstance(value, str):
            return self(value)
        if isinstance(value, dict):
            return {self(str(key)): self.tree(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.tree(item) for item in value]
        return value


def _base64_forms(text: str) -> set[str]:
    raw = text.encode()
    forms = {base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode()}
    # `Authorization: Basic` encodes "user:secret": the two user names that Anka's root token is sent with.
    forms |= {base64.b64encode(user + raw).decode() for user in (b"root:", b":")}
    forms |= {core for way in (base64.b64encode, base64.urlsafe_b64encode) for core in _cores(raw, way)}
    return {form.rstrip("=") for form in forms if len(form) >= 8}


def _cores(raw: bytes, encode: Callable[[bytes], bytes]) -> Iterator[str]:
    """What base64 of a longer text has in common wherever the secret stands in it: one form for each of three places.

    A character that also holds bits of what stands before or behind is no part of it.
    """
    for before in range(3):
        start, end = -(-before * 8 // 6), (before + len(raw)) * 8 // 6
        yield encode(bytes(before) + raw).decode()[start:end]


def _url_forms(text: str) -> set[str]:
    forms = {quote(text, safe=""), quote(text), quote_plus(text)}
    return forms | {re.sub("%[0-9A-F]{2}", lambda match: match.group().lower(), form) for form in forms}


def _without_password(found: re.Match[str]) -> str:
    """A URL's beginning without who signs in; ``ssh://git@`` names a user, and such a URL holds no token."""
    plain = found["scheme"].lower() == "ssh://" and ":" not in found["who"]
    return found[0] if plain else f"{found['scheme']}{MASK}@"
