"""What is really sent and handed on to sign in: headers, proxies, and the files that the ``anka`` command gets."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from anka_ci import process, settings
from anka_ci.anka import Anka
from anka_ci.clock import ManualClock, SystemClock
from anka_ci.errors import NotAuthorisedError, RefusedError, UnreachableError, UsageError
from anka_ci.oci import Oci
from anka_ci.server.app import Server
from anka_ci.transport import Transport
from shared.test_auth import CERTIFICATE, KEY
from shared.test_transport import OK, foreign, reply

PNG = reply(404, b"{}")
ID = "0f1e2d3c-0000-43dc-54dc-000000000001"


def doors(url: str, **env: str) -> Anka:
    context = settings.load({"HOME": "/nowhere", "ANKA_CI_REGISTRY_URL": url, "ANKA_CI_CONTROLLER_URL": url, **env})
    return Anka(context, clock=ManualClock())


def sent(url: str, asked: list[str], anka: Anka) -> list[str]:
    """What a REST call and a call of the data plane say in their heads."""
    Transport(url, anka, what="the registry").get("/x")
    assert Oci(url, anka).manifest_digest(ID, "one") is None
    return asked


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A home with a ``.netrc``, and variables that name another authority: none of them is ours to obey."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login thief password from-netrc\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/ca.pem")
    monkeypatch.setenv("CURL_CA_BUNDLE", "/nowhere/ca.pem")
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")


@pytest.mark.parametrize(
    ("env", "header"),
    [
        ({}, None),
        ({"ANKA_CI_TOKEN": "hush"}, "Authorization: Basic cm9vdDpodXNo"),
        ({"ANKA_CI_REGISTRY_TOKEN": "hush", "ANKA_CI_TOKEN": "other"}, "Authorization: Basic cm9vdDpodXNo"),
        ({"ANKA_CI_HEADERS": "X-Gate: opens up"}, "X-Gate: opens up"),
        ({"ANKA_CI_HEADERS": "Authorization: Digest x"}, "Authorization: Digest x"),
    ],
)
def test_both_connections_say_the_same_and_netrc_says_nothing(env: dict[str, str], header: str | None) -> None:
    with foreign(reply(200, OK), PNG) as server:
        for head in sent(server.url, server.asked, doors(server.url, **env)):
            lines = head.splitlines()
            wanted = [] if header is None else [header]
            assert wanted == [line for line in lines if line.startswith(("Authorization:", "X-Gate:"))]
    assert 2 == len(server.asked)


def test_a_password_in_the_url_is_no_sign_in() -> None:
    with foreign(reply(200, OK)) as server:
        url = server.url.replace("http://", "http://me:secret@")
        Transport(url, doors(url), what="the controller").get("/x")
    assert "Authorization" not in server.asked[0]


def test_a_proxy_with_a_password_for_both_connections() -> None:
    url = "http://registry.invalid:8089"
    basic = "Proxy-Authorization: Basic " + base64.b64encode(b"me:p@ss").decode()
    with foreign(reply(200, OK), PNG) as proxy:
        anka = doors(url, ANKA_CI_PROXY=proxy.url.replace("http://", "http://me:p%40ss@"))
        for head in sent(url, proxy.asked, anka):
            assert (True, True) == (head.split()[1].startswith(url), basic in head.splitlines()), head


@pytest.mark.parametrize("url", ["http://anka.example:8090", "https://anka.example:8090"])
def test_a_proxy_that_does_not_answer_is_named_and_its_password_is_not(url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    anka = doors(url, ANKA_CI_PROXY=f"http://me:hush@127.0.0.1:{port}")
    with pytest.raises(UnreachableError, match=f"the proxy 127.0.0.1:{port}: connection refused") as caught:
        Transport(url, anka, what="the controller").get("/x")
    assert "ANKA_CI_PROXY" in caught.value.hint
    assert "hush" not in str(caught.value)


def test_the_environments_proxy_and_who_is_kept_out_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with foreign(reply(200, OK), PNG) as proxy, foreign(reply(200, OK), PNG) as server:
        monkeypatch.setenv("http_proxy", proxy.url)
        sent(server.url, proxy.asked, doors(server.url))
        assert (2, 0) == (len(proxy.asked), len(server.asked))
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        sent(server.url, server.asked, doors(server.url))
        assert (2, 2) == (len(proxy.asked), len(server.asked))


def test_a_session_that_ends_during_a_transfer_is_made_anew() -> None:
    from anka_ci.auth.sessions import Ask, Renewed

    class Counted(Renewed):
        def _make(self, ask: Ask) -> tuple[str, float]:
            made.append(len(made))
            return f"Bearer {len(made)}", 300.0

    made: list[int] = []
    denied = reply(401, b"{}")
    with foreign(PNG, denied, PNG, denied, denied) as server:
        anka = doors(server.url)
        found = anka.context.of("registry")
        anka.signers.once(("session", server.url, found), lambda: Counted(anka.clock))
        oci = Oci(server.url, anka)
        assert [None, None] == [oci.manifest_digest(ID, "one") for _ in range(2)]
        with pytest.raises(NotAuthorisedError):  # the third session is refused at once: a fourth would be too
            oci.manifest_digest(ID, "one")
    heads = [line for head in server.asked for line in head.splitlines() if line.startswith("Authorization")]
    assert [1, 1, 2, 2, 3] == [int(line.rsplit(" ", 1)[1]) for line in heads]


# the command

SCRIPT = """
printf '%s\\n' "$@" >>"$LOG.argv"
while [ $# -gt 0 ]; do
  case $1 in --cert|--key) ls -ld "$2" "${2%/*}" >>"$LOG.modes"; cat "$2" >>"$LOG.files" ;; esac
  shift
