"""The embedded server over TLS: its own authority, client certificates, and where it may listen."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from anka_ci import settings
from anka_ci.anka import Anka
from anka_ci.clock import ManualClock
from anka_ci.errors import NotAuthorisedError, UnreachableError, UsageError
from anka_ci.secret import Secret
from anka_ci.server import certificates
from anka_ci.server.app import Server
from anka_ci.server.auth import person
from anka_ci.settings import Context

TOKEN = "a root token of the tests"


@pytest.fixture(scope="module")
def secure(seeded: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with TLS that takes the root token and client certificates of its own authority."""
    data = tmp_path_factory.mktemp("secure") / "data"
    shutil.copytree(seeded, data, symlinks=True)
    with Server(data, nodes=1, tls=True, auth=["token", "certificate"], token=Secret(TOKEN)) as server:
        yield server


def doors(server: Server, **env: str) -> Anka:
    """The doors of someone with these variables."""
    address = {"ANKA_CI_CONTROLLER_URL": server.controller_url, "ANKA_CI_REGISTRY_URL": server.registry_url}
    context = settings.load({"HOME": "/nowhere", "ANKA_CI_ANKA": server.anka, **address, **env})
    return Anka(context, clock=ManualClock())


def trusted(server: Server, **env: str) -> Anka:
    return doors(server, ANKA_CI_CA=str(server.ca), **env)


def raw(
    server: Server,
    *lines: str,
    certificate: bool = False,
    path: str = "/api/v1/status",
    context: ssl.SSLContext | None = None,
) -> tuple[int, bytes]:
    """A request head by hand, over TLS."""
    address = urlsplit(server.controller_url)
    context = context or ssl.create_default_context(cafile=str(server.ca))
    if certificate:
        mine = server.sign_in["certificate"]
        context.load_cert_chain(mine["ANKA_CI_CERTIFICATE"], mine["ANKA_CI_KEY"])
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=10) as plain:
        with context.wrap_socket(plain, server_hostname=address.hostname) as connection:
            host = [] if any(line.startswith("Host:") for line in lines) else [f"Host: {address.netloc}"]
            head = [f"GET {path} HTTP/1.1", "Connection: close", *host, *lines, "", ""]
            connection.sendall("\r\n".join(head).encode())
            found = b""
            while block := connection.recv(65536):
                found += block
    return int(found.split(b" ")[1]), found.partition(b"\r\n\r\n")[2]


def test_its_own_authority_is_trusted_when_it_is_named(secure: Server) -> None:
    assert secure.controller_url.startswith("https://127.0.0.1:")
    assert "Running" == trusted(secure, ANKA_CI_TOKEN=TOKEN).controller.status().status
    with pytest.raises(UnreachableError, match="TLS failed"):
        doors(secure, ANKA_CI_TOKEN=TOKEN).controller.status()


def test_a_client_certificate_signs_in(secure: Server) -> None:
    mine = secure.sign_in["certificate"]
    anka = trusted(secure, **mine)
    assert ["sonoma"] == [row.name for row in anka.registry.templates()]
    assert 200 == raw(secure, certificate=True)[0]
    both = "".join(Path(mine[name]).read_text() for name in ("ANKA_CI_CERTIFICATE", "ANKA_CI_KEY"))
    assert "Running" == trusted(secure, ANKA_CI_CERTIFICATE=both).registry.status().status
    template = anka.registry.template("sonoma")
    assert 0 < anka.host.download_size(template.id, "v1", secure.registry_url).download
    assert anka.registry.config(template, template.newest)["name"] == "sonoma"  # over the data plane


def test_without_one_tls_works_and_the_answer_is_401(secure: Server) -> None:
    assert (401, b'{"status":"FAIL","message":"Authentication Required"}\n') == raw(secure)
    assert 401 == raw(secure, path="/v2/")[0]
    assert 401 == raw(secure, "Authorization: Basic cm9vdDp4", certificate=True)[0], "a wrong header is no certificate"
    with pytest.raises(NotAuthorisedError, match="Authentication Required") as caught:
        trusted(secure).registry.templates()
    assert "ANKA_CI_CERTIFICATE" in caught.value.hint
    template = trusted(secure, ANKA_CI_TOKEN=TOKEN).registry.template("sonoma")
    with pytest.raises(NotAuthorisedError):
        trusted(secure).host.download_size(template.id, "v1", secure.registry_url)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates of this test")
