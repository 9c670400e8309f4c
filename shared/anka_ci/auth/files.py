"""The sign-in for the ``anka`` command, which takes a certificate and keys only as files.

What came from a file that the command can read is handed on as that file. Anything else is written into a folder that
only its owner can enter, and which goes when the command has ended, even when this process is killed. No secret is ever
on a command line. Source: Anka's command-line reference (``--cert``, ``--key``, ``ANKA_REGISTRY_API_KEY``).
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from anka_ci import process
from anka_ci.auth import Material, SignIn, keys, tls


@dataclass(frozen=True, kw_only=True)
class Handed:
    """What a command gets: ``options`` between ``registry`` and its sub-command, and variables."""

    options: tuple[str, ...] = ()
    variables: dict[str, str] = field(default_factory=dict)


@contextlib.contextmanager
def handed(found: SignIn) -> Iterator[Handed]:
    """The sign-in as the command takes it, while inside."""
    options = ["--cacert", found.ca] if found.ca else []
    options += [] if found.verify else ["--insecure"]
    variables = {"ANKA_CA_BUNDLE": found.ca} if found.ca else {}
    # These are read by the stand-in; Anka's own command has no way to use them.
    if found.token is not None:
        variables["ANKA_CI_TOKEN"] = found.token.reveal()
    if found.client_secret is not None:
        variables["ANKA_CI_CLIENT_ID"] = found.client_id or ""
        variables["ANKA_CI_CLIENT_SECRET"] = found.client_secret.reveal()
    known = {"ANKA_REGISTRY_USER": found.user, "ANKA_REGISTRY_AUTH_TOKEN": found.auth_token}  # Anka's own since 3.9
    if any(known.values()):  # one of them; the other may be there for something else
        there = {name: value.reveal() if value else "" for name, value in known.items() if value or name in os.environ}
        variables |= there
    if found.headers:
        variables["ANKA_CI_HEADERS"] = json.dumps({name: value.reveal() for name, value in found.headers})
    with contextlib.ExitStack() as opened:
        place: list[Path] = []

        def put(name: str, content: bytes) -> str:
            if not place:
                place.append(opened.enter_context(process.guarded("anka-ci-keys-")))
            return _write(place[0] / name, content)

        if found.certificate is not None:
            if _readable(found.certificate) and _plain(found.key or found.certificate):
                certificate = str(found.certificate.file)
                key = str((found.key or found.certificate).file)
            else:
                pems = _unlocked(found)
                certificate, key = put("certificate.pem", pems[0]), put("key.pem", pems[1])
            options += ["--cert", certificate, "--key", key]
        if found.api_key is not None:
            variables["ANKA_REGISTRY_API_KEY_ID"] = found.api_key_id or ""
            if _plain(found.api_key):
                variables["ANKA_REGISTRY_API_KEY"] = str(found.api_key.file)
            else:
                pem = keys.plain(found.api_key, found.passphrase, f"API key {found.api_key_id}")
                variables["ANKA_REGISTRY_API_KEY"] = put("api-key.pem", pem)
        yield Handed(options=tuple(options), variables=variables)


def _readable(material: Material) -> bool:
    return material.file is not None and material.pem


def _plain(material: Material) -> bool:
    return _readable(material) and "ENCRYPTED" not in material.secret.reveal()


def _unlocked(found: SignIn) -> tuple[bytes, bytes]:
    """Certificate and key as PEM, the key without a passphrase: the command cannot be told one."""
    certificate, key = tls.pair(found)
    if b"ENCRYPTED" not in key:
        return certificate, key
    from anka_ci.secret import Secret

    material = Material(secret=Secret(key.decode()))
    return certificate, keys.plain(material, found.passphrase, "the client certificate")


def _write(file: Path, content: bytes) -> str:
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
        out.write(content)
    return str(file)