done
if [ -n "${ANKA_REGISTRY_API_KEY:-}" ]; then
  ls -ld "$ANKA_REGISTRY_API_KEY" "${ANKA_REGISTRY_API_KEY%/*}" >>"$LOG.modes"
  cat "$ANKA_REGISTRY_API_KEY" >>"$LOG.files"
fi
echo '{"status":"OK","body":{"version":"3.8.5"},"message":""}'
"""


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An ``anka`` that notes what it gets, and a folder for temporary files that is otherwise empty."""
    (tmp_path / "anka").write_text("#!/bin/sh\n" + SCRIPT)
    (tmp_path / "anka").chmod(0o755)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    return {"ANKA_CI_ANKA": str(tmp_path / "anka")}


def modes(folder: Path) -> set[str]:
    """Of each key file and of the folder that it was in."""
    lines = (folder / "log.modes").read_text().splitlines()
    assert 0 == len(lines) % 2
    return {line.split()[0][:10] for line in lines}


def test_keys_reach_the_command_as_files_that_go_again(command: dict[str, str], tmp_path: Path) -> None:
    anka = doors("https://r.invalid", ANKA_CI_CERTIFICATE=CERTIFICATE, ANKA_CI_KEY=KEY, **command)
    anka.host.pull("vm", "tag", registry_url="https://r.invalid")
    words = (tmp_path / "log.argv").read_text()
    assert (True, True, False, False) == ("--cert" in words, "--key" in words, "PRIVATE" in words, "QUJD" in words)
    assert {"-rw-------", "drwx------"} == modes(tmp_path)
    assert CERTIFICATE + KEY == (tmp_path / "log.files").read_text()
    assert [] == [*(tmp_path / "tmp").iterdir()]


