"""The command ``doctor``: whole and broken situations, each a real one, on real servers."""

from __future__ import annotations

import base64
import html
import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from time import time
from urllib.parse import quote, quote_plus

import pytest

from anka_ci.anka import Anka
from anka_ci.desk import perform
from anka_ci.server.app import Server
from anka_ci.settings import Context
from conftest import plain_env
from examined import nothing, of
from front import Came, Front, certificate, serving


def test_a_whole_installation_and_then_a_node_whose_library_is_another_users(doctor, seeded, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(seeded, data, symlinks=True)
    with Server(data, nodes=["mini-1"]) as server:
        env = of(server) | {"ANKA_CI_ANKA": server.anka}
        examined = doctor("--node", "mini-1", **env)
        assert (0, 0) == (examined.code, examined.document["code"])
        assert "anka-ci/doctor/1" == examined.document["schema"]
        assert f"{server.controller_url} (from ANKA_CI_CONTROLLER_URL) | " == examined.tell("controller")[1]
        assert "list nodes" in examined.tell("may", "the controller")[1]
        assert ("ok", "shows the same 1 templates as the controller | ") == examined.tell("same")
        assert "Anka Build Stand-in 3.8.5" in examined.tell("anka", "this host")[1]
        assert examined.find("library")["seen"].startswith(f"{server.data}/host/")
        assert "this host is mini-1, Active" in examined.tell("node")[1]
        assert [] == [each for each in examined.document["findings"] if each["level"] == "problem"]

        anka = Anka(Context(controller_url=server.controller_url, registry_urls=(server.registry_url,)))
        perform("distribute", {"template": "sonoma", "nodes": ["mini-1"]}, anka)
        examined = doctor("--node", "mini-1", **env)
        level, said = examined.tell("whose library")
        assert (0, "warning") == (examined.code, level)
        assert "mini-1 holds sonoma:v1, which" in said
        its = doctor("--node", "mini-1", **env, ANKA_HOME=str(server.data / "nodes" / "mini-1"))
        assert "ok" == its.find("whose library")["level"]


def test_the_findings_as_text_fit_a_narrow_terminal(told):
    code, out, _ = told("--registry-url", "http://registry.invalid:8089")
    assert 6 == code
    assert [] == [line for line in out.splitlines() if len(line) > 80 and "/" not in line]
    assert "  PROBLEM  name" in out
    assert "-> correct the URL" in out
    *_, counts, last = out.splitlines()
    assert counts.startswith("1 problem, ")
    assert "  - name of the registry http://registry.invalid:8089" == last
    assert "(also: permissions, disk)" in " ".join(out.split())


def test_nothing_is_configured(doctor):
    examined = doctor()
    assert 2 == examined.code
    assert "problem" == examined.find("servers", "context")["level"]
    assert "anka-ci " in examined.tell("software")[1]


def test_settings_that_cannot_be_read_leave_the_rest_to_be_told(doctor, tmp_path):
    file = tmp_path / "settings.yml"
    file.write_text("contexts:\n  here:\n    controler: http://127.0.0.1:1\n")
    examined = doctor("--context", "here", ANKA_CI_SETTINGS=str(file))
    assert 2 == examined.code
    assert "did you mean 'controller'?" in examined.tell("settings")[1]
    assert ("not known", "not known, because the settings could not be read | ") == examined.tell("controller")
    assert "ok" == examined.find("software")["level"]


def test_where_each_setting_comes_from(doctor, served, tmp_path):
    file = tmp_path / "settings.yml"
    file.write_text(
        f"default: here\ncontexts:\n  here:\n    controller: {served.controller_url}\n    registries:\n"
        f"      - {served.registry_url}\n    token-env: MINE\n    protected: true\n    timeout: 20s\n"
    )
    env = {"ANKA_CI_SETTINGS": str(file), "MINE": "a-token-of-mine", "ANKA_CI_ANKA": "/bin/echo"}
    examined = doctor("--registry-url", served.registry_url + "/", **env)
    assert f"context here of {file}, named by its default | " == examined.tell("settings")[1]
    assert f"{served.controller_url} (from {file}) | " == examined.tell("controller")[1]
    assert f"*** (from what {file} names) | " == examined.tell("token")[1]
    assert "/bin/echo (from ANKA_CI_ANKA) | " == examined.tell("anka", "context")[1]
    assert f"20 s (from {file}) | " == examined.tell("timeout")[1]
    examined = doctor("--timeout", "30s", "--ca", str(tmp_path), **env, ANKA_CI_TOKEN="another-token")
    assert "30 s (from --timeout) | " == examined.tell("timeout")[1]
    assert "*** (from ANKA_CI_TOKEN) | " == examined.tell("token")[1]
    assert "mine" not in examined.out
    assert "another-token" not in examined.out


def test_no_server_there(doctor):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    examined = doctor(ANKA_CI_CONTROLLER_URL=f"http://127.0.0.1:{port}")
    assert 6 == examined.code
    level, said = examined.tell("connection")
    assert "problem" == level
    assert "Connection refused | is it running" in said
    for name in ("sign-in", "version", "licence", "permissions", "clock"):
        assert "not known" == examined.find(name, "the controller")["level"]


def test_a_server_that_says_nothing(doctor):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        examined = doctor("--timeout", "1s", ANKA_CI_REGISTRY_URL=f"http://127.0.0.1:{silent.getsockname()[1]}")
    assert 6 == examined.code
    assert "ok" == examined.find("connection", "the registry")["level"]
    assert "timed out" in examined.tell("answer")[1]


def test_an_interrupted_examination_ends_as_such_and_writes_no_bundle(tmp_path):
    file = tmp_path / "bundle.tar.gz"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        env = plain_env(tmp_path) | {"ANKA_CI_CONTROLLER_URL": f"http://127.0.0.1:{silent.getsockname()[1]}"}
        words = [sys.executable, "-Im", "anka_ci.cli", "doctor", "--bundle", str(file)]
        with subprocess.Popen(words, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
            silent.settimeout(60)
            reached, asked = silent.accept(), silent.accept()  # the way is tried first, and then the server is asked
            with reached[0], asked[0]:
                asked[0].settimeout(60)
                assert asked[0].recv(1)
                child.send_signal(signal.SIGINT)
                out, err = child.communicate(timeout=60)
    assert (130, "") == (child.returncode, out)
    assert "interrupted (SIGINT)" in err
    assert not file.exists()


def page(came: Came) -> None:
    came.status, came.body = 200, b"<html><head><title>Welcome to\n nginx</title></head></html>"


def moved(came: Came) -> None:
    came.status, came.body, came.headers["Location"] = 302, b"", "https://anka.internal/"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (page, "no Anka reply: an HTML page (Welcome to nginx)"),
        (moved, "name the final address: https://anka.internal/"),
    ],
)
def test_a_server_that_is_not_anka(doctor, served, change, said):
    with Front(served.controller_url, change) as front:
        examined = doctor(ANKA_CI_CONTROLLER_URL=front.url)
    assert 6 == examined.code
    assert "problem" == examined.find("answer")["level"]
    assert said in examined.tell("answer")[1]
    assert "not known" == examined.find("sign-in")["level"]


