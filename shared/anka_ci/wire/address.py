"""The address of an OCI registry, which is no Anka registry: ``oci://HOST[:PORT]/PREFIX``.

``oci://`` is spoken over https; ``oci+http://`` is for a registry without TLS, as one on the same machine. A template
is the repository ``PREFIX/NAME`` there and its tags are the repository's, as Anka has it since 3.9. Asks no registry.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_SCHEMES = {"oci://": "https://", "oci+http://": "http://"}
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_PART}(?:/{_PART})*")
"""The grammar of the OCI distribution specification."""
LONGEST = 255
"""Characters of a repository that every registry takes."""


@dataclass(frozen=True, kw_only=True)
class Address:
    """``url`` is where the registry answers, ``prefix`` what stands before every template's name; it may be empty."""

    url: str
    prefix: str = ""

    @classmethod
    def read(cls, text: str) -> Address | None:
        """An address; None for one of another kind. ``ValueError`` for a host or a prefix that is none."""
        scheme = next((each for each in _SCHEMES if text.startswith(each)), None)
        if scheme is None:
            return None
        host, _, prefix = text.removeprefix(scheme).partition("/")
        return cls.of(_SCHEMES[scheme] + host, prefix)

    @classmethod
    def of(cls, url: str, prefix: str) -> Address:
        """The same from the URL and the prefix apart, as ``anka registry -r URL -p PREFIX`` has them."""
        url, prefix = url.rstrip("/"), prefix.strip("/")
        if "@" in url:
            raise ValueError("the address of an OCI registry holds no user; a password has no place in it")
        if not re.fullmatch(r"https?://[A-Za-z0-9.\-\[\]:_]+", url):
            raise ValueError(f"{url!r} is no address of an OCI registry; what stands behind the host is the prefix")
        if prefix and not _REPOSITORY.fullmatch(prefix):
            raise ValueError(f"{prefix!r} is no prefix: small letters, digits, and between them . _ - and /")
        return cls(url=url, prefix=prefix)

    def emit(self) -> str:
        """The address in one word."""
        scheme = next(ours for ours, real in _SCHEMES.items() if self.url.startswith(real))
        return scheme + self.url.partition("://")[2] + (f"/{self.prefix}" if self.prefix else "")

    def repository(self, name: str) -> str:
        """A template's repository: ``PREFIX/NAME`` in small letters. ``ValueError`` for a name that cannot be one."""
        found = f"{self.prefix}/{name.lower()}" if self.prefix else name.lower()
        if not _REPOSITORY.fullmatch(found) or len(found) > LONGEST or "/" in name:
            raise ValueError(f"{name!r} is no name of an OCI repository: letters, digits, and between them . _ and -")
        return found


def is_oci(url: str) -> bool:
    """Whether a URL is meant as the address of an OCI registry."""
    return url.startswith(tuple(_SCHEMES))
