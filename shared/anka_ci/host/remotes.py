"""The registries that this user's ``anka`` knows by name, and which of them is its default.

Never edits Anka's own file, whose format is not documented. Nothing else here relies on what is configured there.
"""

from __future__ import annotations

from anka_ci.errors import RefusedError
from anka_ci.host.asking import TRIES, Asking
from anka_ci.wire.remote import Remote


class Remotes(Asking):
    """Who else uses ``anka`` as this user sees every change."""

    def remotes(self) -> list[Remote]:
        """The registries that are configured, in the command's order."""
        words, before = self._words.remotes(), self._words.remotes_before()
        try:
            body = self._body(words, tries=TRIES)
        except RefusedError:
            if words == before:
                raise
            body = self._body(before, tries=TRIES)
        return Remote.read_all(body)

    def add_remote(self, name: str, url: str, *, force: bool = False) -> None:
        """Remember a registry, which becomes the default; ``force`` does not ask it whether it is there (3.0 on).

        The certificate authority and a client certificate go with it where they are files, because Anka remembers
        their paths.
        """
        found = self._found
        options = ["--cacert", found.ca] if found.ca else []
        if found.certificate is not None and found.certificate.file and found.certificate.pem:
            options += ["--cert", found.certificate.file]
            options += ["--key", found.key.file] if found.key is not None and found.key.file else []
        self._body(self._words.add_remote(name, url, force=force, options=options), sought=name)

    def choose_remote(self, name: str) -> None:
        """Make a registry that is known the default, whether or not it can be reached now.

        ``UnreachableError``, as the command has it, when none of that name is known.
        """
        self._body(self._words.choose_remote(name), sought=name)

    def forget_remote(self, name: str) -> None:
        """Forget a registry."""
        self._body(self._words.forget_remote(name), sought=name)