def test_several_registries_are_each_looked_at(doctor, served, tmp_path):
    with Server(tmp_path / "other") as other:
        file = tmp_path / "settings.yml"
        urls = [other.registry_url, served.registry_url]
        file.write_text(
            f"contexts:\n  two:\n    controller: {served.controller_url}\n    registries: {json.dumps(urls)}\n"
        )
        examined = doctor("--context", "two", ANKA_CI_SETTINGS=str(file))
    assert 0 == examined.code
    assert "ok" == examined.find("same", f"the registry {served.registry_url}")["level"]
    level, said = examined.tell("same", f"the registry {other.registry_url}")
    assert "warning" == level
    assert f"0 only here, 1 only at the controller | the controller works with {served.registry_url}" in said


def old(came: Came) -> None:
    if came.path == "/api/v1/status":
        body = {"status": "Running", "version": "1.19.2-24e848a5", "registry_status": "FAIL", "license": "basic"}
        came.body = json.dumps({"status": "OK", "message": "", "body": body}).encode()
    if came.path == "/api/v1/group":
        came.status, came.body = 400, b'{"status":"FAIL","message":"Not supported by your license"}'
    if came.path == "/api/v1/node":
        came.status, came.body = 403, b'{"status":"FAIL","message":"Forbidden"}'


