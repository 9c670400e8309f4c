"""Remotes: which of the registries that the local ``anka`` knows is its default, and what changes that.

Decides, and carries out what was decided; reads no address of anybody else's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from anka_ci.errors import NotFoundError, RefusedError, UsageError
from anka_ci.plan import Action
from anka_ci.wire.address import Address
from anka_ci.wire.values import check_name

if TYPE_CHECKING:
    from anka_ci.anka import Anka
    from anka_ci.wire.remote import Remote


def default(known: Sequence[Remote]) -> str | None:
    """The name of the default; None when none is."""
    return next((each.name for each in known if each.default), None)


def row(remote: Remote) -> dict[str, Any]:
    """A registry as an output shows it."""
    return {"name": remote.name, "url": remote.url, "default": remote.default}


def adding(known: Sequence[Remote], name: str, url: str, *, force: bool) -> list[Action]:
    """What makes a registry known and the default; nothing where that is so. ``RefusedError`` for a name that is taken.

    Anka makes what was added last the default.
    """
    there, place = next((each for each in known if each.name == check_name(name)), None), _place(url)
    if there is None:
        with_ = {"name": name, "url": url, "force": force}
        return [Action(verb="add", text=f"add the registry {name} ({url}), the default from then on", with_=with_)]
    if there.url.rstrip("/") != place:
        hint = f"choose another name, or forget it first: use-registry --action forget --name {name}"
        raise RefusedError(f"the anka command knows {name} as {there.url}, not as {url}", hint=hint)
    return choosing(known, name)


def choosing(known: Sequence[Remote], name: str) -> list[Action]:
    """What makes a known registry the default; nothing where it is. ``NotFoundError`` for one that is not known."""
    found = _known(known, name)
    if found.default:
        return []
    before = default(known)
    text = f"make {name} ({found.url}) the default registry" + (f" in place of {before}" if before else "")
    return [Action(verb="set", text=text, with_={"name": name})]


def forgetting(known: Sequence[Remote], name: str, then: str | None) -> list[Action]:
    """What forgets a registry, and makes ``then`` the default. ``NotFoundError`` for one that is not known."""
    found = _known(known, name)
    actions = [Action(verb="forget", text=f"forget the registry {name} ({found.url})", with_={"name": name})]
    if then is None:
        return actions
    if then == name:
        raise UsageError(f"{name} cannot be the default once it is forgotten", hint="name another with then")
    _known(known, then)
    return [*actions, Action(verb="set", text=f"make {then} the default registry", with_={"name": then})]


def carry_out(anka: Anka, action: Action) -> None:
    """Do one of these."""
    name, host = str(action.with_["name"]), anka.host
    if action.verb == "add":
        host.add_remote(name, str(action.with_["url"]), force=bool(action.with_["force"]))
    elif action.verb == "set":
        host.choose_remote(name)
    else:
        host.forget_remote(name)


def _place(url: str) -> str:
    """Where a registry answers, as ``anka`` tells it again; ``UsageError`` for what is no address."""
    try:
        address = Address.read(url)
    except ValueError as error:
        raise UsageError(str(error)) from None
    if address is None and not re.fullmatch(r"https?://[^\s/?#]+(/[^\s?#]*)?", url):
        raise UsageError(f"the registry URL {url!r} is none", hint="write it like http://anka.internal:8089")
    return (address.url if address else url).rstrip("/")


def _known(known: Sequence[Remote], name: str) -> Remote:
    found = next((each for each in known if each.name == name), None)
    if found is None:
        raise NotFoundError("registry", name, where="the anka command", known=[each.name for each in known])
    return found
