"""What ``modify`` can change of a VM's network cards, port rules and mounts.

Changes a configuration in place and writes nothing. A guest's commands use this machine's own network, so that cards
and rules are kept and told, and no packet takes another way because of them.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from anka_ci.errors import UsageError
from anka_ci.standin import mounts
from anka_ci.standin.hardware import choice, number
from anka_ci.standin.output import EXISTS, NOT_FOUND, Failure
from anka_ci.standin.stored import new_mac
from anka_ci.standin.words import Words, exactly, options

NETWORK = options(
    *("-t --mode=", "-b --bridge=", "-m --mac=", "-n --bond=", "-v --vlan=", "-c --controller=", "--local"),
    *("--no-local", "-f --filter="),
)
PORT = options(
    *("-g --guest-port=", "-p --host-port=", "-l --host-ip=", "--protocol=", "-d --delete", "--set-name="),
    "-r --reverse",
)
ALL = options("-a --all")
MODES = ("shared", "host", "bridge", "disconnected", "nat")
MAC = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}")
USAGE = "anka modify VM port [--guest-port PORT] [--host-port PORT] NAME [PORT[:ADDRESS][:PORT]]"


def _cards(config: dict[str, Any]) -> list[dict[str, Any]]:
    found = config.setdefault("network_cards", [])
    if not isinstance(found, list):
        raise Failure("network_cards: is no list in the VM's configuration")
    return found


def _card(config: dict[str, Any], index: str = "0") -> dict[str, Any]:
    cards, place = _cards(config), number(index, "card", 0, 255)
    if place >= len(cards):
        raise Failure(f"network card {place}: not found", NOT_FOUND)
    return cards[place]


def network(config: dict[str, Any], words: Words) -> None:
    """Change a card: the first, or the one whose index is given (2.x)."""
    given = exactly(words, 0, 1, "anka modify VM network [OPTIONS]")
    _settle(_card(config, *given), words)


def add_network(config: dict[str, Any], words: Words) -> None:
    card = {
        "mode": "shared",
        "mac_address": new_mac(),
        "pci_slot": 28 + len(_cards(config)),
        "port_forwarding_rules": [],
    }
    _settle(card, words)
    _cards(config).append(card)


def delete_network(config: dict[str, Any], words: Words) -> None:
    given = exactly(words, 0, 1, "anka modify VM delete network [INDEX]")
    _cards(config).remove(_card(config, *given))


def _settle(card: dict[str, Any], words: Words) -> None:
    if words.flag("mode"):
        card["mode"] = choice(words.values["mode"], "mode", MODES)
    mac = words.get("mac")
    if mac is not None:
        if mac != "auto" and not MAC.fullmatch(mac):
            raise UsageError(f"mac {mac!r} is no address", hint="write it like 02:00:00:00:00:01, or auto")
        card["mac_address"] = new_mac() if mac == "auto" else mac.lower()
    if words.flag("controller"):
        card["controller"] = choice(words.values["controller"], "controller", ("anet", "virtio-net"))
    if words.flag("bridge"):
        card["bridge"] = words.get("bridge")
    if words.flag("bond"):
        card["bond"] = number(words.values["bond"], "bond", 2, 4)
    if words.flag("vlan"):
        card["vlan"] = number(words.values["vlan"], "vlan", 0, 4094)
    if words.flag("local") or words.flag("no_local"):
        card["local"] = words.flag("local")
    rules = words.get("filter")
    if rules == "off":
        card.pop("filter", None)
    elif rules is not None:
        try:
            card["filter"] = Path(rules).read_text(encoding="utf-8")
        except OSError as error:
            raise Failure(f"{rules}: {error.strerror}") from error
        except ValueError as error:
            raise Failure(f"{rules}: is no text in UTF-8") from error


def _rules(config: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = _card(config).setdefault("port_forwarding_rules", [])
    return found


def port(config: dict[str, Any], words: Words) -> None:
    """Set, rename or delete a rule of the first card."""
    name, *form = exactly(words, 1, 2, USAGE)
    rules = _rules(config)
    old = next((each for each in rules if each.get("rule_name") == name), None)
    if words.flag("delete") or words.flag("set_name"):
        if old is None:
            raise Failure(f"{name}: not found", NOT_FOUND)
        if words.flag("delete"):
            rules.remove(old)
        else:
            old["rule_name"] = words.values["set_name"]
        return
    rule = _rule(name, form, words)
    if old is not None:
        rules[rules.index(old)] = rule
    else:
        rules.append(rule)


def add_port(config: dict[str, Any], words: Words) -> None:
    """Add a rule; the same one again changes nothing, another of its name is refused."""
    name, *form = exactly(words, 1, 2, USAGE.replace(" port ", " add port-forwarding "))
    rule, rules = _rule(name, form, words), _rules(config)
    old = next((each for each in rules if each.get("rule_name") == name), None)
    if old is None:
        rules.append(rule)
    elif old != rule:
        raise Failure(f"{name}: a port forwarding rule of that name exists", EXISTS, hint="delete it first")


def _rule(name: str, form: list[str], words: Words) -> dict[str, Any]:
    """A rule from options, or from ``guest-port[:address][:port]``; without a host's port one is found at the start."""
    guest, host, address = words.get("guest_port"), words.get("host_port"), words.get("host_ip") or ""
    if form and form[0].isdigit() and guest is None:
        guest = form[0]
    elif form:
        guest, *rest = form[0].split(":")
        host = next((each for each in rest if each.isdigit()), host)
        address = next((each for each in rest if each and not each.isdigit()), address)
    if guest is None:
        raise UsageError("the guest's port is missing", hint=f"usage: {USAGE}")
    rule = {
        "rule_name": name,
        "protocol": choice(words.get("protocol") or "tcp", "protocol", ("tcp", "udp")),
        "guest_port": number(guest, "guest port", 1, 65_535),
        "host_port": number(host or "0", "host port", 0, 65_535),
        "host_ip": address,
    }
    return {**rule, "reverse": True} if words.flag("reverse") else rule