def test_an_authority_that_is_not_there(doctor, served, tmp_path):
    file = certificate(tmp_path, days=900)
    with Front(served.registry_url, nothing, serving(file)) as front:
        examined = doctor(ANKA_CI_REGISTRY_URL=front.url, ANKA_CI_CA=f"{tmp_path}/none.pem")
    cannot = [each["level"] for each in examined.document["findings"] if "cannot be read" in each["seen"]]
    assert (2, ["problem"]) == (examined.code, cannot)
    assert "none.pem: No such file" in examined.tell("tls")[1]


def test_a_token_that_nobody_asks_for(doctor, served):
    examined = doctor(**of(served), ANKA_CI_TOKEN="whatever-it-is")
    assert 0 == examined.code
    assert (
        "none is asked for: whoever reaches the server may do everything" in examined.tell("sign-in", "the registry")[1]
    )


def test_an_old_controller_with_a_small_licence(doctor, served):
    with Front(served.controller_url, old) as front:
        examined = doctor(ANKA_CI_CONTROLLER_URL=front.url)
    assert 6 == examined.code, "the registry fails"
    level, said = examined.tell("version")
    assert "warning" == level
    assert said.startswith("1.19.2-24e848a5 lacks: evict")
    assert "cancelling a distribution (since 1.43)" in said
    assert said.endswith("update it to 1.44 or newer")
    assert "warning" == examined.find("licence")["level"]
    assert "the controller says FAIL" in examined.tell("its registry")[1]
    assert "list groups: Not supported by your license" in examined.tell("refuses")[1]
    forbidden = examined.find("may not")
    assert ("warning", "list nodes (HTTP 403: Forbidden)") == (forbidden["level"], forbidden["seen"])
    assert "not known, because trying would change something" in examined.tell("may change")[1]


def test_a_clock_that_is_off(doctor, served):
    def later(seconds: float) -> Callable[[Came], None]:
        def change(came: Came) -> None:
            came.headers["Date"] = formatdate(time() + seconds, usegmt=True)

        return change

    for seconds, level, words in [(90, "warning", "ahead of ours"), (-7200, "problem", "behind ours")]:
        with Front(served.registry_url, later(seconds)) as front:
            examined = doctor(ANKA_CI_REGISTRY_URL=front.url)
        found = examined.find("clock")
        assert (level, True) == (found["level"], words in found["seen"])
        assert (7 if level == "problem" else 0) == examined.code


def test_a_proxy_of_the_environment_and_what_keeps_it_out(doctor, served):
    with Front(served.registry_url, nothing) as proxy:
        env = {
            "ANKA_CI_REGISTRY_URL": "http://registry.invalid:8089",
            "http_proxy": "http://me:pass-word@" + proxy.url[7:],
        }
        examined = doctor(**env)
        assert f"http://***@{proxy.url[7:]} (named by http_proxy) | " == examined.tell("proxy")[1]
        assert "ok" == examined.find("sign-in")["level"], "the proxy answers for the registry"
        examined = doctor(**env, no_proxy=".example,registry.invalid")
    assert "NO_PROXY (.example,registry.invalid) keeps that of http_proxy out" in examined.tell("proxy")[1]
    assert "registry.invalid: " in examined.tell("name")[1]
    assert "pass-word" not in examined.out


@pytest.mark.parametrize(
    ("days", "trusted", "level", "words"),
    [
        (900, True, "ok", "trusted (O=ios, CN=localhost, signed by O=ios, CN=localhost); checked against"),
        (900, False, "problem", "self-signed certificate"),
        (-1, True, "problem", "certificate has expired"),
    ],
)
def test_a_servers_certificate(doctor, served, tmp_path, days, trusted, level, words):
    file = certificate(tmp_path, days=days)
    env = {"ANKA_CI_CA": str(file)} if trusted else {}
    with Front(served.registry_url, nothing, serving(file)) as front:
        examined = doctor(ANKA_CI_REGISTRY_URL=front.url, **env)
    assert (level, 0 if level == "ok" else 6) == (examined.find("tls")["level"], examined.code)
    assert words in examined.tell("tls")[1].replace("self signed", "self-signed")
    assert ("expired 1d" if days < 0 else "holds for 900 days") in examined.tell("certificate")[1]


