"""The embedded server: its data folder, its ports, and the thread it runs in.

Listens on loopback, elsewhere only with TLS and sign-in. What it answers is ``server.routes``, and whom
``server.auth``.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import logging
import socket
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from aiohttp import web

from anka_ci.clock import Clock, SystemClock
from anka_ci.errors import UsageError
from anka_ci.secret import Secret
from anka_ci.server import auth as signing
from anka_ci.server import launcher, routes
from anka_ci.server.admission import ANYWHERE, LOOPBACK, Admission, Admitted
from anka_ci.server.cloud import Cloud
from anka_ci.server.faults import Faults
from anka_ci.server.oci import Routes
from anka_ci.server.seed import seed
from anka_ci.server.state import State

READ_BUFFER = 1 << 20
"""Bytes of an upload that are read ahead, per connection."""
THREADS = 16
"""How many requests may wait for the disk at once."""


class Server:
    """The embedded registry on one data folder; use it as a context manager, or ``start`` and ``stop`` it.

    Listens on ``host``, elsewhere than on loopback only with TLS and sign-in, and answers to its name and those of
    ``allowed_hosts``. ``sample`` starts it with a template of about ``sample_bytes``; ``nodes`` is how many, or their
    names, and ``groups`` names some of them; ``virtual_nodes`` are beside them, move no bytes and are called virtual-1,
    virtual-2, … With ``registry_port`` the registry has a port of its own, and each port answers only its own calls.
    ``legacy_fail_200`` answers failures with 200, as old releases did. ``auth`` names the ways to sign in
    (``server.auth.WAYS``), none: everyone may call; ``token``, ``tls``, ``certificate``, ``key`` and ``client_ca`` are
    told in ``server.admission``. Once it is started, ``sign_in`` has the variables for each way, and ``ca`` is whom to
    trust. ``faults`` is a script of what goes wrong (``server.faults``).
    """

    def __init__(
        self,
        data: Path,
        *,
        nodes: int | Sequence[str] = 0,
        virtual_nodes: int = 0,
        groups: Mapping[str, Sequence[str]] | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        registry_port: int | None = None,
        run_guests: bool = False,
        sample: bool = False,
        sample_bytes: int = 256 << 20,
        legacy_fail_200: bool = False,
        allowed_hosts: Sequence[str] = (),
        auth: Sequence[str] = (),
        token: Secret | None = None,
        tls: bool = False,
        certificate: Path | None = None,
        key: Path | None = None,
        client_ca: Path | None = None,
        faults: Path | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._admission = Admission(
            ways=signing.ways(auth), token=token, tls=tls, certificate=certificate, key=key, client_ca=client_ca
        )
        self._admission.check(host)
        self.data = data.absolute()
        self.registry_url = self.controller_url = self.anka = ""
        self.node_names = [f"node-{number + 1}" for number in range(nodes)] if isinstance(nodes, int) else list(nodes)
        self.virtual_names = [f"virtual-{number + 1}" for number in range(virtual_nodes)]
        self._groups = dict(groups or {})
        self._host = "127.0.0.1" if host == "localhost" else host  # which may be two addresses, with a port each
        self._port, self._registry_port = port, registry_port
        self._run_guests = run_guests
        self._sample_bytes = sample_bytes if sample else 0
        self._fail_status = 200 if legacy_fail_200 else 400
        self._names = [name.lower() for name in allowed_hosts]
        if host in ANYWHERE:
            self._names = list(dict.fromkeys([*self._names, socket.gethostname().lower()]))
        elif host not in LOOPBACK:
            self._names = list(dict.fromkeys([host.lower(), *self._names]))
        self._faults = None if faults is None else Faults.read(faults)
        self._clock = clock or SystemClock()
        self.ca: Path | None = None
        self.sign_in: dict[str, dict[str, str]] = {}
        self._cloud: Cloud | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._serve, name="anka-ci-server", daemon=True)
        self._lock: IO[str] | None = None

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def start(self) -> None:
        """Return when it answers. ``UsageError`` for a data folder, a database or a port that cannot be used."""
        try:
            self.data.mkdir(parents=True, exist_ok=True)
            self._lock = (self.data / "lock").open("w")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._release()
            if isinstance(error, BlockingIOError):
                hint = "stop it, or choose another --data"
                raise UsageError(f"another server uses {self.data}", hint=hint) from None
            raise self._unusable(error) from error
        self._thread.start()
        self._ready.wait()
        try:
            if isinstance(self._failure, OSError):
                raise self._unusable(self._failure) from self._failure
            if self._failure is not None:
                raise self._failure
            assert self._cloud is not None
            self._cloud.start(self.inner_url)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End it; running transfers are cut, which loses nothing."""
        if self._cloud is not None:
            self._cloud.stop()
        if self._thread.is_alive() and self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it ended by itself just now
                self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        self._release()

    def _unusable(self, error: OSError) -> UsageError:
        hint = "make it writable for this user, or choose another --data"
        where = f" ({error.filename})" if error.filename else ""
        return UsageError(f"the data folder {self.data} cannot be used: {error.strerror}{where}", hint=hint)

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.close()

    def _serve(self) -> None:
        """What the server's thread does. It says that it is ready, or keeps why it is not; never neither."""
        try:
            with contextlib.ExitStack() as opened:
                loop = self._loop = asyncio.new_event_loop()
                opened.callback(loop.close)
                asyncio.set_event_loop(loop)
                loop.set_default_executor(ThreadPoolExecutor(THREADS, "anka-ci-disk"))
                self._open(loop, opened)
                self._ready.set()
                loop.run_forever()
        except BaseException as error:
            if self._ready.is_set():
                logging.getLogger(__name__).exception("the server ended badly")
            self._failure = error
        finally:
            self._ready.set()

    def _open(self, loop: asyncio.AbstractEventLoop, opened: contextlib.ExitStack) -> None:
        """Open everything; what ``opened`` holds is closed in reverse order when the server ends."""
        state = State(self.data, self._clock)
        opened.callback(state.close)
        opened.callback(lambda: loop.run_until_complete(loop.shutdown_default_executor()))
        if self._sample_bytes:
            seed(state, self._sample_bytes)
        names = list(dict.fromkeys([*LOOPBACK, *self._names]))
        admitted = self._admission.open(self.data, names, state, self._clock, lambda: self.controller_url)
        self.ca, self.sign_in = admitted.ca, admitted.variables
        cloud = self._cloud = Cloud(
            state,
            self.data,
            admitted,
            anka=str(self.data / "bin" / "anka"),
            nodes=self.node_names,
            virtual_nodes=self.virtual_names,
            groups=self._groups,
            run_guests=self._run_guests,
            faults=self._faults or Faults(),
            clock=self._clock,
            registry_url=lambda: self.registry_url,
        )
        first = cloud.controller(self._fail_status, alone=self._registry_port is not None)
        second = cloud.registry(self._fail_status)
        if self._registry_port is None:
            both = first + second
            self.controller_url = self.registry_url = self._listen(loop, opened, "--port", self._port, both, admitted)
        else:
            self.controller_url = self._listen(loop, opened, "--port", self._port, first, admitted)
            self.registry_url = self._listen(loop, opened, "--registry-port", self._registry_port, second, admitted)
        self.anka = launcher.write(
            self.data,
            {
                "ANKA_HOME": str(self.data / "host"),
                "ANKA_REGISTRY": self.inner_url,
                "ANKA_STANDIN_GUESTS": "1" if self._run_guests else "",
                **({"ANKA_CA_BUNDLE": str(self.ca)} if self.ca else {}),
            },
        )

    @property
    def token_file(self) -> Path | None:
        """The file that holds the root token; None when it was given, or opens nothing."""
        found = self.sign_in.get("token", {}).get("ANKA_CI_TOKEN_FILE")
        return Path(found) if found else None

    @property
    def inner_url(self) -> str:
        """The registry's address for what runs on this machine."""
        if self._host not in ANYWHERE:
            return self.registry_url
        port, inner = urlsplit(self.registry_url).port, "[::1]" if self._host == "::" else "127.0.0.1"
        return f"https://{inner}:{port}"

    def _listen(
        self,
        loop: asyncio.AbstractEventLoop,
        opened: contextlib.ExitStack,
        option: str,
        port: int,
        table: Routes,
        admitted: Admitted,
    ) -> str:
        """Answer ``table`` on a port (0: a free one); the URL."""
        front = routes.Front(
            table, {*LOOPBACK, *self._names}, admitted.gate, self._faults, secure=admitted.tls is not None
        )
        server = web.Server(
            front.answer,
            loop=loop,
            access_log=None,
            auto_decompress=False,
            read_bufsize=READ_BUFFER,
            logger=routes.connections_log(),
        )
        runner = web.ServerRunner(server, shutdown_timeout=1.0)
        loop.run_until_complete(runner.setup())
        opened.callback(lambda: loop.run_until_complete(_close(server, runner)))
        try:
            loop.run_until_complete(web.TCPSite(runner, self._host, port, ssl_context=admitted.tls).start())
        except OSError as error:
            if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
                hint = "name an address of this machine, or 0.0.0.0 for all of them"
                raise UsageError(f"cannot listen on {self._host}: {error.strerror}", hint=hint) from error
            why = "it is in use" if error.errno == errno.EADDRINUSE else error.strerror
            hint = f"choose another {option}, or leave it out"
            raise UsageError(f"port {port} cannot be used: {why}", hint=hint) from error
        host = self._names[0] if self._host in ANYWHERE else self._host
        host = f"[{host}]" if ":" in host else host
        return f"{'https' if admitted.tls else 'http'}://{host}:{runner.addresses[0][1]}"


async def _close(server: web.Server, runner: web.ServerRunner) -> None:
    """End every connection of a port. Over TLS one would wait for the caller's goodbye, and the loop ends before."""
    transports = [each.transport for each in server.connections if each.transport is not None]
    await runner.cleanup()
    for transport in transports:
        if isinstance(transport, asyncio.WriteTransport):
            transport.abort()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
