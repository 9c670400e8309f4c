"""How a server is reached, one layer after the other: its name, a connection, TLS. For diagnosis only.

No request is sent (REST calls are ``transport``'s), and nothing is trusted because of what is found here.
"""

from __future__ import annotations

import base64
import http.client
import re
import socket
import ssl
from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import unquote, urlsplit

from anka_ci.auth import SignIn
from anka_ci.auth import tls as shaking
from anka_ci.clock import Clock
from anka_ci.errors import UnreachableError, UsageError
from anka_ci.wire.certificate import Certificate

LIMIT = 10.0
"""Seconds for a connection, and again for a TLS handshake."""

Layer = Literal["", "name", "connection", "tls"]


@dataclass(frozen=True, kw_only=True)
class Proxy:
    """The way through proxies. ``url`` is the proxy (empty: none), ``source`` says who named it.

    ``bypass`` is the value of ``NO_PROXY`` that keeps a proxy of the environment out of it.
    """

    url: str = ""
    source: str = ""
    bypass: str = ""


@dataclass(frozen=True, kw_only=True)
class Tls:
    """A TLS handshake. ``failure`` is why the certificate is not trusted, empty when it is.

    ``certificate`` is the server's own, None when it cannot be read; ``authorities`` the file of trusted ones, empty
    when nothing is checked.
    """

    version: str
    authorities: str
    certificate: Certificate | None = None
    failure: str = ""


@dataclass(frozen=True, kw_only=True)
class Reach:
    """How far we come to a server. ``failed`` is the layer that failed and ``failure`` why; both empty when none did.

    ``addresses`` are those of the server, or of the proxy. ``seconds`` is the time that the connection took.
    """

    host: str
    port: int
    secure: bool
    proxy: Proxy
    addresses: tuple[str, ...] = ()
    seconds: float | None = None
    tls: Tls | None = None
    failed: Layer = ""
    failure: str = ""


def reach(url: str, *, found: SignIn, proxy: Proxy, authorities: str, clock: Clock, limit: float = LIMIT) -> Reach:
    """Go as far as possible to the server at ``url``; never raises for what is found on the way.

    TLS is as the sign-in wants it: with its client certificate, where that can be used.
    """
    parts, way = urlsplit(url), urlsplit(proxy.url)
    host, secure = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if secure else 80)
    first = (way.hostname or "", way.port or 80) if proxy.url else (host, port)
    seen = Reach(host=host, port=port, secure=secure, proxy=proxy)
    try:
        rows = socket.getaddrinfo(first[0], first[1], type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        return replace(seen, failed="name", failure=f"{first[0]}: {_why(error)}")
    seen = replace(seen, addresses=tuple(dict.fromkeys(str(row[4][0]) for row in rows)))
    started = clock.monotonic()
    try:
        connection = http.client.HTTPConnection(*first, timeout=limit)
        if proxy.url and secure:
            connection.set_tunnel(host, port, headers=_greeting(proxy.url))
        connection.connect()
    except (OSError, http.client.HTTPException) as error:
        return replace(seen, failed="connection", failure=_why(error))
    seen = replace(seen, seconds=clock.monotonic() - started)
    try:
        if not secure:
            return seen
        tls = _handshake(connection.sock, host, authorities, found)
        if tls.failure and tls.certificate is None:  # the failed handshake has used the connection up
            connection.close()
            connection.connect()
            version, certificate = _unchecked(connection.sock, host)
            tls = replace(tls, version=version, certificate=certificate)
    except (OSError, http.client.HTTPException) as error:
        return replace(seen, failed="tls", failure=_why(error))
    finally:
        connection.close()
    return replace(seen, tls=tls, failed="tls" if tls.failure else "", failure=tls.failure)


def _greeting(proxy: str) -> dict[str, str]:
    parts = urlsplit(proxy)
    if parts.username is None:
        return {}
    words = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return {"Proxy-Authorization": "Basic " + base64.b64encode(words.encode()).decode()}


def _handshake(plain: socket.socket, host: str, authorities: str, found: SignIn) -> Tls:
    """A handshake that checks the certificate; the reason when that fails."""
    try:
        context = _context(found, authorities)
    except UnreachableError as error:
        return Tls(version="", authorities=authorities, failure=error.message)
    try:
        with context.wrap_socket(plain, server_hostname=host) as secured:
            return Tls(
                version=secured.version() or "",
                authorities=authorities if found.verify else "",
                certificate=_read(secured.getpeercert(binary_form=True)),
            )
    except ssl.SSLCertVerificationError as error:
        return Tls(version="", authorities=authorities, failure=error.verify_message)


def _context(found: SignIn, authorities: str) -> ssl.SSLContext:
    try:
        return shaking.context(found, authorities)
    except UsageError:  # a client certificate that cannot be used is told elsewhere
        return shaking.context(found, authorities, present=False)


def _unchecked(plain: socket.socket, host: str) -> tuple[str, Certificate | None]:
    """The version and the certificate of a server that is not trusted; nothing is sent to it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with context.wrap_socket(plain, server_hostname=host) as secured:
        return secured.version() or "", _read(secured.getpeercert(binary_form=True))


def _read(der: bytes | None) -> Certificate | None:
    try:
        return Certificate.read(der or b"")
    except ValueError:
        return None


def _why(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(re.sub(r"\[[A-Z]+: [A-Z0-9_]+\]|\(_ssl\.c:\d+\)", "", str(text)).split())  # OpenSSL's own marks
