"""A host without a registry: a stand-in of its own, prepared in this process, which costs less than starting it."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

from anka_ci.anka import Anka
from anka_ci.server import launcher
from anka_ci.settings import Context
from anka_ci.standin.__main__ import main
from conftest import plain_env


class VmHost:
    """A stand-in with a library of its own, in which guests may run; no registry is known to it."""

    def __init__(self, folder: Path) -> None:
        mine = {"ANKA_HOME": str(folder / "library"), "ANKA_STANDIN_GUESTS": "1"}
        self.env = plain_env(folder) | mine
        self.command = launcher.write(folder, mine)

    def ask(self, *words: str) -> Any:
        """Run a command in this process; the body of its answer."""
        with contextlib.redirect_stdout(io.StringIO()) as out:
            status = main(["--machine-readable", *words], self.env)
        found = json.loads(out.getvalue())
        assert 0 == status, found
        return found["body"]

    def make(self, name: str, *tags: str) -> str:
        """A new VM that was started and stopped before each of its tags; its id."""
        id_ = self.ask("create", name)
        for tag in tags:
            self.change(name, f"made for {tag}")
            self.ask("registry", "push", "--local", "--tag", tag, name)
        return str(id_)

    def change(self, name: str, text: str) -> None:
        """Change what a VM's guest holds."""
        self.ask("run", name, "sh", "-c", 'echo "$1" >note', "sh", text)
        self.ask("stop", name)

    def guest(self, name: str) -> Path:
        """The folder of its guest."""
        return Path(self.env["ANKA_HOME"]) / "vm_lib" / self.ask("show", name, "uuid") / "guest"

    def status(self, name: str) -> str:
        return str(self.ask("show", name)["status"])

    def doors(self, **more: Any) -> Anka:
        return Anka(Context(name="host", anka=(self.command,)), **more)
