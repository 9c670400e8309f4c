"""The only REST client: one ``request`` that owns the retries; what came of each is ``outcome``'s to say.

Retried are reads, and writes known to be idempotent, on connect errors, timeouts, 408, 429 and 5xx, with jittered
back-off inside the total deadline; ``Retry-After`` is honoured. ``~/.netrc`` and ``REQUESTS_CA_BUNDLE`` never override
what was configured; a proxy is taken from the context, else from the environment with ``NO_PROXY``.
"""

from __future__ import annotations

import random
import ssl
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from anka_ci.auth import service_of, sessions, tls
from anka_ci.errors import AnkaCiError, NotAuthorisedError, UnreachableError
from anka_ci.outcome import Outcome, unsigned
from anka_ci.result import Said
from anka_ci.wire import values

if TYPE_CHECKING:
    import requests
    from requests.adapters import HTTPAdapter

    from anka_ci.anka import Anka
    from anka_ci.auth import SignIn
    from anka_ci.auth.sessions import Session

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
        self.found: SignIn = anka.context.of(service_of(what))
        self._anka = anka
        self._session: requests.Session | None = None
        self._signer = signer(self.url, anka, what)
        self._outcome = Outcome(self.url, what, self.found, proxy=self.proxy)

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
        tries: int = TRIES,
        timeout: float = TIMEOUT,
    ) -> Any:
        """One call with its retries. ``params`` that are None are left out; ``body`` goes as JSON.

        ``timeout`` in seconds, for one connect or read of one of the ``tries``.
        """
        asked = f"{method} {self.url}{path}"
        query = {key: str(value) for key, value in (params or {}).items() if value is not None}
        last = ""
        for attempt in range(1, tries + 1):
            self._anka.cancelled.check(asked)
            self._anka.deadline.check(f"{asked} (the last try: {last})" if last else asked)
            try:
                used = self._signer.authorization(self.ask)
                status, headers, content = self._once(method, path, query, body, used, timeout)
            except UnreachableError as error:
                if not idempotent or attempt == tries or error.lasting:
                    raise
                last = error.message
                self._pause(attempt, None)
                continue
            if not unsigned(status, content):
                self._signer.accepted(used)
            elif self._signer.rejected(used) and attempt < tries:  # the session has ended: once more, with a new one
                continue
            if status in _RETRIED and (idempotent or status == 429) and attempt < tries:
                # A FAIL envelope with a 5xx is a passing fault as well: the registry behind a controller, for one.
                last = f"it answered {status}"
                self._pause(attempt, headers.get("Retry-After"))
                continue
            return self._outcome.body(asked, status, content)
        raise AssertionError("the loop returns or raises")

    def look(self, path: str) -> Answer:
        """One GET, tried once, as it came back; ``UnreachableError`` when nothing did."""
        self._anka.cancelled.check(f"GET {self.url}{path}")
        return Answer(*self._once("GET", path, {}, None, self._signer.authorization(self.ask)))

    def ask(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        """One request without any sign-in, tried once, for signing in; also to a provider that is not Anka's."""
        self._anka.cancelled.check(f"{method} {url}")
        self._anka.deadline.check(f"{method} {url}")
        extra = {name: value.reveal() for name, value in self.found.headers} if url.startswith(self.url) else {}
        status, _, content = self._send(method, url, None, headers={**extra, **headers}, data=body or None)
        return status, content

    def proxy(self, url: str = "") -> str:
        """The proxy that requests to this server, or to ``url``, go through; empty when they go straight."""
        from requests.utils import select_proxy

        return select_proxy(url or self.url, self._proxies(url)) or ""

    def authorities(self) -> str:
        """The file of certificate authorities that this server's certificate is checked against."""
        return authorities(self.found)

    def _once(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: Mapping[str, object] | None,
        authorization: str | None,
        timeout: float = TIMEOUT,
    ) -> tuple[int, Mapping[str, str], bytes]:
        extra = {name: value.reveal() for name, value in self.found.headers}
        url = self.url + path
        return self._send(method, url, authorization, timeout, headers=extra, params=query, json=body)

    def _send(
        self, method: str, url: str, authorization: str | None, timeout: float = TIMEOUT, **more: Any
    ) -> tuple[int, Mapping[str, str], bytes]:
        import requests

        session = self._open()
        try:
            with session.request(
                method,
                url,
                # An object of our own, because without one requests looks for a password elsewhere.
                auth=_Signature(authorization),
                timeout=self._anka.deadline.left(timeout) or 0.001,
                allow_redirects=False,
                stream=True,
                verify=self.authorities() if self.found.verify else False,
                proxies=self._proxies(url),
                **more,
            ) as reply:
                content = reply.raw.read(LARGEST, decode_content=True)
                return reply.status_code, reply.headers, content
        except (requests.RequestException, OSError) as error:
            raise self._unreachable(error, url) from error
        except Exception as error:
            # urllib3 raises its own errors when a body ends early; its module is not ours to import.
            if type(error).__module__.split(".")[0] not in ("urllib3", "http"):
                raise
            raise self._unreachable(error, url) from error

    def _open(self) -> requests.Session:
        import requests

        if self._session is None:
            made = requests.Session()
            made.trust_env = False
            if not self.found.verify:  # as it was asked for, so it need not be told each time
                warnings.filterwarnings("ignore", message="Unverified HTTPS request")
            made.headers.update({"Accept": "application/json"})
            if self.found.client_secret is not None:  # the provider may be a public one, or of the same authority
                made.mount("https://", adapter(tls.context(self.found, *both(self.found), present=False)))
            if self.url.startswith("https:"):
                made.mount(self.url, adapter(context(self.found, self._anka)))
            self._session = made
        return self._session

    def _proxies(self, url: str = "") -> dict[str, str]:
        return proxies(url or self.url, self.found)

    def _pause(self, attempt: int, retry_after: str | None) -> None:
        seconds = min(8.0, 0.25 * 2**attempt) * random.uniform(0.5, 1.0)
        asked = values.retry_after(retry_after, self._anka.clock.now())
        seconds = seconds if asked is None else asked
        if seconds >= TOLD:
            text = f"{self.what} asks to come back in {seconds:.0f} s"
            self._anka.tell(Said(text=text, level="warning"))
        self._anka.clock.sleep(self._anka.deadline.left(seconds) or 0.0, self._anka.cancelled)

    def _unreachable(self, error: Exception, url: str) -> AnkaCiError:
        text = str(error)
        ours = "connect to proxy" not in text and url.startswith(self.url)
        refused = refusal(self.url, self.found, self._anka, text) if ours else None
        return refused or self._outcome.failure(text, url)


class _Signature:
    """What requests is handed as the authentication of one request."""

    def __init__(self, authorization: str | None) -> None:
        self._authorization = authorization

    def __call__(self, prepared: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._authorization is not None:
            prepared.headers["Authorization"] = self._authorization
        return prepared


def signer(url: str, anka: Anka, what: str) -> Session:
    """The session for the service at ``url``, which every connection of these doors shares."""
    found, controller = anka.context.of(service_of(what)), anka.context.controller_url
    return anka.signers.once(("session", url, found), lambda: sessions.session(url, found, anka.clock, controller))


def context(found: SignIn, anka: Anka) -> ssl.SSLContext:
    """TLS to a service, which every connection of these doors shares."""
    return anka.signers.once(("tls", found), lambda: tls.context(found, authorities(found)))


def authorities(found: SignIn) -> str:
    """The file of certificate authorities that a service's certificate is checked against."""
    from requests.utils import DEFAULT_CA_BUNDLE_PATH

    return found.ca or DEFAULT_CA_BUNDLE_PATH


def both(found: SignIn) -> tuple[str, ...]:
    """The public authorities, and the one that is configured."""
    from requests.utils import DEFAULT_CA_BUNDLE_PATH

    return (DEFAULT_CA_BUNDLE_PATH, *([found.ca] if found.ca else []))


def proxies(url: str, found: SignIn) -> dict[str, str]:
    """The proxies for a URL by its scheme: the one that is configured, else the environment's, with ``NO_PROXY``."""
    from requests.utils import get_environ_proxies

    if found.proxy:
        return {"http": found.proxy, "https": found.proxy}
    return dict(get_environ_proxies(url))


def refusal(url: str, found: SignIn, anka: Anka, said: str) -> NotAuthorisedError | None:
    """What to say when TLS broke because of the client certificate; None when it broke for another reason."""
    if found.certificate is None or not url.startswith("https:") or "CERTIFICATE_VERIFY_FAILED" in said:
        return None
    alert = tls.alert(said)
    if alert is None and not proxies(url, found):
        bare = tls.context(found, authorities(found), present=False)
        alert = tls.ask(url, context(found, anka), bare)
    if alert is None:
        return None
    return NotAuthorisedError(f"{url}: the client certificate was refused ({alert})", hint=found.hint(), url=url)


def adapter(secure: ssl.SSLContext) -> HTTPAdapter:
    """Has requests use our TLS, whose client certificate is in no file."""
    from requests.adapters import HTTPAdapter

    class Adapter(HTTPAdapter):
        def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
            super().init_poolmanager(*args, **kwargs, ssl_context=secure)

        def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
            return super().proxy_manager_for(*args, **kwargs, ssl_context=secure)

        def build_connection_pool_key_attributes(self, request: Any, verify: Any, cert: Any = None) -> Any:
            host, _ = super().build_connection_pool_key_attributes(request, verify, cert)
            return host, {"ssl_context": secure, "cert_reqs": secure.verify_mode.name}

        def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
            """The context says it all."""

    return Adapter()
