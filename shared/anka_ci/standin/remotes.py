"""The registries that ``registry add`` remembers, the settings of ``config``, and which registry a command means.

Kept in the stand-in's own files; a real Anka's ``~/.anka`` is never read or written.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from anka_ci.anka import Anka
from anka_ci.auth import SignIn
from anka_ci.auth.gather import Given, sign_in
from anka_ci.auth.gather import environment as gather_environment
from anka_ci.clock import Cancelled, Deadline, SystemClock
from anka_ci.errors import UsageError
from anka_ci.settings import PREFIX, REGISTRY_PREFIX, Context
from anka_ci.standin.files import put
from anka_ci.standin.output import NO_REGISTRY, Failure
from anka_ci.standin.words import Words

KEPT = ("cacert", "cert", "key", "insecure", "api_key_id", "api_key")
"""Connection options that ``registry add`` remembers."""
OPTIONS = {"cacert": "ca", "cert": "certificate", "key": "key", "api_key_id": "api-key-id", "api_key": "api-key"}
VARIABLES = {
    "ANKA_CA_BUNDLE": "ca",
    "ANKA_REGISTRY_API_KEY_ID": "api-key-id",
    "ANKA_REGISTRY_API_KEY": "api-key",
}


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
        return found if isinstance(found, dict) else {}

    def write(self, found: Mapping[str, Any]) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        put(self._file, json.dumps(found, indent=1).encode())


class Remotes:
    """The configured registries: ``{"default": NAME, "registries": {NAME: {"url": …}}}``."""

    def __init__(self, home: Path) -> None:
        self._kept = Kept(home / "registries.json")

    def all(self) -> dict[str, dict[str, str]]:
        return dict(self._kept.read().get("registries") or {})

    def default(self) -> str | None:
        found = self._kept.read().get("default")
        return found if found in self.all() else None

    def add(self, name: str, url: str, options: Mapping[str, str]) -> None:
        """Remember a registry; the last one added is the default."""
        kept = {key: options[key] for key in KEPT if key in options}
        if "-----BEGIN" in kept.get("api_key", ""):
            raise Failure("a key itself is not kept here", hint="name its file with --api-key")
        self._kept.write({"default": name, "registries": {**self.all(), name: {"url": check_url(url), **kept}}})

    def choose(self, name: str) -> None:
        """Make a remembered registry the default."""
        self.url(name)
        self._kept.write({"default": name, "registries": self.all()})

    def remove(self, names: list[str]) -> None:
        left = self.all()
        for name in names:
            self.url(name)
            del left[name]
        default = self.default()
        self._kept.write({"default": default if default in left else next(reversed(left), None), "registries": left})

    def url(self, name: str) -> str:
        found = self.all().get(name)
        if found is None:
            raise Failure(f"no registry named {name} is configured", NO_REGISTRY, hint="see `anka registry list-repos`")
        return found["url"]


def check_url(url: str) -> str:
    """A registry's address without a trailing slash."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"{url!r} is no URL of a registry", hint="write it like http://anka.internal:8089")
    return url.rstrip("/")


def connect(remotes: Remotes, words: Words, environment: Mapping[str, str], cancelled: Cancelled) -> Anka:
    """The doors to the registry that a command means: ``-a``, ``-r``, ``ANKA_REGISTRY``, or the default."""
    options: Mapping[str, str] = {}
    remote, url = words.get("remote"), words.get("registry_path")
    if url is None and remote is not None:
        known = remotes.all().get(remote)
        options = known or {}
        url = remote if known is None and "://" in remote else remotes.url(remote)
    url = url or environment.get("ANKA_REGISTRY")
    if not url:
        default = remotes.default()
        if default is None:
            hint = "name one with `--remote URL`, ANKA_REGISTRY or `anka registry add NAME URL`"
            raise Failure("No registry configured", NO_REGISTRY, hint=hint)
        options = remotes.all()[default]
        url = options["url"]
    url = check_url(url)
    found = sign_in(_layers(words.values, options, environment))
    context = Context(
        **{field.name: getattr(found, field.name) for field in dataclasses.fields(SignIn) if field.name != "verify"},
        registry_urls=(url,),
        verify=not (words.flag("insecure") or "insecure" in options or environment.get("ANKA_STANDIN_INSECURE") == "1"),
    )
    clock = SystemClock()
    return Anka(context, clock=clock, deadline=Deadline(clock, None), cancelled=cancelled)


def _layers(
    words: Mapping[str, str], remembered: Mapping[str, str], environment: Mapping[str, str]
) -> list[dict[str, Given]]:
    """How to sign in: by the options, by those that are remembered, by Anka's variables, and by those of anka-ci."""
    found = []
    for source in (words, remembered):
        layer = {}
        for option, key in OPTIONS.items():
            if source.get(option):
                spelling = "--" + option.replace("_", "-")
                file = option in ("cert", "key")
                text = source[option]
                layer[key] = Given(source=spelling, file=text) if file else Given(source=spelling, text=text)
        found.append(layer)
    anka = {}
    for name, key in VARIABLES.items():
        if environment.get(name):
            anka[key] = Given(source=name, text=environment[name])
    return [*found, anka, gather_environment(environment, REGISTRY_PREFIX), gather_environment(environment, PREFIX)]