def test_certificates_of_others_and_old_ones_are_refused(secure: Server, tmp_path: Path) -> None:
    def openssl(words: str) -> None:
        subprocess.run(["openssl", *words.split()], cwd=tmp_path, check=True, capture_output=True)

    tls = Path(secure.data) / "tls"
    openssl("ecparam -genkey -name prime256v1 -noout -out key.pem")
    openssl("req -x509 -new -key key.pem -days 1 -subj /O=anka-ci/CN=anka-ci -out foreign.pem")
    openssl("req -new -key key.pem -subj /CN=nobody -out nobody.csr")
    ca = f"-CA {tls / 'ca.pem'} -CAkey {tls / 'ca.key'} -set_serial 7"
    openssl(f"x509 -req -in nobody.csr {ca} -days 1 -out nobody.pem")
    openssl(f"x509 -req -in nobody.csr {ca} -days -1 -out old.pem")
    openssl(f"x509 -req -in nobody.csr {ca} -days 1 -sha1 -out weak.pem")
    for name in ("foreign", "old"):
        for door in ("controller", "registry"):
            anka = trusted(
                secure, ANKA_CI_CERTIFICATE=str(tmp_path / f"{name}.pem"), ANKA_CI_KEY=str(tmp_path / "key.pem")
            )
            with pytest.raises(NotAuthorisedError, match="client certificate was refused") as caught:
                getattr(anka, door).status()
            assert ("check the client certificate" in caught.value.hint, 5) == (True, caught.value.code)
    with pytest.raises(UsageError, match="is too weak"):
        trusted(
            secure, ANKA_CI_CERTIFICATE=str(tmp_path / "weak.pem"), ANKA_CI_KEY=str(tmp_path / "key.pem")
        ).registry.status()
    context = ssl.create_default_context(cafile=str(secure.ca))
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    context.load_cert_chain(tmp_path / "weak.pem", tmp_path / "key.pem")
    with pytest.raises((OSError, ValueError, IndexError)):  # the server ends the handshake, and answers nothing
        raw(secure, context=context)
    anka = trusted(secure, ANKA_CI_CERTIFICATE=str(tmp_path / "nobody.pem"), ANKA_CI_KEY=str(tmp_path / "key.pem"))
    with pytest.raises(NotAuthorisedError, match="Authentication Required"):
        anka.controller.status()


def test_passphrases_pkcs12_and_pairs_that_do_not_fit(secure: Server, tmp_path: Path) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.serialization import pkcs12

    mine = secure.sign_in["certificate"]
    certificate, file = (Path(mine[name]).read_bytes() for name in ("ANKA_CI_CERTIFICATE", "ANKA_CI_KEY"))
    key = serialization.load_pem_private_key(file, None)
    sealed = serialization.BestAvailableEncryption(b"open sesame")
    form = serialization.PrivateFormat.PKCS8
    locked = key.private_bytes(serialization.Encoding.PEM, form, sealed).decode()
    bag = pkcs12.serialize_key_and_certificates(
        b"anka-ci", key, x509.load_pem_x509_certificate(certificate), None, sealed
    )
    (tmp_path / "mine.p12").write_bytes(bag)
    ways = [
        {"ANKA_CI_CERTIFICATE": certificate.decode(), "ANKA_CI_KEY": locked},
        {"ANKA_CI_CERTIFICATE": str(tmp_path / "mine.p12")},
    ]
    for env in ways:
        anka = trusted(secure, **env, ANKA_CI_PASSPHRASE="open sesame")
        assert "Running" == anka.controller.status().status
        for wrong in ({}, {"ANKA_CI_PASSPHRASE": "open barley"}):
            with pytest.raises(UsageError, match="passphrase") as caught:
                trusted(secure, **env, **wrong).controller.status()
            assert "barley" not in str(caught.value.emit())
    anka = trusted(secure, **ways[1], ANKA_CI_PASSPHRASE="open sesame")  # which the command gets without it
    assert 0 < anka.host.download_size(anka.registry.template("sonoma").id, "v1", secure.registry_url).download
    other = (Path(secure.data) / "tls" / "server.key").read_text()
    with pytest.raises(UsageError, match="do not belong together"):
        trusted(secure, ANKA_CI_CERTIFICATE=certificate.decode(), ANKA_CI_KEY=other).controller.status()
    text = "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----"
    with pytest.raises(UsageError, match="cannot be used"):
        trusted(secure, ANKA_CI_CERTIFICATE=text, ANKA_CI_KEY=file.decode()).controller.status()


def test_pages_of_another_origin_over_tls(secure: Server) -> None:
    netloc = urlsplit(secure.controller_url).netloc
    assert 200 == raw(secure, f"Origin: https://{netloc}", certificate=True)[0]
    for line in (f"Origin: http://{netloc}", "Origin: https://evil.example", "Sec-Fetch-Site: cross-site"):
        assert 403 == raw(secure, line, certificate=True)[0]
    assert 403 == raw(secure, "Host: evil.example", certificate=True)[0]


