"""What a REST call came to: the body of the envelope, or the error that the reply or the broken connection tells.

In words for people: what was tried, what came back, and what to do. Nothing is sent here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from anka_ci.auth import tls
from anka_ci.errors import AnkaCiError, NotAuthorisedError, NotFoundError, RefusedError, UnreachableError
from anka_ci.wire.envelope import Envelope

if TYPE_CHECKING:
    from anka_ci.auth import SignIn


class Outcome:
    """Of calls to ``what`` at ``url``, signed in as ``found``.

    ``proxy`` tells which one a URL's requests go through; of the empty URL, those to ``url`` itself.
    """

    def __init__(self, url: str, what: str, found: SignIn, *, proxy: Callable[[str], str]) -> None:
        self._url, self._what, self._found, self._proxy = url, what, found, proxy

    def body(self, asked: str, status: int, content: bytes) -> Any:
        """The envelope's body, None when there is none; raises the error that a reply tells. ``asked`` names the call.

        The envelope is read at every status: Anka's releases differ in which they send with a failure.
        """
        envelope = Envelope.read(content)
        said = envelope.message if envelope else short(content.decode("utf-8", "replace"))
        error: AnkaCiError
        if unsigned(status, content):
            hint = self._found.hint()
            error = NotAuthorisedError(f"{asked}: not signed in ({said or status})", hint=hint, url=self._url)
        elif status == 403:
            hint = "ask for the permission, or use another sign-in"
            error = NotAuthorisedError(f"{asked}: not permitted ({said or status})", hint=hint, url=self._url)
        elif envelope and status < 500:
            if envelope.ok:
                return envelope.body
            error = RefusedError(f"{asked}: {said or 'FAIL without a message'}", said=said, status=status)
        elif status in (404, 405):
            hint = f"is {self._url} the address of {self._what}? An older release may lack the call"
            error = NotFoundError("call", asked, where=self._what, hint=hint, status=status)
        elif 300 <= status < 400:
            error = UnreachableError(f"{asked}: redirected ({status})", hint="name the final address", url=self._url)
        elif status >= 500:
            error = UnreachableError(
                f"{asked}: server error {status}: {said}", hint="see the server's log", url=self._url
            )
        else:
            if wrong := self._mistaken(self._url, content[:2000].decode("utf-8", "replace")):
                raise wrong
            kind = "an HTML page" if b"<html" in content[:2000].lower() else "no Anka reply"
            hint = f"is {self._url} really {self._what}? A proxy or a cut connection may be in between"
            error = UnreachableError(f"{asked}: {kind} came back ({status}): {said}", hint=hint, url=self._url)
        raise error

    def failure(self, text: str, url: str) -> UnreachableError:
        """Why a request to ``url`` got no answer; ``text`` is the error of the connection."""
        if "connect to proxy" in text:
            return self._without_proxy(text)
        if wrong := self._mistaken(url, text):
            return wrong
        if "NameResolutionError" in text or "Name or service not known" in text or "nodename nor servname" in text:
            hint = "the name does not resolve here; check the URL, or name another with ANKA_CI_REGISTRY_URL"
            return UnreachableError(f"{self._what}: {self._url}: unknown host name", hint=hint, url=self._url)
        if "CERTIFICATE" in text or "SSL" in text:
            hint = "name the certificate authority with `ca` or ANKA_CI_CA"
            failed = UnreachableError(f"{self._what}: {self._url}: TLS failed: {short(text)}", hint=hint, url=self._url)
            failed.lasting = "CERTIFICATE_VERIFY_FAILED" in text
            return failed
        if "refused" in text:
            hint = "is it running, and is the port right?"
            return UnreachableError(f"{self._what}: {self._url}: connection refused", hint=hint, url=self._url)
        if "imed out" in text:
            hint = "it is reachable but slow, or a firewall drops the packets"
            return UnreachableError(f"{self._what}: {self._url}: timed out", hint=hint, url=self._url)
        why, hint = short(text), "try again"
        if "RemoteDisconnected" in text:
            why = "it was closed without an answer"
            hint += "; if it speaks TLS, the URL begins with https:" if self._url.startswith("http:") else ""
        return UnreachableError(f"{self._what}: {self._url}: the connection broke: {why}", hint=hint, url=self._url)

    def _mistaken(self, url: str, said: str) -> UnreachableError | None:
        """What to say when a URL says http of a port with TLS, or https of one without; None when it does not."""
        asked = self._url if url.startswith(self._url) else url
        right = None if self._proxy(url) else tls.other_scheme(asked, said)
        if right is None:
            return None
        what = "speaks TLS" if right.startswith("https:") else "speaks no TLS"
        error = UnreachableError(f"{self._what}: {asked}: the port {what}", hint=f"write {right}", url=self._url)
        error.lasting = True
        return error

    def _without_proxy(self, text: str) -> UnreachableError:
        proxy = urlsplit(self._proxy(""))
        place = f"{proxy.hostname}:{proxy.port}" if proxy.port else proxy.hostname
        known = {"NameResolutionError": "unknown host name", "refused": "connection refused", "imed out": "timed out"}
        why = next((said for sign, said in known.items() if sign in text), short(text))
        hint = "check `proxy` or ANKA_CI_PROXY, and HTTP_PROXY, HTTPS_PROXY and NO_PROXY of the environment"
        return UnreachableError(f"{self._what}: {self._url}: the proxy {place}: {why}", hint=hint, url=self._url)


def unsigned(status: int, content: bytes) -> bool:
    """Whether a reply says that the sign-in is missing or over; old releases said so with 200."""
    if status == 401 or b"Authentication Required" not in content[:1000]:
        return status == 401
    envelope = Envelope.read(content)
    return envelope is not None and not envelope.ok and envelope.message == "Authentication Required"


def short(text: str) -> str:
    """One line of at most 200 characters."""
    line = " ".join(text.split())
    return line if len(line) <= 200 else line[:200] + "…"
