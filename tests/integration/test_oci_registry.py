"""Debian's ``docker-registry``, also with htpasswd and a token server: a template there, back, and by ``skopeo``."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from anka_ci.anka import Anka
from anka_ci.clock import ManualClock
from anka_ci.desk import perform
from anka_ci.errors import ConfirmationError, NotAuthorisedError, RefusedError
from anka_ci.oci import Oci
from anka_ci.oci.upload import CHUNK
from anka_ci.server.app import Server
from anka_ci.settings import Context, load
from gate import Gate
from integration.conftest import standin_env, tool, wait_until
from registries import front

SECRET = "$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a"
"""The word ``secret``, as bcrypt has it with the least work."""


class Registry:
    """A ``docker-registry`` on a port of its own; ``log`` is what it was asked."""

    def __init__(self, url: str, data: Path, log: Path) -> None:
        self.url = url
        self.data = data
        self.log = log

    @property
    def address(self) -> str:
        return self.url.replace("http://", "oci+http://") + "/team/vms"


@contextlib.contextmanager
def docker_registry(folder: Path, auth: str = "", http: str = "") -> Iterator[Registry]:
    program = tool("docker-registry")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    config = folder / "registry.yml"
    config.write_text(
        f"version: 0.1\nstorage:\n  filesystem: {{rootdirectory: {folder / 'registry'}}}\n"
        f"http: {{addr: '127.0.0.1:{port}', secret: shared{http}}}\n{auth}"
    )
    log = folder / "registry.log"
    with log.open("wb") as out:
        child = subprocess.Popen([program, "serve", str(config)], stdin=subprocess.DEVNULL, stdout=out, stderr=out)

    def answers() -> bool:
        assert child.poll() is None, log.read_text()
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
            return True
        return False

    try:
        wait_until(answers)
        yield Registry(f"http://127.0.0.1:{port}", folder / "registry", log)
    finally:
        child.terminate()
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def stopped(child: subprocess.Popen[str], number: int) -> int:
    """End a child by a signal, which it hears while it waits for the network."""
    child.send_signal(number)
    return child.wait(5)


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[Registry]:
    with docker_registry(tmp_path) as found:
        yield found


@pytest.fixture
def anka(tmp_path: Path) -> str:
    """The stand-in as Anka 3.9, on a library of its own."""
    command = tmp_path / "anka"
    command.write_text(
        f"#!/bin/sh\nexport ANKA_HOME='{tmp_path}/host' ANKA_STANDIN_GUESTS=1 ANKA_STANDIN_GENERATION=3.9\n"
        f"exec '{sys.executable}' -Im anka_ci.standin \"$@\"\n"
    )
    command.chmod(0o755)
    return str(command)


Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(anka: str, tmp_path: Path) -> Run:
    """Run the stand-in on that library, or on ``home``."""

    def run(*words: str, home: str = "", good: bool = True, **env: str) -> subprocess.CompletedProcess[str]:
        command = [anka] if not home else [sys.executable, "-Im", "anka_ci.standin"]
        more = {"ANKA_HOME": home, "ANKA_STANDIN_GUESTS": "1"} if home else {}
        done = subprocess.run(
            [*command, *words],
            env={**standin_env(tmp_path), **more, **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert good == (done.returncode == 0), done.stdout + done.stderr
        return done

    return run


def make(run: Run, megabytes: int = 4) -> None:
    run("create", "--app", "x", "sonoma")
    change(run, f"head -c {megabytes}000000 /dev/urandom > big; echo one > file")


def change(run: Run, script: str) -> None:
    run("run", "sonoma", "sh", "-c", script)
    run("stop", "sonoma")


def doors(registry: Registry, anka: str, home: Path, **env: str) -> Anka:
    context = load({"HOME": str(home), "ANKA_CI_REGISTRY_URL": registry.address, "ANKA_CI_ANKA": anka, **env})
    return Anka(context)


def test_every_step_that_an_oci_registry_has_something_for(
    plain: Registry, anka: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", os.environ["PATH"])
    make(run)
    there = doors(plain, anka, tmp_path)
    done = perform("push", {"template": "sonoma", "tag": "v1", "description": "first"}, there)
    assert ("pushed", "v1", False) == (done.outputs["outcome"], done.outputs["tag"], "version" in done.outputs)
    assert "unchanged" == perform("push", {"template": "sonoma", "tag": "v1"}, there).outputs["outcome"]
    change(run, "echo two > file")
    done = perform("push", {"template": "sonoma", "tag": "v2"}, there)
    assert (True, True) == (done.outputs["bytes-sent"] < 100_000, done.outputs["bytes-shared"] > 4_000_000)
    assert ["sonoma"] == [row["name"] for row in perform("list", {}, there).outputs["templates"]]
    shown = perform("show", {"template": "sonoma"}, there).outputs
    assert ("v2", ["v1", "v2"]) == (shown["tag"], sorted(row["tag"] for row in shown["versions"]))
    pulled = perform("pull", {"template": "sonoma", "tag": "v1"}, there)
    assert ("v1", True, 0) == (pulled.outputs["tag"], pulled.outputs["already-here"], pulled.outputs["bytes-received"])
    run("delete", "--yes", "sonoma")
    assert 0 < perform("size", {"template": "sonoma", "tag": "v1"}, there).outputs["download"]
    assert "v2" == perform("pull", {"template": "sonoma"}, there).outputs["tag"]
    assert "two\n" == run("run", "sonoma", "cat", "file").stdout
    change(run, "echo three > file")
    with pytest.raises(RefusedError, match="the tag exists: sonoma:v1 with another content"):
        perform("push", {"template": "sonoma", "tag": "v1"}, there)
    with pytest.raises(ConfirmationError, match="its content is replaced"):
        perform("push", {"template": "sonoma", "tag": "v1", "if-exists": "replace"}, there)
    done = perform("push", {"template": "sonoma", "tag": "v1", "if-exists": "replace"}, there, confirm="yes")
    assert "replaced" == done.outputs["outcome"]
    assert "v1" == perform("show", {"template": "sonoma"}, there).outputs["tag"]
    flat = perform("push", {"template": "sonoma", "tag": "flat", "shallow": "true"}, there).outputs
    assert ("pushed", 0, True) == (flat["outcome"], flat["bytes-shared"], flat["bytes-sent"] > 4_000_000)
    assert 1 == len(there.registry.template("sonoma").pick("flat").images)
    change(run, "echo four > file")
    again = {"template": "sonoma", "tag": "flat", "shallow": "true", "if-exists": "replace"}
    assert "replaced" == perform("push", again, there, confirm="yes").outputs["outcome"]
    local = perform("push", {"template": "sonoma", "tag": "mine", "local": "true"}, there).outputs
    assert ("tagged", ["mine", "flat"]) == (local["outcome"], there.host.tags("sonoma")[:2])


def bundle(home: Path) -> dict[str, str]:
    """The layers of a library, by name, with what is in them."""
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in (home / "img_lib").glob("*.ank")}


def test_the_same_bundle_through_both_registries_and_by_skopeo(plain: Registry, run: Run, tmp_path: Path) -> None:
    skopeo = tool("skopeo")
    make(run)
    change(run, "echo two > file")
    with Server(tmp_path / "data") as embedded:
        run("registry", "-r", embedded.registry_url, "push", "-t", "v1", "sonoma")
        run("registry", "-r", plain.url, "-o2", "-p", "team/vms", "push", "-t", "v1", "sonoma")
        host, other = urlsplit(plain.url).netloc, urlsplit(embedded.registry_url).netloc
        id_ = json.loads(run("-j", "show", "sonoma").stdout)["body"]["uuid"]
        for place, target in ((f"{other}/{id_}:v1", "ours"), (f"{host}/team/vms/sonoma:latest", "theirs")):
            way = ["--preserve-digests", "--src-tls-verify=false", f"docker://{place}", f"dir:{tmp_path / target}"]
            subprocess.run([skopeo, "--insecure-policy", "copy", *way], check=True, capture_output=True, timeout=120)
        ours, theirs = (
            {file.name: file.read_bytes() for file in (tmp_path / name).iterdir()} for name in ("ours", "theirs")
        )
        assert ours == theirs
        for registry, home in (
            (("-r", embedded.registry_url), "one"),
            (("-r", plain.url, "-o2", "-p", "team/vms"), "two"),
        ):
            run("registry", *registry, "pull", "sonoma", home=str(tmp_path / home))
            assert "two\n" == run("run", "sonoma", "cat", "file", home=str(tmp_path / home)).stdout
    wanted = bundle(tmp_path / "host")
    assert (wanted, wanted) == (bundle(tmp_path / "one"), bundle(tmp_path / "two"))
    assert {*wanted.values()} <= {hashlib.sha256(each).hexdigest() for each in theirs.values()}


def test_htpasswd(run: Run, tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.write_text(f"me:{SECRET}\n")
    make(run, 1)
    with docker_registry(tmp_path, f"auth: {{htpasswd: {{realm: here, path: {users}}}}}\n") as registry:
        words = ("registry", "-r", registry.url, "-o2", "-p", "team/vms")
        refused = run(*words, "push", "-t", "v1", "sonoma", good=False)
        assert "ANKA_REGISTRY_USER" in refused.stderr
        run(*words, "-u", "me:secret", "push", "-t", "v1", "sonoma")
        host = urlsplit(registry.url).netloc
        (tmp_path / "config.json").write_text(
            json.dumps({"auths": {host: {"auth": base64.b64encode(b"me:secret").decode()}}})
        )
        run(*words, "pull", "sonoma", home=str(tmp_path / "two"), DOCKER_CONFIG=str(tmp_path))
        wrong = run(*words, "pull", "sonoma", good=False, ANKA_REGISTRY_USER="me:wrong")
        assert ("unauthorized" in wrong.stderr or "not signed in" in wrong.stderr, "me:wrong" in wrong.stderr) == (
            True,
            False,
        )
    assert bundle(tmp_path / "host") == bundle(tmp_path / "two")


class Tokens(BaseHTTPRequestHandler):
    """A token server: who says ``me:secret`` may do what it asks for, everybody else may read."""

    key: Path
    certificate: Path
    asked: list[tuple[str, str]]

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        said = self.headers.get("Authorization", "")
        known = said == "Basic " + base64.b64encode(b"me:secret").decode()
        type(self).asked.append((said, " ".join(query.get("scope", []))))
        if said and not known:
            return self.answer(401, {})
        access = []
        for scope in query.get("scope", []):
            kind, name, actions = scope.split(":")
            granted = [each for each in actions.split(",") if known or each == "pull"]
            access.append({"type": kind, "name": name, "actions": granted})
        now = int(time.time())
        claims = {"iss": "tokens", "sub": "me", "aud": query["service"][0], "jti": "1", "access": access}
        return self.answer(200, {"token": self.signed({**claims, "iat": now, "nbf": now - 9, "exp": now + 60})})

    def signed(self, claims: dict[str, object]) -> str:
        pem = self.certificate.read_text().split("-----")[2]
        head = {"typ": "JWT", "alg": "RS256", "x5c": ["".join(pem.split())]}
        text = ".".join(
            base64.urlsafe_b64encode(json.dumps(each).encode()).decode().rstrip("=") for each in (head, claims)
        )
        words = ["openssl", "dgst", "-sha256", "-sign", str(self.key)]
        signature = subprocess.run(words, input=text.encode(), capture_output=True, check=True, timeout=60).stdout
        return f"{text}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"

    def answer(self, status: int, body: dict[str, object]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *words: object) -> None:
        """Say nothing."""


@pytest.fixture
def tokens(tmp_path: Path) -> Iterator[tuple[str, list[tuple[str, str]], Path]]:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    words = f"openssl req -x509 -newkey rsa:2048 -nodes -keyout {key} -out {certificate} -days 1 -subj /CN=tokens"
    tool("openssl")
    subprocess.run(words.split(), check=True, capture_output=True, timeout=60)
    asked: list[tuple[str, str]] = []
    handler = type("OfThis", (Tokens,), {"key": key, "certificate": certificate, "asked": asked})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/token", asked, certificate
        server.shutdown()


def test_a_token_server(run: Run, tmp_path: Path, tokens: tuple[str, list[tuple[str, str]], Path], anka: str) -> None:
    realm, asked, certificate = tokens
    auth = f"auth: {{token: {{realm: '{realm}', service: here, issuer: tokens, rootcertbundle: {certificate}}}}}\n"
    make(run, 1)
    with docker_registry(tmp_path, auth) as registry:
        words = ("registry", "-r", registry.url, "-o2", "-p", "team/vms")
        refused = run(*words, "push", "-t", "v1", "sonoma", good=False)
        assert "ANKA_REGISTRY_USER" in refused.stderr
        run(*words, "push", "-t", "v1", "sonoma", ANKA_REGISTRY_USER="me:secret")
        assert "repository:team/vms/sonoma:pull,push" in [scope for _, scope in asked]
        run(*words, "pull", "sonoma", home=str(tmp_path / "two"))  # everybody may read
        there = doors(registry, anka, tmp_path, ANKA_REGISTRY_USER="me:secret")
        assert "v1" == perform("show", {"template": "sonoma"}, there).outputs["tag"]
        assert "unchanged" == perform("push", {"template": "sonoma", "tag": "v1"}, there).outputs["outcome"]
        with pytest.raises(NotAuthorisedError, match="no token for"):
            perform("show", {"template": "sonoma"}, doors(registry, anka, tmp_path, ANKA_REGISTRY_USER="me:wrong"))
    assert bundle(tmp_path / "host") == bundle(tmp_path / "two")


def test_what_was_cut_off_goes_on(plain: Registry, run: Run, tmp_path: Path) -> None:
    """The layers that have arrived are not sent or fetched again, and nothing half is there meanwhile."""
    make(run, 30)
    change(run, "head -c 30000000 /dev/urandom > more")
    with Gate(plain.url) as gate:
        words = ("registry", "-r", gate.url, "-o2", "-p", "team/vms")
        gate.cut("up", 20_000_000)
        run(*words, "push", "-t", "v1", "sonoma")
        gate.cut("down", 20_000_000)
        run(*words, "pull", "sonoma", home=str(tmp_path / "two"))
        assert gate.down < 65_000_000
    assert bundle(tmp_path / "host") == bundle(tmp_path / "two")


def test_a_host_that_loses_all_of_a_cut_piece_gets_chunks(server: Server, tmp_path: Path) -> None:
    content = b"lossy" * (16 << 20)
    (tmp_path / "layer").write_bytes(content)
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    with front(server.registry_url, lossy=70 << 20) as there:
        oci = Oci(there.url, Anka(Context(), clock=ManualClock()), foreign=True)
        oci.push("team/lossy", digest, tmp_path / "layer", tmp_path / "ticket")
        assert [CHUNK, len(content) - CHUNK] == [size for method, size in there.sizes if method == "PATCH"]
        assert len(content) == oci.blob_size("team/lossy", digest)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_an_end_in_the_middle_leaves_nothing_half_there(plain: Registry, run: Run, tmp_path: Path, number: int) -> None:
    """Four layers are on their way at once; within five seconds nothing of it runs, and the next run finishes it."""
    make(run, 8)
    for part in range(3):
        change(run, f"head -c 8000000 /dev/urandom > part-{part}")
        run("push", "--local", "-t", f"local-{part}", "sonoma")
    two = str(tmp_path / "two")
    with Gate(plain.url) as gate:
        words = ("registry", "-r", gate.url, "-o2", "-p", "team/vms")

        def begin(home: str, *more: str) -> subprocess.Popen[str]:
            return subprocess.Popen(
                [sys.executable, "-Im", "anka_ci.standin", *words, *more],
                env={**standin_env(tmp_path), "ANKA_HOME": home, "ANKA_STANDIN_GUESTS": "1"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )

        wanted = -number if number == signal.SIGKILL else 130
        for way, home, more in (
            ("up", str(tmp_path / "host"), ("push", "-t", "v1", "sonoma")),
            ("down", two, ("pull", "sonoma")),
        ):
            for after in (2_000_000, 12_000_000):
                gate.open()
                gate.hold(way, after)
                with begin(home, *more) as child:
                    assert gate.held.wait(30)
                    assert wanted == stopped(child, number)
                gate.open()
                if way == "up":
                    assert "not found" in run(*words, "show", "sonoma", good=False).stderr
                else:
                    assert "sonoma" not in run("list", home=two).stdout
            run(*words, *more, **({"home": home} if way == "down" else {}))
    assert bundle(tmp_path / "host") == bundle(tmp_path / "two")
    assert [] == [*(tmp_path / "host" / "img_lib").glob(".*"), *(tmp_path / "two" / "img_lib").glob(".*")]


def test_over_tls(run: Run, tmp_path: Path) -> None:
    key, certificate = tmp_path / "tls-key.pem", tmp_path / "tls.pem"
    words = f"openssl req -x509 -newkey rsa:2048 -nodes -keyout {key} -out {certificate} -days 1 -subj /CN=here"
    tool("openssl")
    subprocess.run(
        [*words.split(), "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True, timeout=60
    )
    make(run, 1)
    tls = f"{{certificate: {certificate}, key: {key}}}"
    with docker_registry(tmp_path, http=f", tls: {tls}") as registry:
        url = registry.url.replace("http", "https")
        there = ("registry", "-r", url, "-o2", "-p", "team/vms")
        plain = ("registry", "-r", registry.url, "-o2", "-p", "team/vms")
        assert "it speaks TLS there" in run(*plain, "push", "-t", "v1", "sonoma", good=False).stderr
        assert "CERTIFICATE_VERIFY_FAILED" in run(*there, "push", "-t", "v1", "sonoma", good=False).stderr
        run(*there, "--cacert", str(certificate), "push", "-t", "v1", "sonoma")
        run(*there, "--insecure", "pull", "sonoma", home=str(tmp_path / "two"))
    with docker_registry(tmp_path) as registry:
        secure = registry.url.replace("http", "https")
        failed = run("registry", "-r", secure, "-o2", "push", "-t", "v1", "sonoma", good=False)
        assert "it speaks no TLS there" in failed.stderr
    assert bundle(tmp_path / "host") == bundle(tmp_path / "two")


@pytest.mark.parametrize("signed", [False, True])
def test_a_clone_sends_only_what_is_its_own(
    run: Run, tmp_path: Path, tokens: tuple[str, list[tuple[str, str]], Path], signed: bool
) -> None:
    """Every repository has blobs of its own there; what another one has is taken over from it."""
    realm, asked, certificate = tokens
    auth = f"auth: {{token: {{realm: '{realm}', service: here, issuer: tokens, rootcertbundle: {certificate}}}}}\n"
    who = {"ANKA_REGISTRY_USER": "me:secret"} if signed else {}
    make(run)
    with docker_registry(tmp_path, auth if signed else "") as registry:
        words = ("-j", "registry", "-r", registry.url, "-o2", "-p", "team/vms", "push")
        run(*words, "-t", "v1", "sonoma", **who)
        run("clone", "sonoma", "app")
        run("run", "app", "sh", "-c", "echo app > own")
        run("stop", "app")
        pushed = json.loads(run(*words, "-t", "v1", "app", **who).stdout)["body"]
        assert (True, True) == (pushed["bytes_sent"] < 100_000, pushed["bytes_shared"] > 4_000_000)
        both = "repository:team/vms/app:pull,push repository:team/vms/sonoma:pull"
        assert signed == (both in [" ".join(sorted(scope.split())) for _, scope in asked])
        run("registry", "-r", registry.url, "-p", "team/vms", "pull", "app", home=str(tmp_path / "two"), **who)
    assert "app\n" == run("run", "app", "cat", "own", home=str(tmp_path / "two")).stdout
