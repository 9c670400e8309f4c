"""What moves between this host and a registry: the size of a pull, pull and push.

Names the registry, and how to sign in to it, on every call.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from anka_ci.auth import SignIn, files
from anka_ci.errors import UsageError
from anka_ci.host import answers
from anka_ci.host.asking import TRIES, Asking
from anka_ci.result import Said
from anka_ci.secret import Secret
from anka_ci.wire.address import Address
from anka_ci.wire.vm import DownloadSize, Moved

AS_SAID = {"ANKA_PULL_CHECKOUT": "1", "ANKA_PULL_FAILBACK": "0"}
"""A pull checks its tag out, and fails where the registry cannot be reached, whatever this Mac is configured for: every
key of `anka config` is a variable too, which wins."""

NO_CHECKOUT = {**AS_SAID, "ANKA_PULL_CHECKOUT": "0"}


class Transfers(Asking):
    """Templates on their way; ``registry_url`` is never the Mac's default."""

    def check(self, registry_url: str, *, fetch_only: bool = False, shallow: bool = False, force: bool = False) -> None:
        """``RefusedError`` where this release, or the way to sign in, has no pull or push of that kind."""
        options = ["--cert"] if self._found.certificate is not None else []
        if fetch_only:
            self._words.fetch("", "", registry_url, options)
        if force:
            self._words.tag("", "", description="", force=True)
        if shallow:
            self._words.push_shallow("", "", description="", onto=None, force=False, url=registry_url, options=options)

    def download_size(self, template: str, tag: str, registry_url: str) -> DownloadSize:
        """What a pull of the tag would download onto this host; 0 when it is here already."""
        with files.handed(self._signed(registry_url)) as signed:
            words = self._words.size(template, tag, registry_url, signed.options)
            return DownloadSize.read(self._mapping(words, signed.variables, sought=template))

    def pull(
        self,
        template: str,
        tag: str,
        *,
        registry_url: str,
        shrink: bool = False,
        local: bool = False,
        fetch_only: bool = False,
    ) -> Moved:
        """Pull a tag and check it out; ``local`` checks out what is here and asks no network.

        With ``fetch_only`` it becomes a local tag and the VM stays what it is; ``RefusedError`` before 3.0, and with a
        client certificate.

        What the network breaks off is tried again: a pull goes on with the layers that are here already.
        """
        turn = self._turn(f"the pull of {template}:{tag}", agent=True)
        with turn, files.handed(SignIn() if local else self._signed(registry_url)) as signed:
            said = AS_SAID
            if local:
                words = self._words.checkout(template, tag, shrink=shrink)
            elif fetch_only:
                words, said = self._words.fetch(template, tag, registry_url, signed.options), NO_CHECKOUT
            else:
                before = self._words.registry(registry_url, signed.options)
                words = self._words.pull(template, tag, shrink=shrink, before=before)
            body = self._body(words, {**said, **signed.variables}, sought=template, subject=tag, tries=TRIES)
        return answers.moved(body, "bytes_received")

    def push(
        self,
        vm: str,
        tag: str,
        *,
        registry_url: str,
        description: str = "",
        onto: str | None = None,
        force: bool = False,
        shallow: bool = False,
    ) -> Moved:
        """Push a VM as a tag, ``onto`` an existing template if given; ``force`` replaces an existing tag.

        With ``shallow`` one layer that holds what all hold is sent; ``RefusedError`` where ``check`` raises it.

        Never repeated by itself: whether a push that failed has arrived is for the registry to say.
        """
        turn = self._turn(f"the push of {vm}:{tag}", agent=True)
        with turn, files.handed(self._signed(registry_url)) as signed:
            if shallow:
                words = self._words.push_shallow(
                    *(vm, tag),
                    description=description,
                    onto=onto,
                    force=force,
                    url=registry_url,
                    options=signed.options,
                )
            else:
                before = self._words.registry(registry_url, signed.options)
                words = self._words.push(vm, tag, description=description, onto=onto, force=force, before=before)
            body = self._body(words, signed.variables, sought=vm, subject=tag)
        return answers.moved(body, "bytes_sent")

    def _signed(self, registry_url: str) -> SignIn:
        """The sign-in; for an OCI registry without one, what ``docker login`` left, which Anka itself does not read."""
        self._words.check(self._found)
        address, config = Address.read(registry_url), self._anka.context.docker_config
        if address is None or config is None or self._found.kinds:
            return self._found
        from anka_ci.oci.docker import credentials

        try:
            known = credentials(Path(config), urlsplit(address.url).netloc)
        except UsageError as error:  # it may be a public registry, which asks nobody
            self._anka.tell(Said(text=error.message, level="warning"))
            return self._found
        if known is None or known.identity:
            return self._found
        return replace(self._found, user=Secret(f"{known.user}:{known.password.reveal()}"))
