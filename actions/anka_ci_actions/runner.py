"""What a runner obeys: workflow commands, as lines on stderr.

Decides nothing about what is told, and redacts nothing: a mask has to hold its secret.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterable, Mapping


class Runner:
    """The workflow commands of one run of a command.

    While the command runs, the runner obeys no line that it prints: a template's description may begin with ``::``.
    What has to be obeyed meanwhile, such as the mask of a secret that comes up, is written in one piece with the lines
    that let it be obeyed, so that no other thread's line gets between them.
    See https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands.
    """

    def __init__(self) -> None:
        self._stopped = ""
        self._group = False
        self._titles: set[str] = set()

    def mask(self, values: Iterable[str]) -> None:
        """Have the runner mask these texts in every later line of the job."""
        # A text of several lines is no line of a log; its lines are among the values, one by one.
        self._say(*(f"::add-mask::{escape(value)}" for value in values if "\n" not in value and "\r" not in value))

    def open(self, title: str) -> None:
        """Begin a group of lines, which the log shows folded."""
        self.close()
        self._group = True
        self._say(f"::group::{escape(title)}")

    def close(self) -> None:
        """End the group, if there is one."""
        if self._group:
            self._group = False
            self._say("::endgroup::")

    def stop(self) -> None:
        """Have the runner take no line for a command."""
        self._stopped = secrets.token_hex(16)
        self._write([f"::stop-commands::{self._stopped}"])

    def resume(self) -> None:
        """Undo ``stop``, and end the group."""
        if self._stopped:
            self._write([f"::{self._stopped}::"])
            self._stopped = ""
        self.close()

    def tell(self, level: str, title: str, message: str, place: Mapping[str, object] | None = None) -> None:
        """Annotate the run (``error``, ``warning`` or ``notice``), at a place of a file where there is one."""
        facts = {"title": title, **(place or {})}
        properties = ",".join(f"{key}={escape(str(value), property=True)}" for key, value in facts.items())
        self._say(f"::{level} {properties}::{escape(message)}")

    def once(self, level: str, title: str, message: str) -> None:
        """Annotate the run the first time that it is about ``title``; later it is a line that nobody obeys."""
        if title in self._titles:
            self._write([f"{title}: {' '.join(message.split())}"])
        else:
            self._titles.add(title)
            self.tell(level, title, message)

    def _say(self, *lines: str) -> None:
        """Lines to be obeyed, also while the others are not."""
        before, after = [], []
        if self._stopped and lines:
            before = [f"::{self._stopped}::"]
            self._stopped = secrets.token_hex(16)
            after = [f"::stop-commands::{self._stopped}"]
        self._write([*before, *lines, *after])

    def _write(self, lines: Iterable[str]) -> None:
        sys.stderr.write("".join(f"{line}\n" for line in lines))
        sys.stderr.flush()


def escape(text: str, *, property: bool = False) -> str:
    """A text as it stands in a workflow command."""
    for char, escaped in {"%": "%25", "\r": "%0D", "\n": "%0A"}.items():
        text = text.replace(char, escaped)
    return text.replace(":", "%3A").replace(",", "%2C") if property else text
