"""The words of every operation, in the spelling of the release that has to understand them.

Runs nothing. Source: the help texts of 2.0 to 3.9 in Anka's command-line reference; where several spellings work, the
one that most releases share is taken.
"""

from __future__ import annotations

from collections.abc import Sequence

from anka_ci.auth import SignIn
from anka_ci.errors import RefusedError
from anka_ci.host.release import Release
from anka_ci.wire.address import Address


class Words:
    """The argument lists for one release, without the command itself and without ``--machine-readable``."""

    def __init__(self, release: Release) -> None:
        self._release = release

    def _lacks(self, what: str, hint: str) -> RefusedError:
        return RefusedError(f"the anka of this host ({self._release}) has no {what}", hint=hint)

    def check(self, found: SignIn) -> None:
        """``RefusedError`` where this release cannot sign in to a registry that way."""
        if found.api_key is not None and not self._release.since(3, 1):
            raise self._lacks("way to sign in with an API key", "3.1 is the first; use a client certificate, or update")

    # the registry

    def registry(self, url: str = "", options: Sequence[str] = ()) -> list[str]:
        """``registry`` with what stands before its sub-command; before 3.0 a URL is only taken as a path."""
        if not url:
            return ["registry", *options]
        if (address := Address.read(url)) is not None:
            return ["registry", "--remote", address.url, *self._oci(address), *options]
        return ["registry", "--remote" if self._release.since(3) else "--registry-path", url, *options]

    def _oci(self, address: Address) -> list[str]:
        """What makes a registry an OCI registry for Anka. Source: its page on OCI registries."""
        if not self._release.since(3, 9):
            raise self._lacks(f"way to the OCI registry {address.emit()}", "3.9 is the first that speaks to one")
        return ["--oci-version", "v2", *(["--prefix", address.prefix] if address.prefix else [])]

    def size(self, template: str, tag: str, url: str, options: Sequence[str]) -> list[str]:
        """The size check; from 3.0 on it is an option of the top-level pull, which takes a bare URL and no options.

        With options that only ``registry`` takes (a certificate) it stays a sub-command there.
        """
        if (address := Address.read(url)) is not None and "--cert" not in options:
            return ["pull", *self._oci(address), "--check-download-size", "--tag", tag, template, address.url]
        if self._release.since(3) and "--cert" not in options:
            return ["pull", "--check-download-size", "--tag", tag, template, url]
        return [*self.registry(url, options), "check-download-size", "--tag", tag, template]

    def pull(self, template: str, tag: str, *, shrink: bool, before: Sequence[str]) -> list[str]:
        return [*before, "pull", "--tag", tag, *(["--shrink"] if shrink else []), template]

    def fetch(self, template: str, tag: str, url: str, options: Sequence[str]) -> list[str]:
        """A pull that checks nothing out: an option of the top-level pull only."""
        first, where = self._top("pull --fetch-only", url, options, "pull the tag, which checks it out as well")
        return ["pull", *first, "--fetch-only", "--tag", tag, template, where]

    def _top(self, what: str, url: str, options: Sequence[str], instead: str) -> tuple[list[str], str]:
        """What goes before and behind the words of a top-level ``pull`` or ``push``: new in 3.0, and they take a bare
        URL and no options of a connection, so no client certificate either."""
        if not self._release.since(3):
            raise self._lacks(what, instead)
        if "--cert" in options:
            hint = f"sign in by an API key or a token, or {instead}"
            raise RefusedError(f"`anka {what}` takes no client certificate", hint=hint)
        address = Address.read(url)
        return ([], url) if address is None else (self._oci(address), address.url)

    def checkout(self, vm: str, tag: str | None, *, shrink: bool = False) -> list[str]:
        """A pull that asks no network: the tag becomes what the VM is."""
        named = ["--tag", tag] if tag else []
        return ["registry", "pull", *named, "--local", *(["--shrink"] if shrink else []), vm]

    def push(
        self, vm: str, tag: str, *, description: str, onto: str | None, force: bool, before: Sequence[str]
    ) -> list[str]:
        options = [*self._forced(force), *(["--remote-vm", onto] if onto else [])]
        return [*before, "push", "--tag", tag, *_said(description), *options, vm]

    def push_shallow(
        self, vm: str, tag: str, *, description: str, onto: str | None, force: bool, url: str, options: Sequence[str]
    ) -> list[str]:
        """A push of one layer that holds what all layers hold: an option of the top-level push only."""
        first, where = self._top("push --shallow", url, options, "push the VM as it is, with its layers")
        options = [*self._forced(force), *(["--remote-vm", onto] if onto else [])]
        return ["push", *first, "--tag", tag, "--shallow", *_said(description), *options, vm, where]

    def tag(self, vm: str, tag: str, *, description: str, force: bool) -> list[str]:
        """A push that asks no network: what the VM is becomes a local tag."""
        return ["registry", "push", "--tag", tag, "--local", *_said(description), *self._forced(force), vm]

    def _forced(self, force: bool) -> list[str]:
        if force and not self._release.since(2, 3):
            raise self._lacks("push --force", "revert the tag in the registry first, and choose another one here")
        return ["--force"] if force else []

    def remotes(self) -> list[str]:
        """The registries that are configured. 3.9 has ``--list``, and still knows the old name."""
        return ["registry", "--list"] if self._release.since(3, 9) else ["registry", "list-repos"]

    def remotes_before(self) -> list[str]:
        """The name that all releases have had for it."""
        return ["registry", "list-repos"]

    def add_remote(self, name: str, url: str, *, force: bool, options: Sequence[str]) -> list[str]:
        """Before 3.0 the registry is not asked whether it is there, so there is nothing to force."""
        if (address := Address.read(url)) is not None:
            url, options = address.url, [*self._oci(address), *options]
        return ["registry", *options, "add", *(["--force"] if force and self._release.since(3) else []), name, url]

    def choose_remote(self, name: str) -> list[str]:
        """From 3.0 on the registry would be asked whether it is there, and could not be chosen while it is not."""
        return ["registry", "set", *(["--force"] if self._release.since(3) else []), name]

    def forget_remote(self, name: str) -> list[str]:
        """``delete`` until 3.1, ``remove`` from 3.2 on."""
        return ["registry", "remove" if self._release.since(3, 2) else "delete", name]

    # the VMs

    def tags(self, vm: str) -> list[str]:
        return ["show", vm, "tag" if self._release.since(3) else "tags"]

    def disk(self, vm: str, tag: str) -> list[str]:
        return ["show", vm, "--tag", tag, "disk"]

    def clone(self, source: str, name: str, *, tag: str | None, copy: bool) -> list[str]:
        if tag and not self._release.since(3):
            raise self._lacks("clone of a tag", "check the tag out first, and clone the VM")
        return ["clone", *(["--copy"] if copy else []), *(["--tag", tag] if tag else []), source, name]

    def stop(self, vm: str, *, force: bool) -> list[str]:
        return ["stop", *(["--force"] if force else []), vm]

    def run(
        self, vm: str, argv: Sequence[str], *, folder: str | None, env_file: str | None, wait_network: bool
    ) -> list[str]:
        """A command in the guest. Before 3.0 the current folder would be mounted into it."""
        options = [] if self._release.since(3) else ["--no-volume"]
        options += ["--wait-network"] if wait_network else []
        options += ["-w", folder] if folder else []
        options += ["--env-file", env_file] if env_file else []
        return ["run", *options, vm, *argv]

    def delete(self, vm: str) -> list[str]:
        return ["delete", "--yes", vm]

    def delete_tag(self, vm: str, tag: str) -> list[str]:
        """An option from 2.5 on; before that ``VM:TAG``, since 2.3.1."""
        if not self._release.since(2, 3):
            raise self._lacks("way to delete a local tag", "pull another tag with shrink, or delete the VM")
        return (
            ["delete", "--yes", "--tag", tag, vm] if self._release.since(2, 5) else ["delete", "--yes", f"{vm}:{tag}"]
        )


def _said(description: str) -> list[str]:
    return ["--description", description] if description else []
