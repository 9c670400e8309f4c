"""The only REST client: one ``request`` that owns retries, the envelope and the errors.

Retried are reads, and writes known to be idempotent, on connect errors, timeouts, 408, 429 and 5xx, with jittered
back-off inside the total deadline; ``Retry-After`` is honoured. ``~/.netrc`` and ``REQUESTS_CA_BUNDLE`` never override
what was configured; a proxy is taken from the context, else from the environment with ``NO_PROXY``.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from anka_ci import auth
from anka_ci.errors import (
    AnkaCiError,
    NotAuthorisedError,
    NotFoundError,
    RefusedError,
    UnreachableError,
)
from anka_ci.result import Said
from anka_ci.wire import values
from anka_ci.wire.envelope import Envelope

if TYPE_CHECKING:
    import requests

    from anka_ci.anka import Anka

TRIES = 5
TIMEOUT = 30.0
"""Seconds for one connect or read; the vendor's Java client waits as long."""
LARGEST = 256 << 20
"""Bytes of a reply that are still read."""
TOLD = 10.0
"""Seconds of a pause from which on it is told."""
_RETRIED = {408, 425, 429, 500, 502, 503, 504}


class Answer(NamedTuple):
    """A reply as it came, whatever its status: for diagnosis."""

    status: int
    headers: Mapping[str, str]
    content: bytes


