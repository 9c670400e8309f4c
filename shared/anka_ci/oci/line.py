"""One line to one server: a request goes out, its reply comes in, through a proxy and TLS where they are.

A body goes from file to socket inside the kernel where it can; nothing is in memory whole. A proxy is taken from the
context, else from the environment. Signs nothing in, tries nothing again and judges no status.
"""

from __future__ import annotations

import contextlib
import http.client
import ssl
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote, urljoin, urlsplit

from anka_ci import transport
from anka_ci.auth import REGISTRY, sessions, tls
from anka_ci.errors import AnkaCiError, UnreachableError
from anka_ci.oci.body import Source
from anka_ci.secret import Secret

if TYPE_CHECKING:
    from anka_ci.anka import Anka


class Line:
    """The line to the server at ``url``, opened when it is needed. Not for use by two threads at once.

    One that is not ``own`` is another host's, which gets neither our headers nor our client certificate.
    """

    def __init__(self, url: str, anka: Anka, *, own: bool) -> None:
        self.url = url.rstrip("/")
        self.parts = urlsplit(self.url)
        self._anka = anka
        self._found = anka.context.of(REGISTRY)
        self._own = own
        self._connection: http.client.HTTPConnection | None = None

    @contextlib.contextmanager
    def exchange(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | Source, timeout: float
    ) -> Iterator[http.client.HTTPResponse]:
        """Send a request and hand out the reply; the line is kept only when that was read to its end.

        ``UnreachableError`` when none came, ``NotAuthorisedError`` when the client certificate was refused.
        """
        connection, prefix = self._open(timeout)
        target = urlsplit(urljoin(self.url + "/", path))
        wanted = prefix + target.path + (f"?{target.query}" if target.query else "")
        clean = False
        try:
            try:
                connection.putrequest(method, wanted, skip_accept_encoding=True)
                for key, value in headers.items():
                    connection.putheader(key, value)
                connection.endheaders()
                broken = self._send(connection, body)
                try:
                    reply = connection.getresponse()
                except (OSError, http.client.HTTPException) as error:
                    raise broken or error from None
            except (OSError, http.client.HTTPException) as error:
                raise self.unreachable(error) from error
            yield reply
            clean = reply.isclosed() and broken is None
        finally:
            if not clean:
                self.close()

    def unreachable(self, error: BaseException) -> AnkaCiError:
        """The error of a line that broke, which is closed with it."""
        self.close()
        said = str(error) or type(error).__name__
        if self._own and (refused := transport.refusal(self.url, self._found, self._anka, said)):
            return refused
        hint = "is it running, and is the address right?"
        plain = "WRONG_VERSION_NUMBER" in said or "record layer failure" in said
        if plain:
            hint = "it speaks no TLS there: write http:// in its address, or oci+http:// for an OCI registry"
        failed = UnreachableError(f"{self.url}: {said}", hint=hint, url=self.url)
        failed.lasting = plain or "CERTIFICATE_VERIFY_FAILED" in said
        return failed

    def _send(self, connection: http.client.HTTPConnection, body: bytes | Source) -> OSError | None:
        """Send a body. A connection that breaks may still hold the reason as a reply, so that is read first."""
        try:
            if isinstance(body, bytes):
                if body:
                    connection.send(body)
                return None
            while body.offset < body.end:
                self._anka.cancelled.check("pushing")
                body.send(connection.sock)
        except OSError as error:
            return error
        return None

    def standing(self, authorization: str | None = None) -> dict[str, str]:
        """The headers that every request has."""
        found = {name: value.reveal() for name, value in self._found.headers} if self._own else {}
        if authorization is not None:
            found["Authorization"] = authorization
        proxy = self._proxy()
        if proxy and self.parts.scheme == "http" and proxy.username:
            found["Proxy-Authorization"] = _proxy_password(proxy)
        return found

    def _open(self, timeout: float) -> tuple[http.client.HTTPConnection, str]:
        """The open connection, and what stands before a path: a plain proxy wants the whole URL."""
        parts, proxy = self.parts, self._proxy()
        prefix = f"{parts.scheme}://{parts.netloc}" if proxy and parts.scheme == "http" else ""
        if self._connection is None:
            host, port = parts.hostname or "", parts.port
            if proxy:
                host, port = proxy.hostname or "", proxy.port
            if parts.scheme == "https":
                secure = self._secure()
                self._connection = http.client.HTTPSConnection(host, port, timeout=timeout, context=secure)
                if proxy:
                    extra = {"Proxy-Authorization": _proxy_password(proxy)} if proxy.username else None
                    self._connection.set_tunnel(parts.hostname or "", parts.port or 443, extra)
            else:
                self._connection = http.client.HTTPConnection(host, port, timeout=timeout)
        self._connection.timeout = timeout
        if self._connection.sock is not None:
            self._connection.sock.settimeout(timeout)
        return self._connection, prefix

    def _secure(self) -> ssl.SSLContext:
        """TLS to this server; where it is not the registry's own, as to anyone: without our certificate."""
        if self._own:
            return transport.context(self._found, self._anka)
        found = self._found
        return self._anka.signers.once(
            ("tls", found, "others"), lambda: tls.context(found, *transport.both(found), present=False)
        )

    def _proxy(self) -> SplitResult | None:
        known = transport.proxies(self.url, self._found)
        found = known.get(self.parts.scheme) or known.get("all")
        return urlsplit(found if "://" in found else f"http://{found}") if found else None

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _proxy_password(proxy: SplitResult) -> str:
    return sessions.basic(unquote(proxy.username or ""), Secret(unquote(proxy.password or "")))
