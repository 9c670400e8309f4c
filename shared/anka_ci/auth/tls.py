"""TLS to a service: whom to trust, and the client certificate.

A private key goes to OpenSSL through a pipe and never touches the disk. Nothing here falls back to trusting anyone.
"""

from __future__ import annotations

import contextlib
import os
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit

from anka_ci.auth import SignIn, keys
from anka_ci.errors import UnreachableError, UsageError


def context(found: SignIn, *authorities: str, present: bool = True) -> ssl.SSLContext:
    """TLS that trusts the files ``authorities``, and presents the client certificate unless ``present`` is false.

    ``UnreachableError`` for an authority's file that cannot be used, ``UsageError`` for a client certificate.
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    if found.verify:
        for file in authorities:
            try:
                made.load_verify_locations(file)
            except OSError as error:  # ssl.SSLError is one
                why = error.strerror or "it holds no certificate"
                raise UnreachableError(f"the CA file {file}: {why}", hint="check `ca` or ANKA_CI_CA") from error
    else:
        made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    if present and found.certificate is not None:
        _present(made, found)
    return made


_ALERT = re.compile(r"alert ((?:unknown ca|bad certificate|certificate|unsupported certificate|access denied)[a-z ]*)")

_NO_TLS = re.compile(r"wrong.version.number|unknown.protocol|http.request|record.layer.failure|packet.length", re.I)
"""How OpenSSL says that what came back is no TLS."""
_WANTS_TLS = re.compile(r"sent to HTTPS port|request to an HTTPS server|HTTP to an SSL-enabled|BadStatusLine\('\\x15")
"""What nginx, Go and Apache answer to plain HTTP on a port with TLS, and the alert that others answer."""


def alert(said: str) -> str | None:
    """The server's word against our certificate, in the text of a TLS error; None when that is about something else."""
    match = _ALERT.search(said)
    return match.group(1).strip() if match else None


def ask(url: str, mine: ssl.SSLContext, bare: ssl.SSLContext | None = None) -> str | None:
    """Why the server wants none of our certificate, asked with it and without; None when that is not the trouble.

    Some servers end the connection without a word (which is found out with ``bare``), others say it too late for the
    request that it answers.
    """
    answered, said = _answers(url, mine)
    if answered or (found := alert(said)) is not None:
        return None if answered else found
    without = bare is not None and _answers(url, bare)[0]
    return "it ends every connection with it, and none without" if without else None


def _answers(url: str, secure: ssl.SSLContext) -> tuple[bool, str]:
    """Whether an HTTP reply comes back; the error when none does."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        with socket.create_connection((host, parts.port or 443), timeout=2) as plain:
            with secure.wrap_socket(plain, server_hostname=host) as secured:
                secured.sendall(f"HEAD /livez HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n".encode())
                return secured.recv(5) == b"HTTP/", ""
    except OSError as error:
        return False, str(error)


def other_scheme(url: str, said: str) -> str | None:
    """The URL as it has to be where one side speaks TLS and the other does not; None when that is not the trouble.

    ``said`` is how the connection broke, or what came back.
    """
    if url.startswith("https:"):
        return f"http:{url[6:]}" if _NO_TLS.search(said) else None
    return f"https:{url[5:]}" if url.startswith("http:") and _WANTS_TLS.search(said) else None


def pair(found: SignIn) -> tuple[bytes, bytes]:
    """The client certificate with its chain, and its key (which may be encrypted), both as PEM."""
    assert found.certificate is not None
    if not found.certificate.pem:
        return keys.pkcs12(found.certificate, found.passphrase, "the client certificate")
    certificate = found.certificate.secret.reveal().encode()
    if found.key is None:
        return certificate, certificate
    if found.key.pem:
        return certificate, found.key.secret.reveal().encode()
    return certificate, keys.plain(found.key, found.passphrase, "the client certificate")


def _present(made: ssl.SSLContext, found: SignIn) -> None:
    certificate, key = pair(found)
    passphrase = found.passphrase.reveal() if found.passphrase else ""
    try:
        with _piped(certificate) as first, _piped(key) as second:
            # An empty passphrase, because without one OpenSSL asks the person at the terminal.
            made.load_cert_chain(first, second, passphrase or (lambda: ""))
    except (ssl.SSLError, OSError, ValueError) as error:
        said = str(error)
        where = f" ({', '.join(found.sources)})" if found.sources else ""
        if "MISMATCH" in said or "NO_CERTIFICATE_ASSIGNED" in said:
            raise UsageError(f"the client certificate{where} and its key do not belong together") from None
        if b"ENCRYPTED" in key:
            hint = "set ANKA_CI_PASSPHRASE"
            raise UsageError(
                f"the key of the client certificate{where} is encrypted: wrong passphrase", hint=hint
            ) from None
        if "TOO_WEAK" in said or "TOO_SMALL" in said:
            hint = "have it issued anew with SHA-256 and 2048 bits; Anka takes no SHA-1 since 1.24 either"
            raise UsageError(f"the client certificate{where} is too weak: a digest or key of old", hint=hint) from None
        hint = "it has to be a PEM certificate with its key, or PKCS#12"
        raise UsageError(f"the client certificate{where} cannot be used", hint=hint) from None


@contextlib.contextmanager
def _piped(content: bytes) -> Iterator[str]:
    """A path from which ``content`` can be read once; no file is made."""
    reader, writer = os.pipe()

    def feed() -> None:
        with contextlib.suppress(OSError), os.fdopen(writer, "wb") as out:
            out.write(content)

    thread = threading.Thread(target=feed, daemon=True)
    thread.start()
    try:
        yield f"/dev/fd/{reader}"
    finally:
        os.close(reader)
        thread.join(5)
