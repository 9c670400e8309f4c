"""A sign-in out of layers: a step's inputs, the environment, the settings file, in this order.

The first layer that names a way to sign in decides which it is; what that way still lacks may come from a layer below.
Two ways in one layer are an error. Reads the files that are named, and nothing else.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from anka_ci.auth import API_KEY, AUTH_TOKEN, OIDC, TOKEN, USER, Material, SignIn
from anka_ci.errors import UsageError
from anka_ci.secret import Secret

WAYS = {
    TOKEN: ("token",),
    API_KEY: ("api-key-id", "api-key"),
    OIDC: ("client-id", "client-secret"),
    USER: ("user",),
    AUTH_TOKEN: ("auth-token",),
}
"""The ways of which there can be one only, because each fills the header ``Authorization``."""
CERTIFICATE_KEYS = ("certificate", "key", "passphrase")
REACH_KEYS = ("ca", "proxy", "headers")
KEYS = (*(key for keys in WAYS.values() for key in keys), *CERTIFICATE_KEYS, *REACH_KEYS)
SECRET_KEYS = ("token", "key", "passphrase", "api-key", "client-secret", "user", "auth-token", "headers")
_NAMES = {
    TOKEN: "the root token",
    API_KEY: "an API key",
    OIDC: "an OpenID client",
    USER: "a user",
    AUTH_TOKEN: "a registry's token",
}
_LARGEST = 1 << 20
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


@dataclass(frozen=True, kw_only=True)
class Given:
    """One value as it was given: its text, or the file that holds it. ``source`` says for people where."""

    source: str
    text: str = ""
    file: str = ""


Layer = Mapping[str, Given]


def environment(env: Mapping[str, str], prefix: str) -> dict[str, Given]:
    """What the environment says: ``ANKA_CI_API_KEY``, or the file that ``ANKA_CI_API_KEY_FILE`` names.

    ``UsageError`` when both are set, because only a person knows which is the old one. ``ANKA_CI_CA`` is the path of a
    file already, so that there is no ``ANKA_CI_CA_FILE``.
    """
    found = {}
    for key in KEYS:
        name = prefix + key.replace("-", "_").upper()
        file = env.get(f"{name}_FILE")
        if file and key == "ca":
            raise UsageError(f"{name}_FILE is no variable", hint=f"{name} itself is the path of the file: set that one")
        if env.get(name) and file:
            raise UsageError(f"{name} and {name}_FILE are both set", hint="leave one of them out")
        if env.get(name):
            found[key] = Given(source=name, text=env[name])
        elif file:
            found[key] = Given(source=f"{name}_FILE", file=file)
    return found


def named(layers: Sequence[Layer]) -> bool:
    """Whether any layer names a way to sign in."""
    keys = {key for each in WAYS.values() for key in each} | {"certificate", "key"}
    return any(key in layer for layer in layers for key in keys)


def sign_in(layers: Sequence[Layer], *, reach: Sequence[Layer] | None = None) -> SignIn:
    """The sign-in that the layers say; ``reach`` are the layers for CA, proxy and headers when they are others.

    ``UsageError`` for two ways at once, for a way that lacks a part, and for a file or value that cannot be used.
    """
    way = _way(layers)
    found = {key: _first(layers, key) for key in (WAYS[way] if way else ())}
    for key, value in found.items():
        if value is None:
            other = next(each.source for each in found.values() if each is not None)
            variable = "ANKA_CI_" + key.replace("-", "_").upper()
            raise UsageError(f"{other} is given, but no {key}", hint=f"set {variable}, or name it in the settings")
    found |= {key: _first(layers, key) for key in CERTIFICATE_KEYS}
    found |= {key: _first(layers if reach is None else reach, key) for key in REACH_KEYS}
    certificate = _material(found["certificate"])
    private: Material | None = None
    if certificate is None:
        if found["key"] is not None:
            raise UsageError(f"{found['key'].source} is given, but no certificate", hint="set ANKA_CI_CERTIFICATE")
    elif certificate.pem and "PRIVATE KEY" not in certificate.secret.reveal():
        private = _material(found["key"])
        if private is None and found["certificate"] is not None:
            hint = "set ANKA_CI_KEY to it or to its file, or give both in one PEM or PKCS#12 file"
            raise UsageError(f"{found['certificate'].source} holds no private key", hint=hint)
    headers = _headers(found["headers"])
    if way and any(name.lower() == "authorization" for name, _ in headers):
        raise UsageError(f"two ways to sign in: {_NAMES[way]}, and the header Authorization", hint="leave one out")
    user = _secret(found.get("user"))
    if user is not None and (given := found["user"]) is not None and not re.match(r"[^:]+:", user.reveal()):
        raise UsageError(
            f"{given.source} is not USER:PASSWORD", hint="write the user, a colon, and the password or token"
        )
    token = _secret(found.get("auth-token"))
    if token is not None and (given := found["auth-token"]) is not None and not re.fullmatch("[!-~]+", token.reveal()):
        hint = "it is one word; some tools print it as JSON, or with what is around it"
        raise UsageError(f"{given.source} is no token", hint=hint)
    used = [*(WAYS[way] if way else ()), *(("certificate", "key") if certificate else ())]
    sources = tuple(dict.fromkeys(each.source for name in used if (each := found[name]) is not None))
    return SignIn(
        token=_secret(found.get("token")),
        certificate=certificate,
        key=private,
        passphrase=_secret(found["passphrase"]),
        api_key_id=_text(found.get("api-key-id")),
        api_key=_material(found.get("api-key")),
        client_id=_text(found.get("client-id")),
        client_secret=_secret(found.get("client-secret")),
        user=user,
        auth_token=token,
        ca=_text(found["ca"]),
        proxy=_text(found["proxy"]),
        headers=headers,
        sources=sources,
    )


def _way(layers: Sequence[Layer]) -> str | None:
    for layer in layers:
        ways = {
            way: next(layer[key] for key in keys if key in layer) for way, keys in WAYS.items() if {*keys} & {*layer}
        }
        if len(ways) > 1:
            told = " and ".join(f"{_NAMES[way]} ({given.source})" for way, given in ways.items())
            raise UsageError(f"more than one way to sign in: {told}", hint="leave all but one out")
        if ways:
            return next(iter(ways))
    return None


def _first(layers: Sequence[Layer], key: str) -> Given | None:
    return next((layer[key] for layer in layers if key in layer), None)


def _read(given: Given) -> bytes:
    file = Path(given.file).expanduser()
    try:
        with file.open("rb") as opened:
            content = opened.read(_LARGEST)
    except OSError as error:
        raise UsageError(f"{given.source}: the file {file} cannot be read: {error.strerror}") from error
    if not content.strip():
        raise UsageError(f"{given.source}: the file {file} is empty")
    return content


def _text(given: Given | None) -> str | None:
    if given is None:
        return None
    if not given.file:
        return given.text.strip()
    try:
        return _read(given).decode().strip()
    except UnicodeDecodeError:
        raise UsageError(f"{given.source}: the file {given.file} cannot be read: it is not UTF-8 text") from None


def _secret(given: Given | None) -> Secret | None:
    text = _text(given)
    return None if text is None else Secret(text)


def _material(given: Given | None) -> Material | None:
    """PEM text, base64, or a file that holds PEM or something binary."""
    if given is None:
        return None
    text = given.text.strip()
    if given.file or (len(text) < 1024 and "\n" not in text and "-----" not in text and _is_file(text)):
        place = given.file or text
        content = _read(Given(source=given.source, file=place))
        if b"-----BEGIN" in content:
            return Material(secret=Secret(content.decode("utf-8", "replace")), file=str(Path(place).expanduser()))
        if _is_base64(content):
            return Material(secret=Secret("".join(content.decode().split())))
        return Material(secret=Secret(base64.b64encode(content).decode()), file=str(Path(place).expanduser()))
    if "-----BEGIN" in text:
        return Material(secret=Secret(_lines(text)))
    if _is_base64(text.encode()):
        return Material(secret=Secret("".join(text.split())))
    shown = f" {text!r}" if len(text) < 256 and text.startswith(("/", "~", ".")) else ""
    raise UsageError(f"{given.source}{shown} is neither PEM text, nor base64, nor a file that is there")


def _is_file(text: str) -> bool:
    try:
        return Path(text).expanduser().is_file()
    except (OSError, RuntimeError, ValueError):
        return False


def _is_base64(content: bytes) -> bool:
    try:
        return len(base64.b64decode(b"".join(content.split()), validate=True)) >= 32
    except (binascii.Error, ValueError):
        return False


def _lines(text: str) -> str:
    """PEM whose line ends a form or a secret store has turned into spaces or ``\\n``, with its lines again."""
    if "\n" in text:
        return text + "\n"
    found = re.findall(r"(-----BEGIN [A-Z0-9 ]+-----)(.*?)(-----END [A-Z0-9 ]+-----)", text.replace("\\n", " "))
    blocks = (f"{begin}\n{textwrap.fill(''.join(body.split()), 64)}\n{end}\n" for begin, body, end in found)
    return "".join(blocks) or text


def _headers(given: Given | None) -> tuple[tuple[str, Secret], ...]:
    """A JSON object, or a line ``Name: value`` each."""
    text = _text(given)
    if not text or given is None:
        return ()
    pairs: list[tuple[str, object]]
    if text.startswith("{"):
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            raise UsageError(f"{given.source}: the headers are no JSON object") from None
        pairs = list(found.items())
    else:
        pairs = [
            (name, value) for name, _, value in (line.partition(":") for line in text.splitlines() if line.strip())
        ]
    checked = []
    for name, value in pairs:
        name, value = name.strip(), str(value).strip()
        if not _HEADER.fullmatch(name) or not value or not value.isprintable() or not value.isascii():
            raise UsageError(f"{given.source}: {name[:40]!r} is no header with a value", hint="write it Name: value")
        if name.lower() in ("host", "content-length", "transfer-encoding", "connection"):
            raise UsageError(f"{given.source}: the header {name} is not yours to set")
        checked.append((name, Secret(value)))
    return tuple(checked)
