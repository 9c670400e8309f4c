"""What ``serve --tls --auth …`` asks for, made ready: TLS, who is let in, and the files that a caller signs in with.

Whatever has to be secret is made once, in the data folder, readable by its owner only; nothing here prints it. Tells
callers the variables that name those files, never what they hold.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from anka_ci.clock import Clock
from anka_ci.errors import UsageError
from anka_ci.secret import Secret
from anka_ci.server import auth, certificates, launcher
from anka_ci.server.groups import Store
from anka_ci.server.issuer import Issuer
from anka_ci.server.keys import FIRST, Keys

LOOPBACK = ("127.0.0.1", "localhost", "::1")
ANYWHERE = ("0.0.0.0", "::")
"""What to listen on to be reached at every address of the machine."""
KEY_FILE = "api-key"


@dataclass(frozen=True, kw_only=True)
class Admission:
    """What is asked for. ``ways`` are those of ``auth.WAYS``.

    With ``tls`` the server shows ``certificate`` (and has its ``key``), or one of its own; client certificates are
    those of ``client_ca``, or of the data folder's own authority.
    ``UsageError`` for a combination that makes no sense, and for listening elsewhere than on loopback without both.
    """

    ways: tuple[str, ...] = ()
    token: Secret | None = None
    tls: bool = False
    certificate: Path | None = None
    key: Path | None = None
    client_ca: Path | None = None

    def __post_init__(self) -> None:
        if self.token is not None:
            auth.checked(self.token, "the settings of the server")
        if (self.certificate is None) != (self.key is None):
            raise UsageError("--cert and --key go together", hint="name both, or neither for one of its own")
        if not self.tls and (self.certificate or self.client_ca):
            raise UsageError("--cert, --key and --client-ca go with --tls")
        if "certificate" in self.ways and not self.tls:
            raise UsageError("client certificates need TLS", hint="add --tls")
        if self.client_ca and "certificate" not in self.ways:
            raise UsageError("--client-ca goes with --auth certificate")

    def check(self, host: str) -> None:
        """Whether the server may listen on ``host``: beyond this machine only with TLS and sign-in."""
        if host not in LOOPBACK and not (self.tls and self.ways):
            hint = "add --tls --auth token, or leave --listen out to serve this machine only"
            raise UsageError(f"listening on {host} needs TLS and sign-in", hint=hint)

    def open(self, data: Path, names: Sequence[str], store: Store, clock: Clock, url: Callable[[], str]) -> Admitted:
        """Make everything ready, for a server of these ``names``; ``url`` is asked for its address when it listens."""
        keys = Keys(store, clock, enabled=not self.ways or "api-key" in self.ways)
        issuer = Issuer(data, clock, url, enabled="oidc" in self.ways)
        found = Admitted(keys=keys, issuer=issuer)
        if self.tls:
            self._secure(found, data, names, clock)
        if not self.ways:
            return found
        token = self.token
        if token is None and "token" in self.ways:
            token = auth.kept_token(data)
            found.variables["token"] = {"ANKA_CI_TOKEN_FILE": str(data / auth.TOKEN_FILE)}
        bearers = []
        if "api-key" in self.ways:
            keys.first(data / KEY_FILE)
            found.variables["api-key"] = {"ANKA_CI_API_KEY_ID": FIRST, "ANKA_CI_API_KEY": str(data / KEY_FILE)}
            bearers.append(keys.admits)
        if "oidc" in self.ways:
            secret = str(issuer.secret_file)
            found.variables["oidc"] = {"ANKA_CI_CLIENT_ID": issuer.client, "ANKA_CI_CLIENT_SECRET_FILE": secret}
            bearers.append(issuer.admits)
        found.gate = auth.Gate(
            token if "token" in self.ways else None, certificates="certificate" in self.ways, bearers=bearers
        )
        found.variables = {way: found.variables[way] for way in self.ways if way in found.variables}
        found.children |= launcher.sign_in(found.gate.node)
        return found

    def _secure(self, found: Admitted, data: Path, names: Sequence[str], clock: Clock) -> None:
        asks = "certificate" in self.ways
        if self.certificate and self.key:
            files = certificates.Files(certificate=self.certificate, key=self.key, client_ca=self.client_ca)
            # Whom to trust for it is not known here, and its names need not be the address that the nodes call.
            found.children["ANKA_STANDIN_INSECURE"] = "1"
        if not (self.certificate and self.key) or (asks and self.client_ca is None):
            own = certificates.files(data, names, clock, client=asks and self.client_ca is None)
            if not (self.certificate and self.key):
                files = own
                found.ca = own.ca
            if asks and self.client_ca is None and own.client and own.client_key:
                found.variables["certificate"] = {
                    "ANKA_CI_CERTIFICATE": str(own.client),
                    "ANKA_CI_KEY": str(own.client_key),
                }
            client_ca = self.client_ca or own.client_ca
        else:
            client_ca = self.client_ca
        found.tls = certificates.context(files, client_ca if asks else None)


@dataclass(kw_only=True)
class Admitted:
    """What is ready. ``gate`` None: everyone is let in; ``tls`` None: plain HTTP. ``ca`` is whom callers have to trust.

    ``variables`` are for each way those with which a caller signs in; ``children`` are what the server's own child
    processes get.
    """

    keys: Keys
    issuer: Issuer
    gate: auth.Gate | None = None
    tls: ssl.SSLContext | None = None
    ca: Path | None = None
    variables: dict[str, dict[str, str]] = field(default_factory=dict)
    children: dict[str, str] = field(default_factory=dict)