class Transport:
    """REST calls to one server. Every method returns the envelope's body (None when there is none) or raises.

    ``UnreachableError``: no usable answer. ``NotAuthorisedError``: 401 or 403. ``NotFoundError``: a plain 404, so the
    server does not offer the call. ``RefusedError``: a FAIL envelope; its ``message`` fact is Anka's own text.
    """

    def __init__(self, url: str, anka: Anka, *, what: str) -> None:
        self.url = url.rstrip("/")
        self.what = what
        self._anka = anka
        self._session: requests.Session | None = None

    def get(self, path: str, **params: object) -> Any:
        return self.request("GET", path, params=params, idempotent=True)

    def post(self, path: str, body: Mapping[str, object], *, idempotent: bool = False) -> Any:
        return self.request("POST", path, body=body, idempotent=idempotent)

    def delete(
        self, path: str, *, params: Mapping[str, object] | None = None, body: Mapping[str, object] | None = None
    ) -> Any:
        return self.request("DELETE", path, params=params, body=body)

    def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, object] | None = None,
        body: Mapping[str, object] | None = None,
        idempotent: bool = False,
    ) -> Any:
        """One call with its retries. ``params`` that are None are left out; ``body`` goes as JSON."""
        asked = f"{method} {self.url}{path}"
        query = {key: str(value) for key, value in (params or {}).items() if value is not None}
        last = ""
        for attempt in range(1, TRIES + 1):
            self._anka.cancelled.check(asked)
            self._anka.deadline.check(f"{asked} (the last try: {last})" if last else asked)
            try:
                status, headers, content = self._once(method, path, query, body)
            except UnreachableError as error:
                if not idempotent or attempt == TRIES:
                    raise
                last = error.message
                self._pause(attempt, None)
                continue
            if status in _RETRIED and (idempotent or status == 429) and attempt < TRIES:
                # A FAIL envelope with a 5xx is a passing fault as well: the registry behind a controller, for one.
                last = f"it answered {status}"
                self._pause(attempt, headers.get("Retry-After"))
                continue
            return self._body(asked, status, content)
        raise AssertionError("the loop returns or raises")

    def look(self, path: str) -> Answer:
        """One GET, tried once, as it came back; ``UnreachableError`` when nothing did."""
        self._anka.cancelled.check(f"GET {self.url}{path}")
        return Answer(*self._once("GET", path, {}, None))

    def proxy(self) -> str:
        """The proxy that requests to this server go through; empty when they go straight."""
        from requests.utils import select_proxy

        return select_proxy(self.url, self._proxies()) or ""

    def authorities(self) -> str:
        """The file of certificate authorities that this server's certificate is checked against."""
        from requests.utils import DEFAULT_CA_BUNDLE_PATH

        return self._anka.context.ca or DEFAULT_CA_BUNDLE_PATH

    def _once(
        self, method: str, path: str, query: Mapping[str, str], body: Mapping[str, object] | None
    ) -> tuple[int, Mapping[str, str], bytes]:
        import requests

        session = self._open()
        try:
            with session.request(
                method,
                self.url + path,
                params=query,
                json=body,
                timeout=self._anka.deadline.left(TIMEOUT) or 0.001,
                allow_redirects=False,
                stream=True,
                verify=self._anka.context.ca or True,
                proxies=self._proxies(),
            ) as reply:
                content = reply.raw.read(LARGEST, decode_content=True)
                return reply.status_code, reply.headers, content
        except requests.RequestException as error:
            raise self._unreachable(error) from error
        except OSError as error:  # a CA file that is not there
            raise UnreachableError(f"{self.what} at {self.url}: {error}", hint="check `ca` or ANKA_CI_CA") from error
        except Exception as error:
            # urllib3 raises its own errors when a body ends early; its module is not ours to import.
            if type(error).__module__.split(".")[0] not in ("urllib3", "http"):
                raise
            raise self._unreachable(error) from error

    def _open(self) -> requests.Session:
        import requests

        if self._session is None:
            self._session = requests.Session()
            self._session.trust_env = False
            self._session.headers.update({"Accept": "application/json", **auth.headers(self._anka.context)})
        return self._session

    def _proxies(self) -> dict[str, str]:
        from requests.utils import get_environ_proxies

        if self._anka.context.proxy:
            return {"http": self._anka.context.proxy, "https": self._anka.context.proxy}
        return dict(get_environ_proxies(self.url))

    def _pause(self, attempt: int, retry_after: str | None) -> None:
        seconds = min(8.0, 0.25 * 2**attempt) * random.uniform(0.5, 1.0)
        asked = values.retry_after(retry_after, self._anka.clock.now())
        seconds = seconds if asked is None else asked
        if seconds >= TOLD:
            text = f"{self.what} asks to come back in {seconds:.0f} s"
            self._anka.tell(Said(text=text, level="warning"))
        self._anka.clock.sleep(self._anka.deadline.left(seconds) or 0.0, self._anka.cancelled)

    def _unreachable(self, error: Exception) -> UnreachableError:
        text = str(error)
        if "NameResolutionError" in text or "Name or service not known" in text or "nodename nor servname" in text:
            hint = "the name does not resolve here; check the URL, or name another with ANKA_CI_REGISTRY_URL"
            return UnreachableError(f"{self.what}: {self.url}: unknown host name", hint=hint, url=self.url)
        if "CERTIFICATE" in text or "SSL" in text:
            hint = "name the certificate authority with `ca` or ANKA_CI_CA, and check http against https"
            return UnreachableError(f"{self.what}: {self.url}: TLS failed: {_short(text)}", hint=hint, url=self.url)
        if "refused" in text:
            hint = "is it running, and is the port right?"
            return UnreachableError(f"{self.what}: {self.url}: connection refused", hint=hint, url=self.url)
        if "imed out" in text:
            hint = "it is reachable but slow, or a firewall drops the packets"
            return UnreachableError(f"{self.what}: {self.url}: timed out", hint=hint, url=self.url)
        return UnreachableError(
            f"{self.what}: {self.url}: the connection broke: {_short(text)}", hint="try again", url=self.url
        )

    def _body(self, asked: str, status: int, content: bytes) -> Any:
        envelope = Envelope.read(content)
        said = envelope.message if envelope else _short(content.decode("utf-8", "replace"))
        error: AnkaCiError
        if status == 401 or (envelope and not envelope.ok and said == "Authentication Required"):
            hint = "set ANKA_CI_TOKEN to the root token" if self._anka.context.token is None else "check the token"
            error = NotAuthorisedError(f"{asked}: not signed in ({said or status})", hint=hint, url=self.url)
        elif status == 403:
            hint = "ask for the permission, or use another sign-in"
            error = NotAuthorisedError(f"{asked}: not permitted ({said or status})", hint=hint, url=self.url)
        elif envelope and status < 500:
            if envelope.ok:
                return envelope.body
            error = RefusedError(f"{asked}: {said or 'FAIL without a message'}", said=said, status=status)
        elif status in (404, 405):
            hint = f"is {self.url} the address of {self.what}? An older release may lack the call"
            error = NotFoundError("call", asked, where=self.what, hint=hint, status=status)
        elif 300 <= status < 400:
            error = UnreachableError(f"{asked}: redirected ({status})", hint="name the final address", url=self.url)
        elif status >= 500:
            error = UnreachableError(
                f"{asked}: server error {status}: {said}", hint="see the server's log", url=self.url
            )
        else:
            kind = "an HTML page" if b"<html" in content[:2000].lower() else "no Anka reply"
            hint = f"is {self.url} really {self.what}? A proxy or a cut connection may be in between"
            error = UnreachableError(f"{asked}: {kind} came back ({status}): {said}", hint=hint, url=self.url)
        raise error


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 200 else line[:200] + "…"
