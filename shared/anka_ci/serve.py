"""``anka-ci serve``: the embedded registry, controller and fleet, until a signal ends it.

Listens on loopback, elsewhere only with TLS and sign-in, and writes nothing outside its data folder and the ready file.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from anka_ci.clock import Cancelled
from anka_ci.errors import UsageError
from anka_ci.inputs import size
from anka_ci.secret import Secret

if TYPE_CHECKING:
    from anka_ci.console import Console
    from anka_ci.server.app import Server

TOKEN = "ANKA_CI_SERVE_TOKEN"
"""The variable that may hold the root token of the server."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``serve``."""
    parser.description = (
        "Serve a registry, a controller and a fleet of nodes on this machine, over real HTTP and with real bytes on"
        " disk. A real `anka` cannot push to it, because Anka's transfer protocol is private."
    )
    add = parser.add_argument
    add("--data", type=Path, metavar="DIR", help="where everything is kept; a temporary folder when left out")
    add("--sample", action="store_true", help="start with the template sonoma, tags base and v1")
    add("--sample-size", default="256MiB", metavar="SIZE", help="size of the sample, such as 256MiB")
    add("--nodes", default="0", metavar="N", help="how many nodes there are: node-1, node-2, …")
    add("--virtual-nodes", default="0", metavar="N", help="how many nodes there are that move no bytes: virtual-1, …")
    add("--group", action="append", default=[], metavar="NAME=NODE,NODE", help="a group of nodes; may be given again")
    add("--port", default="0", metavar="P", help="port to listen on; a free one when left out")
    add("--registry-port", metavar="P", help="a port of its own for the registry; the same when left out")
    add("--run-guests", action="store_true", help="let guests run commands, on this machine, as this user")
    add("--listen", default="127.0.0.1", metavar="HOST", help="address to listen on; beyond loopback: --tls and --auth")
    add("--host-name", action="append", default=[], metavar="NAME", help="a name callers may use; may be given again")
    add("--tls", action="store_true", help="speak HTTPS, with a certificate of its own unless --cert names one")
    add("--cert", type=Path, metavar="FILE", help="certificate of the server with its chain, as PEM")
    add("--key", type=Path, metavar="FILE", help="its private key, as PEM without a passphrase")
    add("--auth", metavar="WAY,WAY", help="let only those in who sign in: token, certificate, api-key, oidc")
    add("--client-ca", type=Path, metavar="FILE", help="the authority of client certificates; one of its own otherwise")
    add("--token-file", type=Path, metavar="FILE", help=f"holds the root token, as {TOKEN} may; kept in DIR otherwise")
    add("--show-token", action="store_true", help="print the root token, instead of the place where it is kept")
    add("--faults", type=Path, metavar="FILE", help="a script of what goes wrong, to try out how a pipeline takes it")
    add("--legacy-fail-200", action="store_true", help="answer failures with status 200, as old releases did, not 400")
    add("--ready-file", type=Path, metavar="FILE", help="JSON with the addresses, written when it answers")


def main(options: argparse.Namespace, console: Console | None = None) -> int:
    """Serve until SIGINT, SIGTERM or SIGHUP; 0 then. ``UsageError`` for options that make no sense."""
    nodes, group_nodes = number("--nodes", options.nodes, 1000), groups(options.group)
    virtual_nodes = number("--virtual-nodes", options.virtual_nodes, 20_000)
    port = number("--port", options.port, 65535)
    registry_port = None if options.registry_port is None else number("--registry-port", options.registry_port, 65535)
    try:
        sample_bytes = int(size(options.sample_size))
    except ValueError as error:
        raise UsageError(f"--sample-size: {error}") from None
    from anka_ci.server.app import Server

    ways, token = sign_in(options, console.env if console else {})
    ended = Cancelled()
    with signals(ended), folder(options.data) as data:
        server = Server(
            data,
            nodes=nodes,
            virtual_nodes=virtual_nodes,
            groups=group_nodes,
            port=port,
            registry_port=registry_port,
            run_guests=options.run_guests,
            faults=options.faults,
            legacy_fail_200=options.legacy_fail_200,
            sample=options.sample,
            sample_bytes=sample_bytes,
            host=options.listen,
            allowed_hosts=options.host_name,
            auth=ways,
            token=token,
            tls=options.tls,
            certificate=options.cert,
            key=options.key,
            client_ca=options.client_ca,
        )
        with server:
            if options.ready_file:
                write(options.ready_file, facts(server))
            for name, value in exports(server, show_token=options.show_token).items():
                print(f"export {name}={shlex.quote(value)}", flush=True)
            while not ended.wait(3600):
                pass
    return 0


