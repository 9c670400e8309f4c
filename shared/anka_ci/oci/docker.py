"""Credentials that ``docker login`` left: the Docker configuration file, and the helpers that it names.

Looked at only when an OCI registry asks who we are and nothing else says it; never written. Source: Docker's pages on
``docker login`` (``auths``, ``credHelpers``, ``credsStore``, and the protocol of ``docker-credential-NAME get``).
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anka_ci import process
from anka_ci.errors import NotFoundError, UsageError
from anka_ci.secret import Secret

HUB = "https://index.docker.io/v1/"
"""What the file calls Docker Hub, whose registry has other names."""
_HUBS = ("docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com")
PATIENCE = 60.0
"""Seconds for a helper, which may have to ask a person or another server."""
_LARGEST = 4 << 20


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """Who we are for one registry: a user with a password, or an ``identity`` token, which is traded for others.

    ``source`` says for people where they were found.
    """

    user: str
    password: Secret
    identity: bool = False
    source: str = ""


def credentials(file: Path, host: str) -> Credentials | None:
    """What ``file`` says of the registry at ``host`` (with its port); None when it says nothing.

    ``UsageError`` for a file that cannot be read, and for a helper that is missing or fails.
    """
    try:
        with file.open("rb") as opened:
            found = json.loads(opened.read(_LARGEST))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, RecursionError) as error:
        why = getattr(error, "strerror", None) or "it is no JSON"
        raise UsageError(f"the Docker configuration {file} cannot be read: {why}", hint=_HINT) from error
    if not isinstance(found, Mapping):
        raise UsageError(f"the Docker configuration {file} is no JSON object", hint=_HINT)
    known = HUB if host in _HUBS else host
    helper = _mapping(found, "credHelpers").get(known) or _mapping(found, "credHelpers").get(host)
    helper = helper or found.get("credsStore")
    if helper:
        got = _ask(str(helper), known, file)
        if got is not None:
            return got
    for key, entry in _mapping(found, "auths").items():
        if key == known or _host(key) == _host(known):
            return _entry(entry, f"{file}, {key}")
    return None


_HINT = "correct it, name another with DOCKER_CONFIG, or sign in with ANKA_REGISTRY_USER"


def _mapping(found: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = found.get(key)
    return value if isinstance(value, Mapping) else {}


def _host(key: str) -> str:
    """Old clients wrote a URL where new ones write the host."""
    return re.sub(r"^https?://", "", key).partition("/")[0].lower()


def _entry(entry: object, source: str) -> Credentials | None:
    if not isinstance(entry, Mapping):
        return None
    if isinstance(entry.get("identitytoken"), str) and entry["identitytoken"]:
        return Credentials(user="", password=Secret(entry["identitytoken"]), identity=True, source=source)
    user, password = str(entry.get("username") or ""), str(entry.get("password") or "")
    if entry.get("auth"):
        try:
            user, colon, password = base64.b64decode(str(entry["auth"]), validate=True).decode().partition(":")
        except (binascii.Error, ValueError) as error:
            raise UsageError(f"{source}: auth is no base64 of USER:PASSWORD", hint=_HINT) from error
        if not colon:
            raise UsageError(f"{source}: auth is no base64 of USER:PASSWORD", hint=_HINT)
        password = password.rstrip("\0")
    return Credentials(user=user, password=Secret(password), source=source) if user else None


def _ask(helper: str, server: str, file: Path) -> Credentials | None:
    """What a helper knows; it is handed the server on its stdin."""
    program = f"docker-credential-{helper}"
    if not re.fullmatch(r"[A-Za-z0-9._-]+", helper):
        raise UsageError(f"{file} names the helper {helper!r}, which is none", hint=_HINT)
    try:
        done = process.run([program, "get"], input=server.encode(), timeout=PATIENCE)
    except NotFoundError as error:
        hint = f"install it, take it out of the file, or {_HINT.partition(', or ')[2]}"
        raise UsageError(f"{file} names the helper {program}, which is not on the PATH", hint=hint) from error
    if done.status != 0:
        said = " ".join((done.stdout or done.stderr).split())
        if "credentials not found" in said:
            return None
        raise UsageError(f"{program} failed ({done.status}): {said[:200]}", hint=_HINT)
    try:
        found = json.loads(done.stdout)
        user, secret = str(found["Username"]), str(found["Secret"])
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{program} answered no JSON with Username and Secret", hint=_HINT) from error
    return Credentials(user=user, password=Secret(secret), identity=user == "<token>", source=program)