def test_a_certificate_that_expires_soon_and_one_for_another_name(doctor, served, tmp_path):
    file = certificate(tmp_path, days=5, name="anka.internal")
    with Front(served.registry_url, nothing, serving(file)) as front:
        examined = doctor(ANKA_CI_REGISTRY_URL=front.url, ANKA_CI_CA=str(file))
    assert ("warning", "expires in 5 days | renew the server's certificate") == examined.tell("certificate")
    assert "use a name that the certificate holds" in examined.tell("tls")[1]


def test_https_asked_of_a_port_that_speaks_http(doctor, served):
    examined = doctor(ANKA_CI_REGISTRY_URL=served.registry_url.replace("http://127.0.0.1", "https://localhost"))
    assert 6 == examined.code
    assert "Try http:// in the URL" in examined.tell("tls")[1]


def test_a_path_without_anka_and_one_that_only_this_shell_has(doctor, served, tmp_path):
    url = served.registry_url
    if not any(Path(place).exists() for place in ("/usr/local/bin/anka", "/opt/homebrew/bin/anka")):
        assert "none" in doctor(ANKA_CI_REGISTRY_URL=url, PATH="/usr/bin:/bin").tell("anka", "this host")[1]
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "anka").symlink_to(served.anka)
    examined = doctor(ANKA_CI_REGISTRY_URL=url, PATH=f"{folder}:/usr/bin:/bin")
    level, said = examined.tell("anka elsewhere")
    assert (0, "warning") == (examined.code, level)
    assert f"{folder}/anka is found only through this shell's PATH" in said
    examined = doctor(ANKA_CI_REGISTRY_URL=url, ANKA_CI_ANKA=f"{folder}/none")
    assert (2, "problem") == (examined.code, examined.find("anka", "this host")["level"])
    assert "no such program" in examined.tell("anka", "this host")[1]


def test_a_command_that_is_not_ankas(doctor, served):
    examined = doctor(ANKA_CI_REGISTRY_URL=served.registry_url, ANKA_CI_ANKA="/bin/echo")
    assert 3 == examined.code
    assert "`version` failed: anka version: no JSON came back" in examined.tell("anka", "this host")[1]


def unpacked(file: Path) -> dict[str, str]:
    with tarfile.open(file) as archive:
        return {
            entry.name.removeprefix("anka-ci-doctor/"): archive.extractfile(entry).read().decode()
            for entry in archive.getmembers()
        }


TOKEN = 'hu$h/+hush "é&-0123456789'


def spellings(secret: str) -> set[str]:
    """A secret as it is, and as an encoder leaves it."""
    escaped, lower = quote(secret, safe=""), re.sub("%..", lambda match: match.group().lower(), quote(secret, safe=""))
    return {secret, quote(secret), escaped, lower, quote_plus(secret), json.dumps(secret)[1:-1], html.escape(secret)}


def in_base64(secret: str) -> set[str]:
    """Longer texts with the secret in them, as base64."""
    found = [before + secret.encode() + b"zz" for before in (b"", b"a", b"ab", b"root:", b":")]
    return {encode(each).decode() for each in found for encode in (base64.b64encode, base64.urlsafe_b64encode)}


def chatty(came: Came) -> None:
    """A reverse proxy that is set to echo whatever was sent, in a page and in headers."""
    sent = came.asked.get("authorization", "")
    came.headers |= {"Set-Cookie": "session=0123-cookie-4567", "X-Echo": sent, "Via": f"front ({quote(sent)})"}
    if came.path == "/registry/disk":
        words = "".join(f"<p>{each}</p>" for each in (sent, quote(sent), *spellings(TOKEN), *in_base64(TOKEN)))
        came.status, came.body = 500, f"<html>{words}</html>".encode()
    if came.path == "/registry/v2/vm":
        row = {
            "id": "1",
            "name": TOKEN,
            "size": 1,
            "vnc_password": "a-vnc-password",
            "description": "kept",
            "echo": sent,
        }
        told = {"status": "OK", "message": base64.b64encode(TOKEN.encode()).decode(), "body": [row]}
        came.body = json.dumps(told).encode()


