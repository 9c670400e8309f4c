"""The registries that ``registry add`` remembers, and the settings of ``config``.

Kept in the stand-in's own files; a real Anka's ``~/.anka`` is never read or written.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from anka_ci.errors import UsageError
from anka_ci.standin.files import PUT, put
from anka_ci.standin.output import NO_REGISTRY, Failure
from anka_ci.wire.values import check_name

KEPT = ("cacert", "cert", "key", "insecure", "api_key_id", "api_key", "oci_version", "prefix", "user")
"""Connection options that ``registry add`` remembers; ``user`` with its password, as Anka does since 3.9."""


FILES = ("cacert", "cert", "key", "api_key")
"""Those of them that name a file; kept as absolute paths, because commands run in other folders later."""


class Kept:
    """A small JSON file of the stand-in's home."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def read(self) -> dict[str, Any]:
        try:
            found = json.loads(self._file.read_bytes())
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise Failure(f"{self._file}: is no JSON: {error}", hint="correct it, or remove it") from None
        if not isinstance(found, dict):
            raise Failure(f"{self._file}: is no JSON object", hint="correct it, or remove it")
        return found

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """One command at a time changes the file; what one left that was killed over it is removed."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.with_name(f".{self._file.name}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for left in self._file.parent.glob(f"{PUT}{glob.escape(self._file.name)}-*"):
                left.unlink(missing_ok=True)
            yield

    def write(self, found: Mapping[str, Any]) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        put(self._file, json.dumps(found, indent=1).encode(), mode=0o600)


class Remotes:
    """The configured registries: ``{"default": NAME, "registries": {NAME: {"url": …}}}``."""

    def __init__(self, file: Path) -> None:
        self._file, self._kept = file, Kept(file)

    def _read(self) -> dict[str, Any]:
        found = self._kept.read()
        if found and not _ours(found.get("registries")):
            hint = "name another file with ANKA_REGISTRY_REMOTES_FILE_PATH; this one was not changed"
            raise Failure(f"{self._file}: is no list of registries of the stand-in", hint=hint)
        return found

    def all(self) -> dict[str, dict[str, str]]:
        return dict(self._read().get("registries") or {})

    def default(self) -> str | None:
        found = self._read().get("default")
        return found if found in self.all() else None

    def add(self, name: str, url: str, options: Mapping[str, str]) -> None:
        """Remember a registry in place of one of that name; the last one added is the default."""
        check_name(name)
        kept = {key: options[key] for key in KEPT if key in options}
        if "-----BEGIN" in kept.get("api_key", ""):
            raise Failure("a key itself is not kept here", hint="name its file with --api-key")
        kept |= {key: str(Path(kept[key]).absolute()) for key in FILES if key in kept}
        with self._kept.alone():
            self._kept.write({"default": name, "registries": {**self.all(), name: {"url": check_url(url), **kept}}})

    def choose(self, name: str) -> None:
        """Make a remembered registry the default."""
        with self._kept.alone():
            self.url(name)
            self._kept.write({"default": name, "registries": self.all()})

    def remove(self, names: list[str]) -> None:
        with self._kept.alone():
            left, default = self.all(), self.default()
            for name in dict.fromkeys(names):
                self.url(name)
                del left[name]
            chosen = default if default in left else next(reversed(left), None)
            self._kept.write({"default": chosen, "registries": left})

    def url(self, name: str) -> str:
        found = self.all().get(name)
        if found is None:
            raise Failure(f"no registry named {name} is configured", NO_REGISTRY, hint="see `anka registry list-repos`")
        return found["url"]


def _ours(registries: object) -> bool:
    """Whether that is what this room writes: names with what is known of each, all of it text."""
    rows = registries.values() if isinstance(registries, dict) else [None]
    return all(
        isinstance(row, dict) and "url" in row and all(isinstance(each, str) for each in row.values()) for row in rows
    )


def check_url(url: str) -> str:
    """A registry's address without a trailing slash; ``UsageError`` for what is none, or holds who signs in."""
    try:
        parts = urlsplit(url)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets that do not close, a port that is no number
        parts, known = None, False
    if "@" in (parts.netloc if parts else url):  # never repeated: addresses are printed
        hint = "leave it out; options and variables say how to sign in, of an OCI registry it is --user"
        raise UsageError("the registry's URL holds who signs in", hint=hint)
    if not known:
        raise UsageError(f"{url!r} is no URL of a registry", hint="write it like http://anka.internal:8089")
    return url.rstrip("/")
