"""The commands that tell about the stand-in itself: version, license, config.

Asks no network and knows no VM. Keys of ``config`` and their defaults are those of Anka's command-line reference, but
for the places of its own programs; only those about the library, pulls, names, tables and the CA mean anything here.
"""

from __future__ import annotations

from collections.abc import Mapping

from anka_ci.errors import UsageError
from anka_ci.standin.desk import Desk
from anka_ci.standin.output import NOT_FOUND, Failure, Reply
from anka_ci.standin.tables import check, details
from anka_ci.standin.words import exactly, options, parse

PRODUCT = "Anka Build Stand-in"
DEFAULTS: Mapping[str, str] = {
    "allow_nonunique_names": "0",
    "block_nocache": "0",
    "bridge_name": "",
    "ca_bundle": "",
    "chunk_size": "0",
    "create_suspend": "0",
    "default_disk": "137438953472",
    "default_format": "1",
    "default_nvcpu": "2",
    "default_passwd": "admin",
    "default_ram": "4294967296",
    "default_user": "anka",
    "delete_logs": "1",
    "end_address": "",
    "exit_delay": "10",
    "implicit_mount": "0",
    "io_threads": "0",
    "log_file": "anka.log",
    "max_vms_allowed": "255",
    "network_failure_action": "1",
    "nice": "0",
    "operations_timeout": "300",
    "portfwd_base": "10000",
    "process_type": "Interactive",
    "propagate_license": "0",
    "propagate_name": "0",
    "pull_checkout": "1",
    "pull_failback": "0",
    "pull_resume": "0",
    "puller_threads": "4",
    "qncpu": "0",
    "quantum": "0",
    "qvcpu": "0",
    "recv_buffer_size": "0",
    "registry_remotes_file_path": "",
    "send_buffer_size": "0",
    "shared_nat": "0",
    "start_address": "",
    "subnet_mask": "",
    "table_fmt": "grid",
    "tesslang": "eng",
    "time_sync": "1",
    "trim_disk": "1",
}
"""Settings that are not about places, and what they are when nobody has set them."""
OPTIONS = {"config": options("-l --list", "-r --reset"), "license": options("-f --force=", "-k --key=")}


def version(desk: Desk, words: list[str]) -> Reply:
    played = desk.voice.persona
    body = {"product": PRODUCT, "version": played.version, "build": played.build, "host_arch": desk.arch}
    return Reply(body=body, text=f"{PRODUCT} version {played.version} (build {played.build})")


def license(desk: Desk, words: list[str]) -> Reply:
    """A stand-in needs no licence; it answers as if it had the kind that allows everything, and keeps no key."""
    body = {
        "license_type": "com.veertu.anka.entplus",
        "status": "valid",
        "product": PRODUCT,
        "expires": "never",
        "max_number_of_cores": 0,
        "fulfillment": "stand-in",
    }
    sub = words[0] if words else "show"
    said = {"validate": "License is valid!", "activate": "License activated", "accept-eula": "", "remove": ""}
    if sub in said:
        if sub == "activate" and len(words) < 2:
            raise UsageError("usage: anka license activate KEY")
        return Reply(message=said[sub])
    if sub != "show":
        raise UsageError(f"no such command: license {sub}", hint="there is show, " + ", ".join(said))
    return Reply(body=body, text=details(body))


def settings(desk: Desk) -> dict[str, str]:
    """Every setting: Anka's default, then what ``config`` has set, then the variable ``ANKA_<KEY>``, which wins."""
    places = {
        "img_lib_dir": str(desk.library.images),
        "state_lib_dir": str(desk.library.states),
        "vm_lib_dir": str(desk.library.vms),
        "vm_lock_dir": str(desk.library.locks),
    }
    kept = {key: str(value) for key, value in desk.config.read().items()}
    found = {**DEFAULTS, "registry_remotes_file_path": str(desk.home / "registries.json"), **kept}
    found |= {
        key: desk.environment[f"ANKA_{key.upper()}"] for key in found if f"ANKA_{key.upper()}" in desk.environment
    }
    return dict(sorted({**found, **places}.items()))


def config(desk: Desk, words: list[str]) -> Reply:
    """Show all settings or one (its bare value), set one, or set it back with ``--reset``."""
    found = parse(words, OPTIONS["config"])
    known = settings(desk)
    if found.flag("list") or found.flag("reset"):
        return _chosen(desk, found.rest, known, reset=found.flag("reset"))
    args = exactly(found, 0, 2, "anka config [NAME [VALUE]]")
    if not args:
        return Reply(body=known, text=details(known))
    if args[0] not in known:
        raise Failure(f"{args[0]}: not found", NOT_FOUND)
    if len(args) == 1:
        return Reply(body=known[args[0]], text=known[args[0]] + "\n")
    if args[0].endswith("_dir"):
        raise Failure(f"{args[0]}: is set by ANKA_HOME or ANKA_{args[0].upper()}")
    if args[0] == "table_fmt":
        check(args[1])
    with desk.config.alone():
        desk.config.write({**desk.config.read(), args[0]: args[1]})
    return Reply()


def _chosen(desk: Desk, names: tuple[str, ...], known: Mapping[str, str], *, reset: bool) -> Reply:
    unknown = next((name for name in names if name not in known), None)
    if unknown is not None:
        raise Failure(f"{unknown}: not found", NOT_FOUND)
    if reset and not names:
        raise UsageError("usage: anka config --reset NAME…")
    if reset:
        with desk.config.alone():
            kept = desk.config.read()
            desk.config.write({key: value for key, value in kept.items() if key not in names})
        return Reply()
    chosen = {name: known[name] for name in names or known}
    return Reply(body=chosen, text=details(chosen))


def bytes_of(amount: str) -> int:
    """``8G`` in bytes; 0 for what cannot be read."""
    number, unit = amount[:-1], amount[-1:].upper()
    power = {"K": 10, "M": 20, "G": 30, "T": 40}.get(unit)
    return int(number) << power if power and number.isdigit() else int(amount) if amount.isdigit() else 0