def facts(server: Server) -> dict[str, object]:
    """What the ready file says."""
    return {
        "controller_url": server.controller_url,
        "registry_url": server.registry_url,
        "anka": server.anka,
        "data": str(server.data),
        "nodes": list(server.node_names),
        "virtual_nodes": len(server.virtual_names),
        **({"ca": str(server.ca)} if server.ca else {}),
        **({"sign_in": server.sign_in} if server.sign_in else {}),
    }


def exports(server: Server, *, show_token: bool = False) -> dict[str, str]:
    """The variables that connect ``anka-ci`` to a server and sign it in, by the first way there is.

    The command is quoted, because it is split into words. A token is named by its file unless it is to be shown.
    """
    found = {
        "ANKA_CI_CONTROLLER_URL": server.controller_url,
        "ANKA_CI_REGISTRY_URL": server.registry_url,
        "ANKA_CI_ANKA": shlex.quote(server.anka),
    }
    if server.ca is not None:
        found["ANKA_CI_CA"] = str(server.ca)
    found |= next(iter(server.sign_in.values()), {})
    if show_token and "ANKA_CI_TOKEN_FILE" in found:
        found["ANKA_CI_TOKEN"] = Path(found.pop("ANKA_CI_TOKEN_FILE")).read_text(encoding="utf-8").strip()
    return found


def sign_in(options: argparse.Namespace, env: Mapping[str, str]) -> tuple[tuple[str, ...], Secret | None]:
    """The ways to sign in, and the root token when it is given; it has no option, because command lines are public."""
    from anka_ci.server import auth

    names = [name.strip() for name in (options.auth or "").split(",")]
    if options.auth is None:
        if options.token_file:
            raise UsageError("--token-file goes with --auth token")
        return (), None
    found = auth.ways(names)
    if "token" not in found and options.token_file:
        raise UsageError("--token-file goes with --auth token")
    if options.token_file and env.get(TOKEN):
        raise UsageError(f"--token-file and {TOKEN} both give the root token", hint="leave one of them out")
    if options.token_file:
        return found, auth.token_of(options.token_file)
    return found, auth.checked(Secret(env[TOKEN]), TOKEN) if env.get(TOKEN) else None


def groups(texts: list[str]) -> dict[str, tuple[str, ...]]:
    """``ios=node-1,node-2`` as a group's name and its nodes."""
    found: dict[str, tuple[str, ...]] = {}
    for text in texts:
        name, equals, members = text.partition("=")
        nodes = tuple(member.strip() for member in members.split(","))
        if not name or not equals or not all(nodes):
            raise UsageError(f"--group {text!r} names no group", hint="write it like --group ios=node-1,node-2")
        if name in found:
            raise UsageError(f"--group {name} is given twice", hint="name all of its nodes in one")
        found[name] = nodes
    return found


def number(option: str, text: str, most: int) -> int:
    """A whole number from 0 to ``most``; ``UsageError`` otherwise."""
    if not text.isascii() or not text.isdigit() or int(text) > most:
        raise UsageError(f"{option} {text!r} is no number from 0 to {most}")
    return int(text)


def write(path: Path, ready: Mapping[str, object]) -> None:
    """Write the ready file whole or not at all: who sees it can read it."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        part.write_text(json.dumps(ready, indent=2) + "\n", encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise UsageError(f"the ready file {path} cannot be written: {error.strerror}") from error


@contextmanager
def signals(ended: Cancelled) -> Iterator[None]:
    """While inside, SIGINT, SIGTERM and SIGHUP set ``ended``."""

    def note(number: int, frame: FrameType | None) -> None:
        ended.set(signal.Signals(number).name)

    before = {number: signal.signal(number, note) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def folder(data: Path | None) -> Iterator[Path]:
    """The data folder: the one that was named, or a temporary one that goes again."""
    if data is not None:
        if data.exists() and not data.is_dir():
            raise UsageError(f"--data {data} is no folder")
        yield data.absolute()
        return
    with tempfile.TemporaryDirectory(prefix="anka-ci-serve-", ignore_cleanup_errors=True) as found:
        print(f"the data is in {found} and goes when the server ends; keep it with --data", file=sys.stderr)
        yield Path(found)