def test_an_api_key_reaches_it_as_a_file_that_goes_again(command: dict[str, str], tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key, nothing = rsa.generate_private_key(public_exponent=65537, key_size=2048), serialization.NoEncryption()
    form = serialization.PrivateFormat.TraditionalOpenSSL
    line = base64.b64encode(key.private_bytes(serialization.Encoding.DER, form, nothing)).decode()
    anka = doors("https://r.invalid", ANKA_CI_API_KEY_ID="mine", ANKA_CI_API_KEY=line, **command)
    anka.host.pull("vm", "tag", registry_url="https://r.invalid")
    assert line[:64] not in (tmp_path / "log.argv").read_text()
    assert {"-rw-------", "drwx------"} == modes(tmp_path)
    pem = key.private_bytes(serialization.Encoding.PEM, form, nothing).decode()
    assert pem == (tmp_path / "log.files").read_text()
    assert [] == [*(tmp_path / "tmp").iterdir()]


def test_files_that_are_there_are_handed_on_as_they_are(command: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "c.pem").write_text(CERTIFICATE)
    (tmp_path / "k.pem").write_text(KEY)
    files = {"ANKA_CI_CERTIFICATE": str(tmp_path / "c.pem"), "ANKA_CI_KEY": str(tmp_path / "k.pem")}
    doors("https://r.invalid", **files, **command).host.pull("vm", "tag", registry_url="https://r.invalid")
    words = (tmp_path / "log.argv").read_text().splitlines()
    assert [str(tmp_path / "c.pem"), "--key", str(tmp_path / "k.pem")] == words[words.index("--cert") + 1 :][:3]


def test_a_command_that_fails_leaves_nothing_either(command: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "anka").write_text('#!/bin/sh\necho \'{"status":"ERROR","message":"no","code":1}\'; exit 1\n')
    anka = doors("https://r.invalid", ANKA_CI_CERTIFICATE=CERTIFICATE, ANKA_CI_KEY=KEY, **command)
    with pytest.raises(RefusedError):
        anka.host.pull("vm", "tag", registry_url="https://r.invalid")
    assert [] == [*(tmp_path / "tmp").iterdir()]


CHILD = """
import sys, time
from anka_ci import process
with process.guarded("anka-ci-keys-") as folder:
    (folder / "key.pem").write_text("secret")
    print(folder, flush=True)
    time.sleep(60)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_folder_goes_when_its_process_is_killed(tmp_path: Path, number: signal.Signals) -> None:
    env = {"PATH": os.environ["PATH"], "TMPDIR": str(tmp_path)}
    child = subprocess.Popen([sys.executable, "-Ic", CHILD], env=env, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    folder = Path(child.stdout.readline().strip())
    assert (True, 0o700) == ((folder / "key.pem").exists(), folder.stat().st_mode & 0o777)
    child.send_signal(number)
    child.communicate(timeout=10)
    clock = SystemClock()
    until = clock.monotonic() + 10
    while folder.exists():
        assert clock.monotonic() < until, "the folder is still there"
        clock.sleep(0.02)


def test_the_folder_goes_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with process.guarded("keys-") as folder:
        (folder / "key.pem").write_text("secret")
    assert [] == [*tmp_path.glob("keys-*")]
    with pytest.raises(ZeroDivisionError), process.guarded("keys-") as folder:
        json.dumps(1 / 0)
    assert [] == [*tmp_path.glob("keys-*")]


def test_without_the_package_cryptography(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "cryptography"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with Server(tmp_path / "data") as server:
        anka = doors(server.controller_url, ANKA_CI_API_KEY_ID="mine", ANKA_CI_API_KEY="QUJD" * 99)
        bare = doors(server.controller_url)
        assert "Running" == bare.controller.status().status
        with pytest.raises(UsageError, match="needs the package cryptography") as caught:
            anka.controller.status()
        assert "anka-ci[signin]" in caught.value.hint
        rest = Transport(server.controller_url, bare, what="the controller")
        with pytest.raises(RefusedError, match=r"need the package cryptography: pip install 'anka-ci\[signin\]'"):
            rest.post("/api/v1/apikey", {"id": "k", "ttl": 60, "groups": ["a"]})
    with pytest.raises(UsageError, match="needs the package cryptography"):
        Server(tmp_path / "data", tls=True).start()
