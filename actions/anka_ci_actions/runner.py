"""What a runner obeys: workflow commands, as lines on stderr.

Decides nothing about what is told, and redacts nothing: a mask has to hold its secret.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Iterable, Mapping


class Runner:
    """The workflow commands of one run of a command, as lines on stderr.

    While the command runs, the runner obeys no line that it prints: a template's description may begin with ``::``.
    What comes up as a secret meanwhile is masked at once.
    See https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands.
    """

    def __init__(self) -> None:
        self._stopped = ""

    def mask(self, values: Iterable[str]) -> None:
        """Have the runner mask these texts in every later line of the job."""
        was_stopped = bool(self._stopped)
        self.resume()
        for value in values:
            if "\n" not in value and "\r" not in value:  # its lines are among the values, one by one
                self._say(f"::add-mask::{escape(value)}")
        if was_stopped:
            self.stop()

    def stop(self) -> None:
        """Have the runner take no line for a command."""
        self._stopped = secrets.token_hex(16)
        self._say(f"::stop-commands::{self._stopped}")

    def resume(self) -> None:
        """Undo ``stop``."""
        if self._stopped:
            self._say(f"::{self._stopped}::")
            self._stopped = ""

    def tell(self, level: str, title: str, message: str, place: Mapping[str, object] | None = None) -> None:
        """Annotate the run (``error``, ``warning`` or ``notice``), at a place of a file where there is one."""
        facts = {"title": title, **(place or {})}
        properties = ",".join(f"{key}={escape(str(value), property=True)}" for key, value in facts.items())
        self._say(f"::{level} {properties}::{escape(message)}")

    def _say(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)


def escape(text: str, *, property: bool = False) -> str:
    """A text as it stands in a workflow command."""
    for char, escaped in {"%": "%25", "\r": "%0D", "\n": "%0A"}.items():
        text = text.replace(char, escaped)
    return text.replace(":", "%3A").replace(",", "%2C") if property else text