def test_the_nodes_and_the_launcher_trust_the_server(secure: Server) -> None:
    from anka_ci.desk import perform

    anka = Anka(trusted(secure, ANKA_CI_TOKEN=TOKEN).context)
    assert "done" == perform("distribute", {"template": "sonoma", "tag": "base", "all": "true"}, anka).status


def test_who_a_certificate_is() -> None:
    def peer(*pairs: tuple[str, str]) -> dict[str, object]:
        return {"subject": tuple((pair,) for pair in pairs)}

    user, one, two, unit = (
        ("commonName", "me"),
        ("organizationName", "a"),
        ("organizationName", "b"),
        "organizationalUnitName",
    )
    assert ("me", ("a", "b")) == person(peer(user, one, two))
    assert ("me", ("c",)) == person(peer(user, one, (unit, "c")))
    for wrong in (None, {}, peer(user), peer(one), peer(user, (unit, "c")), peer(("commonName", ""), one)):
        assert person(wrong) is None


def test_the_authority_is_kept_and_its_certificates_are_renewed(tmp_path: Path) -> None:
    clock = ManualClock()
    first = certificates.files(tmp_path, ["localhost"], clock, client=False)
    assert (first.ca, 0o600) == (tmp_path / "tls" / "ca.pem", first.key.stat().st_mode & 0o777)
    assert 0o700 == (tmp_path / "tls").stat().st_mode & 0o777
    before = (first.ca.read_bytes(), first.certificate.read_bytes())

    def again(*names: str) -> tuple[bool, bool]:
        found = certificates.files(tmp_path, names, clock, client=False)
        assert found.ca is not None
        return before[0] == found.ca.read_bytes(), before[1] == found.certificate.read_bytes()

    assert (True, True) == again("localhost")
    assert (True, False) == again("localhost", "build.local")
    first.certificate.write_bytes(before[1])
    clock.advance(370 * 86400)
    assert (True, False) == again("localhost")
    first.ca.write_text("no certificate")
    with pytest.raises(UsageError, match="cannot be used"):
        again("localhost")


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "build.example", "::"])
def test_beyond_loopback_both_are_needed(tmp_path: Path, host: str) -> None:
    for asked in ({}, {"tls": True}, {"auth": ["token"]}):
        with pytest.raises(UsageError, match="needs TLS and sign-in"):
            Server(tmp_path, host=host, **asked)
    server = Server(tmp_path, host=host, tls=True, auth=["token"])  # made, not started: nothing listens there
    server.registry_url = "https://named:8089"
    inner = {"0.0.0.0": "https://127.0.0.1:8089", "::": "https://[::1]:8089"}.get(host, "https://named:8089")
    assert inner == server.inner_url


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"auth": ["certificate"]}, "need TLS"),
        ({"certificate": Path("x")}, "go together"),
        ({"certificate": Path("x"), "key": Path("y")}, "go with --tls"),
        ({"tls": True, "client_ca": Path("x"), "auth": ["token"]}, "goes with --auth certificate"),
    ],
)
def test_what_does_not_go_together(tmp_path: Path, asked: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Server(tmp_path, **asked)  # type: ignore[arg-type]


def test_a_certificate_that_was_given(secure: Server, tmp_path: Path) -> None:
    tls = Path(secure.data) / "tls"
    given = {"certificate": tls / "server.pem", "key": tls / "server.key", "client_ca": tls / "ca.pem"}
    with Server(tmp_path / "data", tls=True, auth=["certificate"], **given) as server:
        assert (None, {}) == (server.ca, server.sign_in)
        context = trusted(secure, **secure.sign_in["certificate"]).context
        found = Anka(replace(context, controller_url=server.controller_url), clock=ManualClock())
        assert "Running" == found.controller.status().status
    for wrong in ({"key": tls / "ca.key"}, {"certificate": tmp_path / "none"}, {"client_ca": tls / "ca.key"}):
        with pytest.raises(UsageError, match="cannot be used"):
            Server(tmp_path / "data", tls=True, auth=["certificate"], **{**given, **wrong}).start()


def test_a_context_of_its_own_for_the_registry(secure: Server) -> None:
    mine = secure.sign_in["certificate"]
    text = {"ANKA_CI_TOKEN": "the wrong token", "ANKA_CI_CA": str(secure.ca)}
    anka = doors(secure, **text, **{name.replace("CI_", "CI_REGISTRY_", 1): value for name, value in mine.items()})
    assert isinstance(anka.context, Context)
    assert "Running" == anka.registry.status().status
    with pytest.raises(NotAuthorisedError):
        anka.controller.status()
