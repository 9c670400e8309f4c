"""A TCP proxy that stops letting bytes through after so many: a transfer cut where a test wants it."""

from __future__ import annotations

import contextlib
import socket
import threading
from urllib.parse import urlsplit


class Gate:
    """In front of the server at ``url``; ``up`` and ``down`` count the bytes that passed to and from it."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname, parts.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.up = self.down = 0
        self._left: dict[str, int | None] = {"up": None, "down": None}
        self._cuts: set[str] = set()
        self.held = threading.Event()
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Gate:
        return self

    def __exit__(self, *exc: object) -> None:
        self._listener.close()

    def hold(self, way: str, after: int) -> None:
        """Let ``after`` more bytes pass that way, then none."""
        self._left[way] = after

    def cut(self, way: str, after: int) -> None:
        """Let ``after`` more bytes pass that way, then end that one connection; later ones pass everything."""
        self._left[way] = after
        self._cuts.add(way)
        self.up = self.down = 0

    def open(self) -> None:
        """Let new connections pass everything; what is held stays held."""
        self._left = {"up": None, "down": None}
        self.up = self.down = 0
        self.held.clear()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                for way, source, target in (("up", client, server), ("down", server, client)):
                    threading.Thread(target=self._pump, args=(way, source, target), daemon=True).start()

    def _pump(self, way: str, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 14):
                with self._lock:
                    left = self._left[way]
                    passing = data if left is None else data[:left]
                    if left is not None:
                        self._left[way] = left - len(passing)
                target.sendall(passing)
                setattr(self, way, getattr(self, way) + len(passing))
                if len(passing) < len(data):
                    self.held.set()
                    if way in self._cuts:
                        self._left[way] = None
                        break
                    while source.recv(1 << 14):  # swallowed, as a dead network would
                        pass
                    break
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
                each.close()