def delete_port(config: dict[str, Any], words: Words) -> None:
    """Delete rules by name, by their guest's port (2.x), or all."""
    rules, wanted = _rules(config), words.get("guest_port")
    if not words.rest and wanted is None and not words.flag("all"):
        raise UsageError("usage: anka modify VM delete port [--all] NAME…")
    for name in words.rest:
        if not any(each.get("rule_name") == name for each in rules):
            raise Failure(f"{name}: not found", NOT_FOUND)
    if wanted is not None and not any(str(each.get("guest_port")) == wanted for each in rules):
        raise Failure(f"{wanted}: not found", NOT_FOUND)
    _card(config)["port_forwarding_rules"] = [
        each
        for each in rules
        if not (
            words.flag("all")
            or each.get("rule_name") in words.rest
            or str(each.get("guest_port")) == (wanted or "none")
        )
    ]


def mount(config: dict[str, Any], words: Words) -> None:
    """Folders that are mounted at every start."""
    if not words.rest:
        raise UsageError("usage: anka modify VM mount PATH[:NAME]…")
    kept = config.setdefault("mounts", [])
    for spec in words.rest:
        new = mounts.split(spec, Path.cwd())
        if new not in kept:
            if any(each["guest_folder_name"] == new["guest_folder_name"] for each in kept):
                raise Failure(f"{new['guest_folder_name']}: is mounted already", EXISTS, hint="write PATH:NAME")
            kept.append(new)


def delete_mount(config: dict[str, Any], words: Words) -> None:
    kept = config.get("mounts") or []
    if not words.rest and not words.flag("all"):
        raise UsageError("usage: anka modify VM delete mount [--all] MOUNT…")
    gone = list(kept) if words.flag("all") else [_meant(kept, each) for each in words.rest]
    config["mounts"] = [each for each in kept if each not in gone]


def _meant(kept: list[dict[str, str]], sought: str) -> dict[str, str]:
    for each in kept:
        path, name = each["host_path"], each["guest_folder_name"]
        if sought in (path, name, f"{path}:{name}"):
            return each
    raise Failure(f"{sought}: not found", NOT_FOUND)