def test_a_bundle_holds_what_a_report_needs_and_no_secret(doctor, served, tmp_path):
    settings = tmp_path / "settings.yml"
    settings.write_text(
        "# a comment: written-by-hand\ncontexts:\n  here:\n    registry: http://user:url-password@127.0.0.1:1\n"
        "    token-env: MINE\n    proxy: http://me:proxy-password@127.0.0.1:1\n"
    )
    file = tmp_path / "bundle.tar.gz"
    with Front(served.registry_url, chatty) as front:
        env = {"ANKA_CI_SETTINGS": str(settings), "ANKA_CI_CONTEXT": "here", "MINE": "unused"}
        env |= {"ANKA_REGISTRY_KEY": TOKEN}
        env |= {"ANKA_CI_TOKEN": TOKEN, "ANKA_CI_REGISTRY_URL": front.url, "ANKA_CI_PROXY": front.url}
        examined = doctor("--bundle", str(file), **env)
    assert (6, 0o600) == (examined.code, file.stat().st_mode & 0o777)
    inside = unpacked(file)
    assert examined.document == json.loads(inside["findings.json"])
    assert "PROBLEM" in inside["findings.txt"]
    assert "requests" in json.loads(inside["versions.json"])["packages"]
    assert {"ANKA_CI_TOKEN": "***", "ANKA_REGISTRY_KEY": "***"}.items() <= json.loads(
        inside["environment.json"]
    ).items()
    assert "registry: http://***@127.0.0.1:1\n" in inside["settings.yml"]
    assert "token-env: MINE\n" in inside["settings.yml"]
    listing = json.loads(inside["answers/1-registry-list-templates.json"])
    assert f"GET {front.url}/registry/v2/vm" == listing["asked"]
    assert {"vnc_password": "***", "description": "kept", "size": 1}.items() <= listing["body"]["body"][0].items()
    assert ("***", "***") == (listing["headers"]["set-cookie"], listing["headers"]["x-echo"])
    assert "<html>" in json.loads(inside["answers/1-registry-read-its-disk.json"])["body"]
    secrets = {"url-password", "proxy-password", "written-by-hand", "0123-cookie", "a-vnc-password", *spellings(TOKEN)}
    secrets |= {each[8:-8] for each in in_base64(TOKEN)}  # the ends hold bits of what stands around it too
    wrong = [(name, secret) for name, text in inside.items() for secret in secrets if secret in text]
    assert [] == wrong
    assert [] == [secret for secret in secrets if secret in examined.out]


def test_a_bundle_is_never_written_over_a_file_unless_asked(told, served, tmp_path):
    file = tmp_path / "bundle.tar.gz"
    file.write_text("mine")
    file.chmod(0o644)
    env = {"ANKA_CI_REGISTRY_URL": served.registry_url}
    code, out, err = told("--bundle", str(file), **env)
    assert (8, "", "mine") == (code, out, file.read_text())
    assert "is there already\n  name another file, or give --overwrite" in err
    code, out, err = told("--bundle", str(file), "--overwrite", **env)
    assert (0, True) == (code, f"wrote {file} (" in err)
    assert 0o600 == file.stat().st_mode & 0o777
    assert "findings.json" in unpacked(file)
    assert ["bundle.tar.gz"] == [each.name for each in tmp_path.iterdir() if "bundle" in each.name]


def test_a_bundle_that_cannot_be_written_is_told_before_anything_is_asked(told, tmp_path):
    for place in (tmp_path / "none" / "bundle.tar.gz", tmp_path):
        code, out, err = told("--bundle", str(place), "--registry-url", "http://registry.invalid")
        assert (2, "") == (code, out)
        assert f"the bundle cannot be written to {place}" in err
