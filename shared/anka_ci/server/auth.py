"""Who may call the embedded server: the root token, and what else ``--auth`` names. Off unless it is asked for.

Decides over a request's head alone, before anything reads its body. No credential is ever logged or put into a reply,
and none is compared but with ``hmac.compare_digest``. Source: Anka Build Cloud's authentication pages; the body of a
401 is the one that Anka's own clients compare whole.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import os
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from anka_ci.errors import UsageError
from anka_ci.secret import Secret
from anka_ci.wire.envelope import emit_fail

WAYS = ("token", "certificate", "api-key", "oidc")
"""What ``--auth`` may name."""
REQUIRED = "Authentication Required"
SHORTEST = 10
"""Characters that a root token has at least, as with Anka."""
OPEN = re.compile(r"/livez|/readyz|/tap/v1/(?:hand|shake)|/config/v1/auth|/oidc/.*")
"""The paths that anyone may ask: health, and what signing in itself needs."""
ROOT_USERS = ("root", "")
"""The user names that the root token comes with: the documented one, and that of Anka's GitHub action."""
TOKEN_FILE = "root-token"


@dataclass(frozen=True)
class Refusal:
    """What a caller without a valid sign-in gets: always 401. ``headers`` beside the content's type."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


class Gate:
    """Admits a request or refuses it. ``token`` is the root token, None: that way is off.

    With ``certificates`` a caller may also be known by the verified client certificate; each of ``bearers`` says
    whether it knows the value of a Bearer header. The server's own nodes sign in with ``node``, a secret that is made
    anew at every start and never kept.
    """

    def __init__(
        self,
        token: Secret | None = None,
        *,
        certificates: bool = False,
        bearers: Sequence[Callable[[str], bool]] = (),
    ) -> None:
        self.node = Secret(secrets.token_urlsafe(24))
        self._token = token
        self._certificates = certificates
        self._bearers = tuple(bearers)

    def refusal(
        self, path: str, authorization: Sequence[str], peer: Mapping[str, object] | None = None
    ) -> Refusal | None:
        """Why a request for ``path`` is refused; None when it is admitted.

        ``authorization`` is each such header, ``peer`` the verified client certificate as ``ssl`` tells it. As with
        Anka any valid sign-in has full rights; a wrong header is refused although the certificate is right.
        """
        if OPEN.fullmatch(path):
            return None
        if len(authorization) == 1 and self._known(authorization[0]):
            return None
        if not authorization and self._certificates and person(peer) is not None:
            return None
        if path == "/v2" or path.startswith("/v2/"):
            # Ordinary OCI clients send a name and password only when they are asked for them.
            headers = {"WWW-Authenticate": 'Basic realm="anka-ci"'} if self._token else {}
            body = {"errors": [{"code": "UNAUTHORIZED", "message": REQUIRED}]}
            return Refusal(json.dumps(body).encode(), headers)
        return Refusal(emit_fail(REQUIRED))

    def _known(self, header: str) -> bool:
        scheme, _, value = header.strip().partition(" ")
        if scheme.lower() == "bearer":
            return any(knows(value.strip()) for knows in self._bearers)
        return scheme.lower() == "basic" and self._basic(value.strip())

    def _basic(self, value: str) -> bool:
        decoded = decoded64(value)
        if decoded is None:
            return False
        user, _, password = decoded.partition(b":")
        known = [same(password, secret) for secret in (self.node, self._token) if secret is not None]
        return user.decode("utf-8", "replace") in ROOT_USERS and any(known)


def person(peer: Mapping[str, object] | None) -> tuple[str, tuple[str, ...]] | None:
    """User (CN) and groups (each OU, or else each O) of a verified certificate as Python's ``ssl`` tells it.

    None where there is no certificate, or one without CN or O: Anka wants both.
    """
    subject = (peer or {}).get("subject")
    found: dict[str, list[str]] = {}
    for part in subject if isinstance(subject, tuple) else ():
        for name, value in part:
            found.setdefault(name, []).append(value)
    if not any(found.get("commonName", [])) or not any(found.get("organizationName", [])):
        return None
    groups = found.get("organizationalUnitName") or found["organizationName"]
    return found["commonName"][0], tuple(groups)


def same(given: bytes, secret: Secret) -> bool:
    """Whether ``given`` is the secret, in a time that tells nothing about it."""
    return hmac.compare_digest(given, secret.reveal().encode())


def decoded64(text: str) -> bytes | None:
    """Base64 of either alphabet, with or without its padding; None when it is none."""
    plain = "".join(text.split()).replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None


def ways(names: Sequence[str]) -> tuple[str, ...]:
    """The ways that ``--auth`` names, each once; ``UsageError`` for one that there is not."""
    for name in names:
        if name not in WAYS:
            raise UsageError(f"--auth {name!r} is no way to sign in", hint=f"there is {', '.join(WAYS)}")
    return tuple(dict.fromkeys(names))


def checked(token: Secret, where: str) -> Secret:
    """A root token as it was given; ``UsageError`` for one that Anka would not take either."""
    text = token.reveal()
    if len(text) < SHORTEST or not text.isprintable() or text != text.strip():
        hint = f"Anka wants {SHORTEST} characters at least, in one line without spaces around it"
        raise UsageError(f"the root token in {where} cannot be used", hint=hint)
    return token


def token_of(file: Path) -> Secret:
    """The root token that a file holds."""
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UsageError(f"the token file {file} cannot be read: {why}") from None
    return checked(Secret(text.strip()), str(file))


def kept_token(data: Path) -> Secret:
    """The root token of a data folder, made at the first start and readable by its owner only."""
    file = data / TOKEN_FILE
    if not file.exists():
        keep(file, secrets.token_urlsafe(24).encode() + b"\n")
    return token_of(file)


def keep(file: Path, content: bytes, mode: int = 0o600) -> None:
    """Write a file whole or not at all; nobody but the owner could ever read it when ``mode`` says so."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = file.with_name(f".{file.name}.{os.getpid()}")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as out:
        out.write(content)
    part.replace(file)
