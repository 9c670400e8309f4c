"""What ``doctor`` finds out: the facts about the servers and this host, each asked once, with a short limit.

Reads only, and never raises for what it finds; what the facts mean is decided in ``rules.diagnosis``.
"""

from __future__ import annotations

import dataclasses
import email.utils
import re
from collections.abc import Mapping, Sequence

from anka_ci.anka import Anka
from anka_ci.auth import CERTIFICATE, service_of, tls
from anka_ci.clock import Cancelled, Clock, Deadline
from anka_ci.commands import sign_ins, this_host
from anka_ci.errors import AnkaCiError, InterruptError, NotAuthorisedError, UnreachableError, UsageError
from anka_ci.oci_registry import OciRegistry
from anka_ci.reach import Proxy, Reach, reach
from anka_ci.rules.diagnosis.facts import Client, Read, ServerFacts, Way
from anka_ci.rules.diagnosis.host import HostFacts
from anka_ci.rules.diagnosis.sign_in import refused
from anka_ci.settings import Context
from anka_ci.transport import Transport
from anka_ci.wire.address import Address
from anka_ci.wire.certificate import Certificate
from anka_ci.wire.envelope import Envelope

LIMIT = 30.0
"""Seconds for all that is asked of one server, and again for the ``anka`` command."""
ASKED = 3
"""So many times a server that breaks off is asked whether it wants a client certificate."""
CONTROLLER, REGISTRY, OCI = "the controller", "the registry", "the OCI registry"
STATUS = {CONTROLLER: "/api/v1/status", REGISTRY: "/registry/status"}
READS = {
    CONTROLLER: {
        "list templates": "/api/v1/registry/vm",
        "list nodes": "/api/v1/node",
        "list groups": "/api/v1/group",
        "list distributions": "/api/v1/registry/vm/distribute",
        "list instances": "/api/v1/vm",
        "list saved images": "/api/v1/image",
    },
    REGISTRY: {"list templates": "/registry/v2/vm", "read its disk": "/registry/disk"},
}
"""The reads that tell what we may do; none of them changes anything."""


