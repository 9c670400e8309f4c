"""OCI registries that are not ours: fronts of the embedded ``/v2/`` with the manners that others have.

A double of foreign programs: who signs in by Bearer or Basic, keeps blobs on another host, or takes little at once.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import json
import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urljoin, urlsplit

HOP_BY_HOP = ("connection", "transfer-encoding", "host", "server", "date")


@dataclass(kw_only=True)
class Manners:
    """How the registry behaves; ``asked`` is what it was asked: method, path and ``Authorization``."""

    sign_in: str = ""
    user: str = "me:secret"
    identity: str = "refresh-me"
    life: int = 300
    realm: str = ""
    elsewhere: str = ""
    most: int = 0
    least: int = 0
    busy: int = 0
    wait: str = "7"
    broken: str = ""
    gone: str = ""
    instead: dict[str, bytes] = field(default_factory=dict)
    headers: set[str] = field(default_factory=set)
    plain: bool = False
    whole: bool = False
    absolute: bool = False
    two_steps: bool = False
    lossy: int = 0
    patched: int = 202
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    sizes: list[tuple[str, int]] = field(default_factory=list)
    tokens: dict[str, str] = field(default_factory=dict)
    forms: list[dict[str, list[str]]] = field(default_factory=list)
    url: str = ""

    def paths(self, method: str) -> list[str]:
        return [path for each, path, _ in self.asked if each == method]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    manners: Manners
    target: str

    def answer(self) -> None:
        manners, path = self.manners, urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        if manners.most and self.command == "PATCH" and length > manners.most:
            self.close_connection = True
            return self.reply(413, {"Connection": "close"}, b'{"errors":[{"message":"too large"}]}')
        if manners.lossy and self.command == "PATCH" and length > manners.lossy:
            self.rfile.read(manners.lossy)
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return None
        body = self.rfile.read(length)
        manners.headers |= {*self.headers}
        manners.sizes.append((self.command, length))
        manners.asked.append((self.command, self.path, self.headers.get("Authorization", "")))
        if path.path == "/token":
            return self.token(body)
        if manners.busy:
            manners.busy -= 1
            return self.reply(429, {"Retry-After": manners.wait}, b"slow down")
        if not self.signed():
            return None
        told = next((content for path, content in manners.instead.items() if self.path.startswith(path)), None)
        if told is not None and self.command in ("GET", "HEAD"):
            digest = "sha256:" + hashlib.sha256(told).hexdigest()
            return self.reply(200, {"Docker-Content-Digest": digest}, told)
        if manners.gone and manners.gone in self.path:
            return self.reply(404, {}, b"{}")
        if manners.broken and self.command == "GET" and manners.broken in self.path:
            return self.reply(418, {}, b"broken here")
        blob = re.fullmatch(r"/v2/.+/blobs/sha256:[0-9a-f]{64}", path.path)
        if manners.elsewhere and blob and self.command in ("GET", "HEAD"):
            return self.reply(307, {"Location": f"{manners.elsewhere}{self.path}?X-Signature=hush"}, b"")
        return self.forward(body)

    def signed(self) -> bool:
        manners, said = self.manners, self.headers.get("Authorization", "")
        repository = re.search(r"/v2/(.+)/(?:blobs|manifests|tags)/", self.path)
        need = "pull" if self.command in ("GET", "HEAD") else "pull,push"
        scope = f"repository:{repository.group(1)}:{need}" if repository else ""
        basic = "Basic " + base64.b64encode(manners.user.encode()).decode()
        if manners.sign_in == "basic" and said != basic:
            self.reply(401, {"WWW-Authenticate": 'Basic realm="here"'}, b"{}")
            return False
        if manners.sign_in == "bearer":
            granted = manners.tokens.get(said.removeprefix("Bearer "))
            if granted is None or (repository and need not in granted):
                realm = manners.realm or f"{manners.url}/token"
                asks = f'Bearer realm="{realm}",service="the, registry",scope="{scope}"'
                self.reply(401, {"WWW-Authenticate": asks}, b'{"errors":[{"message":"authentication required"}]}')
                return False
        return True

    def token(self, body: bytes) -> None:
        manners, said = self.manners, self.headers.get("Authorization", "")
        form = parse_qs(body.decode()) if body else parse_qs(urlsplit(self.path).query)
        manners.forms.append(form)
        basic = "Basic " + base64.b64encode(manners.user.encode()).decode()
        if body and form.get("refresh_token") != [manners.identity]:
            return self.reply(401, {}, b"{}")
        scope = form.get("scope", [""])[0]
        if not body and said not in ("", basic):
            return self.reply(401, {}, b"{}")
        if not body and not said:
            scope = scope.replace(",push", "")  # everybody may read
        token = f"token-{len(manners.tokens)}"
        manners.tokens[token] = scope
        return self.reply(200, {}, json.dumps({"token": token, "expires_in": manners.life}).encode())

    def forward(self, body: bytes) -> None:
        connection = http.client.HTTPConnection(urlsplit(self.target).netloc, timeout=30)
        drop = (*HOP_BY_HOP, "authorization")
        if self.manners.whole:
            drop = (*drop, "range")
        headers = {key: value for key, value in self.headers.items() if key.lower() not in drop}
        if self.manners.two_steps and self.command == "POST" and body:
            body, headers = b"", {**headers, "Content-Length": "0"}
            self.path = self.path.partition("?")[0]
        connection.request(self.command, self.path, body, headers)
        got = connection.getresponse()
        content = got.read()
        found = {key: value for key, value in got.getheaders() if key.lower() not in HOP_BY_HOP}
        if self.manners.plain:  # it keeps to what the specification only asks for
            found.pop("Docker-Content-Digest", None)
            found.pop("Upload-Offset", None)
        if self.manners.absolute and "Location" in found:
            found["Location"] = urljoin(self.manners.url, found["Location"])
        if self.command == "POST" and self.manners.least:
            found["OCI-Chunk-Min-Length"] = str(self.manners.least)
        status = self.manners.patched if (self.command, got.status) == ("PATCH", 202) else got.status
        self.reply(status, found, content)
        connection.close()

    def reply(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815

    def log_message(self, *words: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def front(target: str, **manners: object) -> Iterator[Manners]:
    """A front of the registry at ``target``."""
    kept = Manners(**manners)  # type: ignore[arg-type]
    handler = type("OfThis", (Handler,), {"manners": kept, "target": target})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        kept.url = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield kept
        finally:
            server.shutdown()