class Examination:
    """One examination of a context, from one environment, on one clock.

    ``contexts`` begins with it; the others differ in how they sign in, and only that is tried.
    """

    def __init__(self, contexts: Sequence[Context], env: Mapping[str, str], clock: Clock, cancelled: Cancelled) -> None:
        self.context = contexts[0]
        self._contexts = contexts
        self._env = env
        self._clock = clock
        self._cancelled = cancelled
        self._whole = Deadline(clock, self.context.timeout)

    def servers(self) -> list[ServerFacts]:
        """The controller, and every registry that the context names, else the one that the controller reports."""
        found, urls = [], list(self.context.registry_urls)
        if self.context.controller_url:
            found.append(self.server(CONTROLLER, self.context.controller_url))
            status = found[0].status
            if not urls and status is not None and status.registry_url:
                urls = [status.registry_url.rstrip("/")]
        return [*found, *(self.server(REGISTRY, url) for url in urls)]

    def host(self, servers: Sequence[ServerFacts], node: str | None) -> HostFacts:
        """This host, with what the servers told of it; ``node`` is its name among the nodes."""
        return this_host.facts(self._anka(self.context), self._env, servers, node)

    def server(self, what: str, url: str) -> ServerFacts:
        """How far we come with one server."""
        if (address := Address.read(url)) is not None:
            return self._oci(address)
        rest = self._rest(self.context, what, url)
        service = service_of(what)
        seen = self._reach(rest)
        facts = ServerFacts(
            what=what,
            url=url,
            reach=seen,
            signed=sign_ins.words(self.context, service),
            hint=rest.found.hint(),
            now=self._clock.now(),
            clients=self._clients(service),
        )
        if seen.failed in ("name", "connection"):
            return facts
        first = self._read(rest, "status", STATUS[what])
        if not first.status and first.code == UnreachableError.code and not facts.clients:
            first = self._wanted(first, rest, seen)
        facts = dataclasses.replace(facts, first=first)
        if facts.signed and (first.status or first.code in (NotAuthorisedError.code, UsageError.code)):
            nobody = self._rest(sign_ins.alone(self.context, service, None), what, url)
            anonymous = self._read(nobody, "status", STATUS[what])
            facts = dataclasses.replace(facts, anonymous=anonymous, ways=tuple(self._ways(what, url, first)))
        if refused(first):
            facts = dataclasses.replace(facts, provider=self._provider(what, url))
        if not first.allowed:
            return facts
        return dataclasses.replace(facts, reads=tuple(self._reads(rest, what)))

    def _reach(self, rest: Transport) -> Reach:
        return reach(
            rest.url,
            found=rest.found,
            proxy=self._proxy(rest),
            authorities=rest.authorities(),
            clock=self._clock,
            limit=self._whole.left(LIMIT / 3) or 0.001,
        )

    def _oci(self, address: Address) -> ServerFacts:
        """How far we come with an OCI registry, which has only its own API to ask."""
        rest = self._rest(self.context, REGISTRY, address.url)
        facts = ServerFacts(
            what=OCI,
            url=address.emit(),
            reach=self._reach(rest),
            signed=sign_ins.words(self.context, service_of(OCI)),
            now=self._clock.now(),
        )
        if facts.reach.failed in ("name", "connection"):
            return facts
        first = Read(name="status", path="/v2/", ok=True, headers={})
        try:
            OciRegistry(self._anka(self.context), address).status()
        except InterruptError:
            raise
        except AnkaCiError as error:
            first = dataclasses.replace(first, ok=False, failure=error.message, hint=error.hint, code=error.code)
        return dataclasses.replace(facts, first=first)

    def _ways(self, what: str, url: str, first: Read) -> list[Way]:
        """Every way that is configured, tried alone."""
        found: list[Way] = []
        tried: list[object] = []
        service = service_of(what)
        for context in self._contexts:
            kinds = context.of(service).kinds
            for kind in kinds:
                one = sign_ins.alone(context, service, kind)
                sent = sign_ins.parts(one.of(service))
                if sent in tried:
                    continue
                tried.append(sent)
                used = context is self.context
                if used and len(kinds) == 1:
                    read = first
                else:
                    read = self._read(self._rest(one, what, url), "status", STATUS[what])
                found.append(Way(detail=sign_ins.words(one, service), used=used, read=read))
        return found

    def _clients(self, service: str) -> tuple[Client, ...]:
        found = self.context.of(service)
        if found.certificate is None:
            return ()
        detail = sign_ins.words(sign_ins.alone(self.context, service, CERTIFICATE), service)
        try:
            return (Client(detail=detail, certificate=Certificate.read_pem(tls.pair(found)[0])[0]),)
        except (AnkaCiError, ValueError) as error:
            return (Client(detail=detail, failure=f"{detail}: {getattr(error, 'message', error)}"),)

    def _wanted(self, read: Read, rest: Transport, seen: Reach) -> Read:
        """A read that broke because the server wants a client certificate says so; another stays as it is."""
        if seen.tls is None or seen.failed or seen.proxy.url:
            return read
        secure = tls.context(rest.found, rest.authorities())
        # The server's word may be overtaken by the end of the connection, so it is asked for more than once.
        told = next(filter(None, (tls.ask(rest.url, secure) for _ in range(ASKED))), None)
        if told is None:
            more = "if it wants a client certificate, set ANKA_CI_CERTIFICATE and ANKA_CI_KEY"
            return dataclasses.replace(read, hint=f"{read.hint}; {more}")
        hint = "set ANKA_CI_CERTIFICATE and ANKA_CI_KEY, or name their files in the context"
        failure = f"it wants a client certificate ({told})"
        return dataclasses.replace(read, failure=failure, hint=hint, code=NotAuthorisedError.code)

    def _provider(self, what: str, url: str) -> str:
        """The OpenID provider that a server names to everyone; empty when it names none."""
        rest = self._rest(sign_ins.alone(self.context, service_of(what), None), what, url)
        body = self._read(rest, "provider", "/config/v1/auth").body
        oidc = body.get("oidc") if isinstance(body, Mapping) else None
        return str(oidc.get("provider_url") or "") if isinstance(oidc, Mapping) else ""

    def _rest(self, context: Context, what: str, url: str) -> Transport:
        return Transport(url, self._anka(context), what=what)

    def _reads(self, rest: Transport, what: str) -> list[Read]:
        found = []
        for name, path in READS[what].items():
            read = self._read(rest, name, path)
            if read.status == 404 and path == "/registry/v2/vm":  # before 1.13
                read = self._read(rest, name, "/registry/vm")
            found.append(read)
        return found

    def _anka(self, context: Context) -> Anka:
        deadline = Deadline(self._clock, self._whole.left(LIMIT))
        return Anka(context, clock=self._clock, deadline=deadline, cancelled=self._cancelled)

    def _read(self, rest: Transport, name: str, path: str) -> Read:
        self._cancelled.check("doctor")
        sent, started = self._clock.now(), self._clock.monotonic()
        try:
            answer = rest.look(path)
        except InterruptError:
            raise
        except AnkaCiError as error:
            passed = self._clock.monotonic() - started
            return Read(
                name=name,
                path=path,
                failure=error.message,
                hint=error.hint,
                code=error.code,
                sent=sent,
                seconds=passed,
                headers={},
            )
        envelope = Envelope.read(answer.content)
        headers = {key.lower(): value for key, value in answer.headers.items()}
        return Read(
            name=name,
            path=path,
            status=answer.status,
            ok=envelope.ok if envelope else None,
            said=envelope.message if envelope else _said(answer.content),
            sent=sent,
            seconds=self._clock.monotonic() - started,
            date=_date(headers.get("date", "")),
            headers=headers,
            content=answer.content,
            body=envelope.body if envelope else None,
        )

    def _proxy(self, rest: Transport) -> Proxy:
        used = rest.proxy()
        if rest.found.proxy:
            return Proxy(url=used, source="the context")
        scheme = rest.url.split(":")[0]
        names = [f"{scheme}_proxy", f"{scheme.upper()}_PROXY", "all_proxy", "ALL_PROXY"]
        source = next((name for name in names if self._env.get(name)), "")
        if used:
            return Proxy(url=used, source=source or "the system's network settings")
        kept = self._env.get("no_proxy") or self._env.get("NO_PROXY") or ""
        return Proxy(source=source, bypass=kept) if source else Proxy()


def _date(text: str) -> float | None:
    try:
        return email.utils.parsedate_to_datetime(text).timestamp()
    except (TypeError, ValueError, OverflowError):
        return None


def _said(content: bytes) -> str:
    """A reply that is no envelope: the title of a page, else how it begins."""
    text = content[:4000].decode("utf-8", "replace")
    title = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
    line = " ".join((title.group(1) if title else text).split())
    word = f"an HTML page ({line})" if title else line
    return word if len(word) <= 100 else word[:100] + "…"
